"""The tables that ingest leaves: videos and their clips, with all that was decided."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.recipe import Recipe
from pfp.ingest.select import MEANS, Candidates
from pfp.schema.clip import ClipRecord
from pfp.schema.clip_id import make_clip_id
from pfp.schema.measured import MeasuredRecord
from pfp.schema.record import Record
from pfp.schema.video import VideoRecord

# What a manifest may say of a file beside where it lies.
TOLD: Final = ("source_id", "source", "licence", "caption", "extra")
_ROWS_AT_ONCE: Final = 1 << 16
# What all windows of a video have of it.
_OF_VIDEO: Final = tuple(
    name
    for name in ClipRecord.SCHEMA.names
    if name in MeasuredRecord.SCHEMA.names
    and name not in {*MEANS, "decode_error_count", "num_frames", "shots", "verdict", "result_key"}
)


def video_tables(
    candidates: Candidates, recipe: Recipe, told: pa.Table | None = None
) -> Iterator[pa.Table]:
    """The rows of ``VideoRecord``, one for every video, in its order; some thousand at a time.

    ``told`` has the columns ``TOLD`` of what a manifest says, by ``video_uri``; None: nothing.
    """
    videos, windows = candidates
    num_clips = np.bincount(np.asarray(windows["video"]), minlength=videos.num_rows)
    own = [name for name in VideoRecord.SCHEMA.names if name in videos.column_names]
    said = _said_of(videos["video_uri"], told)
    for first in range(0, max(videos.num_rows, 1), _ROWS_AT_ONCE):
        some = videos.slice(first, _ROWS_AT_ONCE)
        decided = {
            "num_clips": pa.array(num_clips[first : first + _ROWS_AT_ONCE], pa.int32()),
            "recipe": _repeated(recipe.name, some.num_rows),
            "result_key": _keys(some["result_key"], recipe),
        }
        columns = {name: some[name] for name in own} | said(first)
        yield _table(VideoRecord, columns | decided)


def _said_of(
    video_uris: pa.ChunkedArray, told: pa.Table | None
) -> Callable[[int], dict[str, pa.ChunkedArray]]:
    """What a manifest says of the videos from one row on, ``_ROWS_AT_ONCE`` of them."""
    if told is None:
        return lambda _first: {}
    places = pc.index_in(video_uris, value_set=told["video_uri"].combine_chunks())

    def said(first: int) -> dict[str, pa.ChunkedArray]:
        rows = places.slice(first, _ROWS_AT_ONCE)
        return {name: told[name].take(rows) for name in TOLD}

    return said


def clip_tables(candidates: Candidates, recipe: Recipe) -> Iterator[pa.Table]:
    """The rows of ``ClipRecord``, one for each window, by id; some thousand at a time."""
    ids = clip_ids(candidates)
    order = pc.sort_indices(ids)
    needed = [*_OF_VIDEO, "duration_seconds", "shots", "result_key"]
    for first in range(0, max(len(ids), 1), _ROWS_AT_ONCE):
        rows = order.slice(first, _ROWS_AT_ONCE)
        windows = candidates.windows.take(rows)
        videos = candidates.videos.select(needed).take(windows["video"])
        measured = [name for name in windows.column_names if name in ClipRecord.SCHEMA.names]
        decided = {
            "clip_id": ids.take(rows),
            "video_seconds": videos["duration_seconds"],
            "shots": _shots(videos["shots"].combine_chunks(), windows),
            "recipe": _repeated(recipe.name, windows.num_rows),
            "result_key": _keys(videos["result_key"], recipe),
        }
        own = {name: videos[name] for name in _OF_VIDEO}
        yield _table(ClipRecord, own | {name: windows[name] for name in measured} | decided)


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
    """Of the shots of each window's video those in the window, cut to it.

    The first of them begins with the window.
    """
    start_W, end_W = (np.asarray(windows[f"{name}_seconds"]) for name in ("start", "end"))
    window_S = np.asarray(pc.list_parent_indices(shots), np.int64)
    flat = shots.flatten()
    start_S, end_S = (
        np.asarray(pc.struct_field(flat, f"{name}_seconds"), float) for name in ("start", "end")
    )
    is_inside_S = (start_S < end_W[window_S]) & (end_S > start_W[window_S])
    counts_W = np.bincount(window_S[is_inside_S], minlength=len(start_W))
    begins_S = start_S <= start_W[window_S]
    kinds = pc.if_else(pa.array(begins_S), "start", pc.struct_field(flat, "kind"))
    cut = pa.StructArray.from_arrays(
        [
            pa.array(np.maximum(start_S, start_W[window_S])),
            pa.array(np.minimum(end_S, end_W[window_S])),
            kinds,
        ],
        fields=list(shots.type.value_type),
    )
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts_W)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, cut.filter(pa.array(is_inside_S)), type=shots.type)


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
