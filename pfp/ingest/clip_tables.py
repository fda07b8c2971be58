"""The tables that ingest leaves: videos and their clips, with all that was decided."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.recipe import Recipe
from pfp.ingest.select import MEANS, Candidates
from pfp.ingest.spans import Ints
from pfp.schema.clip import ClipRecord
from pfp.schema.clip_id import make_clip_id
from pfp.schema.measured import MeasuredRecord
from pfp.schema.record import Record
from pfp.schema.video import VideoRecord

# What a manifest may say of a file beside where it lies.
TOLD: Final = ("source_id", "source", "licence", "caption", "extra")
# What all windows of a video have of it.
_OF_VIDEO: Final = tuple(
    name
    for name in ClipRecord.SCHEMA.names
    if name in MeasuredRecord.SCHEMA.names
    and name not in {*MEANS, "decode_error_count", "num_frames", "shots", "verdict", "result_key"}
)


def videos_table(candidates: Candidates, recipe: Recipe, told: pa.Table | None = None) -> pa.Table:
    """The ``VideoRecord`` table: a row for every video.

    ``told`` has the columns ``TOLD`` of what a manifest says, by ``video_uri``; None: nothing.
    """
    videos, windows = candidates
    num_clips = np.bincount(np.asarray(windows["video"]), minlength=videos.num_rows)
    own = [name for name in VideoRecord.SCHEMA.names if name in videos.column_names]
    columns = {name: videos[name] for name in own}
    return _table(
        VideoRecord,
        columns
        | ({} if told is None else _told_of(videos["video_uri"], told))
        | {
            "num_clips": pa.array(num_clips, pa.int32()),
            "recipe": _repeated(recipe.name, videos.num_rows),
            "result_key": _keys(videos["result_key"], recipe),
        },
    )


def _told_of(video_uris: pa.ChunkedArray, told: pa.Table) -> dict[str, pa.ChunkedArray]:
    rows = pc.index_in(video_uris, value_set=told["video_uri"].combine_chunks())
    return {name: told[name].take(rows) for name in TOLD}


def clips_table(candidates: Candidates, recipe: Recipe) -> pa.Table:
    """The ``ClipRecord`` table: a row for every window. Windows of one content share an id."""
    videos, windows = candidates
    own = videos.take(windows["video"])
    measured = [name for name in windows.column_names if name in ClipRecord.SCHEMA.names]
    return _table(
        ClipRecord,
        {name: own[name] for name in _OF_VIDEO}
        | {name: windows[name] for name in measured}
        | {
            "clip_id": clip_ids(candidates),
            "shots": _shots(videos["shots"].combine_chunks(), windows),
            "recipe": _repeated(recipe.name, windows.num_rows),
            "result_key": _keys(own["result_key"], recipe),
        },
    )


def clip_ids(candidates: Candidates) -> pa.Array:
    """The ids of the windows."""
    videos, windows = candidates
    digests = videos["video_sha256"].take(windows["video"])
    columns = (digests, windows["start_seconds"], windows["end_seconds"])
    return pa.array(map(make_clip_id, *(each.to_pylist() for each in columns)), pa.string())


def _keys(result_keys: pa.ChunkedArray, recipe: Recipe) -> pa.Array:
    """What a row depends on: what was measured, and the recipe."""
    decided = f" {recipe.sha256}"
    keys = (hashlib.sha256((key + decided).encode()).hexdigest() for key in result_keys.to_pylist())
    return pa.array(keys, pa.string())


def _shots(shots: pa.ListArray, windows: pa.Table) -> pa.ListArray:
    """The shots of each window, cut to it: the first of them begins with the window."""
    start_W, end_W = (np.asarray(windows[f"{name}_seconds"]) for name in ("start", "end"))
    shot_P, window_P, first_W = _overlaps(shots, np.asarray(windows["video"]), start_W, end_W)
    taken = shots.flatten().take(pa.array(shot_P))
    starts = np.asarray(pc.struct_field(taken, "start_seconds"), float)
    ends = np.asarray(pc.struct_field(taken, "end_seconds"), float)
    begins = starts <= start_W[window_P]
    kinds = pc.if_else(pa.array(begins), "start", pc.struct_field(taken, "kind"))
    values = pa.StructArray.from_arrays(
        [
            pa.array(np.maximum(starts, start_W[window_P])),
            pa.array(np.minimum(ends, end_W[window_P])),
            kinds,
        ],
        fields=list(shots.type.value_type),
    )
    return pa.ListArray.from_arrays(pa.array(first_W, pa.int32()), values)


def _overlaps(
    shots: pa.ListArray, video_W: Ints, start_W: Ints, end_W: Ints
) -> tuple[Ints, Ints, Ints]:
    """Pairs of a shot and a window that it lies in, and where each window's pairs begin."""
    num_shots_V = np.asarray(pc.list_value_length(shots), np.int64)
    first_V = np.concatenate([[0], np.cumsum(num_shots_V)])
    count_W = num_shots_V[video_W]
    window_P = np.repeat(np.arange(len(video_W)), count_W)
    rank_P = np.arange(len(window_P)) - np.repeat(np.cumsum(count_W) - count_W, count_W)
    shot_P = first_V[video_W][window_P] + rank_P
    flat = shots.flatten()
    starts = np.asarray(pc.struct_field(flat, "start_seconds"), float)[shot_P]
    ends = np.asarray(pc.struct_field(flat, "end_seconds"), float)[shot_P]
    is_inside = (starts < end_W[window_P]) & (ends > start_W[window_P])
    first_W = np.concatenate(
        [[0], np.cumsum(np.bincount(window_P[is_inside], minlength=len(video_W)))]
    )
    return shot_P[is_inside], window_P[is_inside], first_W


def _repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), [text]).cast(
        pa.string()
    )


def _table(record: type[Record], columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    """A table of a record; columns that are not given are null."""
    num_rows = len(columns["result_key"])
    return pa.table(
        [
            columns[field.name] if field.name in columns else pa.nulls(num_rows, field.type)
            for field in record.SCHEMA
        ],
        schema=record.SCHEMA,
    )
