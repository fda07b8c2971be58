"""From measured videos to clips: which videos are kept, and which windows of them. No decoding.

One step after the other drops videos or windows, from whole columns. Which steps there are, and in
which order, ``pipelines/ingest/select.py`` says; their thresholds are the recipe's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters import Filter, first_refusals
from pfp.ingest.near_candidates import Samples
from pfp.ingest.near_duplicates import NearDuplicates, TasksOver, detail_of
from pfp.ingest.recipe import Recipe
from pfp.ingest.spans import Floats, Ints, Spans, Track
from pfp.ingest.verdicts import all_kept, is_kept, with_dropped
from pfp.ingest.windows import Windows, longest_stretches, whole_videos, windows_of
from pfp.runtime.shared_tasks import TasksHere
from pfp.schema.verdict import Dropped

# Means over a window, by the names of a whole video's measures, of what each second has.
MEANS: Final = {
    "luma_mean": "luma_mean",
    "luma_std": "luma_std",
    "motion": "motion",
    "frozen_fraction": "frozen",
    "black_fraction": "black",
    "uniform_fraction": "uniform",
}
_COUNTS: Final = ("decode_error_count", "num_frames")


class Candidates(NamedTuple):
    """Measured videos with verdicts, and windows of those that filters keep.

    ``videos`` has the columns of ``MeasuredRecord`` but the track, and ``usable_seconds``, the
    longest stretch that windows may lie in, and ``duplicate_of``. ``windows`` has for each its
    ``video`` (the row there), ``start_seconds``, ``end_seconds``, what was measured in it, and a
    verdict.
    """

    videos: pa.Table
    windows: pa.Table

    def of_kept(self) -> Candidates:
        """Without the windows of videos that are dropped by now."""
        of_kept_W = is_kept(self.videos)[np.asarray(self.windows["video"])]
        return Candidates(self.videos, self.windows.filter(pa.array(of_kept_W)))


def judge(measured: Iterable[pa.Table], recipe: Recipe) -> Candidates:
    """What filters make of each video, and the windows of those that they keep.

    Takes tables of ``MeasuredRecord`` one after the other; tracks, which are long, end here.
    """
    videos, windows, num_before = [], [], 0
    for table in measured:
        judged = drop_by_filters(table, recipe.filters)
        chosen = choose_windows(judged, recipe.windows)
        windows.append(_with(chosen, "video", pc.add(chosen["video"], num_before)))
        videos.append(_without_track(judged, recipe.windows))
        num_before += table.num_rows
    return Candidates(pa.concat_tables(videos), pa.concat_tables(windows))


def drop_by_filters(clips: pa.Table, filters: Mapping[str, Filter]) -> pa.Table:
    """Drops what a filter refuses; the first of them, in the order given, names the reason."""
    bounds = [bound for one in filters.values() for bound in one.bounds(clips)]
    refused = first_refusals(bounds, is_kept(clips))
    return with_dropped(clips, np.array(list(refused), np.int64), refused.values())


def choose_windows(videos: pa.Table, settings: Windows | None) -> pa.Table:
    """The windows of those of some videos that are kept, judged by the filters of windows.

    Filters that need a network are not asked yet. Without settings a video is one window, whole.
    """
    spans = whole_videos(videos) if settings is None else windows_of(videos, settings)
    spans = spans.where(is_kept(videos)[spans.video])
    measures = _of_whole_videos if settings is None else _of_tracks
    windows = pa.table(
        {
            "video": pa.array(spans.video, pa.int64()),
            "start_seconds": pa.array(spans.start_seconds, pa.float64()),
            "end_seconds": pa.array(spans.end_seconds, pa.float64()),
            "duration_seconds": pa.array(spans.end_seconds - spans.start_seconds, pa.float64()),
            **measures(videos, spans),
            "verdict": all_kept(len(spans.video)),
        }
    )
    return windows if settings is None else drop_by_filters(windows, settings.pixel_filters)


def _of_whole_videos(videos: pa.Table, spans: Spans) -> dict[str, pa.ChunkedArray]:
    own = videos.take(pa.array(spans.video))
    return {name: own[name] for name in (*MEANS, *_COUNTS)}


def _of_tracks(videos: pa.Table, spans: Spans) -> dict[str, pa.Array]:
    track = Track(videos)
    damaged = track.total("num_damaged", spans)
    return {
        **{name: _or_null(track.mean(second, spans)) for name, second in MEANS.items()},
        "decode_error_count": pc.cast(_or_null(damaged), pa.int64()),
        "num_frames": pa.nulls(len(spans.video), pa.int64()),  # a second's frames are not counted
    }


def _or_null(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


def _without_track(videos: pa.Table, settings: Windows | None) -> pa.Table:
    usable = whole_videos(videos) if settings is None else longest_stretches(videos, settings.avoid)
    seconds = np.zeros(videos.num_rows)
    seconds[usable.video] = usable.end_seconds - usable.start_seconds
    return (
        videos.drop_columns(["track"])
        .append_column("usable_seconds", pa.array(seconds))
        .append_column("duplicate_of", pa.nulls(videos.num_rows, pa.string()))
    )


# ------------------------------------------------------------------------------------- duplicates


def drop_exact_duplicates(videos: pa.Table) -> pa.Table:
    """Drops kept videos of the same bytes as a kept one before them."""
    rows = np.flatnonzero(is_kept(videos))
    digests = videos["video_sha256"].take(pa.array(rows)).combine_chunks()
    codes = np.asarray(digests.dictionary_encode().indices)
    _, first, of_code = np.unique(codes, return_index=True, return_inverse=True)
    first = first[of_code]
    copies = np.flatnonzero(first != np.arange(len(rows)))

    def verdict(_number: int, kept: str) -> Dropped:
        return Dropped(reason="exact_duplicate", detail=f"the same bytes as {kept}")

    return _with_duplicates(videos, rows[copies], rows[first[copies]], verdict)


def drop_near_duplicates(
    videos: pa.Table, near: NearDuplicates | None, tasks_over: TasksOver = TasksHere[Samples]
) -> pa.Table:
    """Drops kept videos that show the same as a better one, or a part of it; None drops nothing."""
    if near is None:
        return videos
    found = near.find(videos, is_kept(videos), tasks_over)
    copies, better = (
        np.asarray(pc.index_in(found[name], value_set=videos["video_uri"]), np.int64)
        for name in ("video_uri", "kept_uri")
    )
    rows = found.to_pylist()

    def verdict(number: int, _kept: str) -> Dropped:
        return Dropped(
            reason="near_duplicate",
            detail=detail_of(rows[number]),
            score=rows[number]["bits"],
            threshold=near.max_mean_bits,
        )

    return _with_duplicates(videos, copies, better, verdict)


def _with_duplicates(
    videos: pa.Table, copies: Ints, kept: Ints, verdict: Callable[[int, str], Dropped]
) -> pa.Table:
    """The videos with ``copies`` dropped for ``kept``, row by row."""
    place = np.full(videos.num_rows, -1)
    place[copies] = kept
    taken = pa.array(place, pa.int64(), mask=place < 0)
    uris = videos["video_uri"].take(pa.array(kept)).to_pylist()
    found = (verdict(number, uri) for number, uri in enumerate(uris))
    duplicate_of = pc.coalesce(videos["video_uri"].take(taken), videos["duplicate_of"])
    return with_dropped(_with(videos, "duplicate_of", duplicate_of), copies, found)


# ---------------------------------------------------------------------------------------- windows


def drop_without_window(candidates: Candidates, settings: Windows | None) -> pa.Table:
    """The videos; those are dropped that were kept and in which no window has room."""
    videos, windows = candidates
    if settings is None:
        return videos
    has_window = np.bincount(np.asarray(windows["video"]), minlength=videos.num_rows) > 0
    rows = np.flatnonzero(is_kept(videos) & ~has_window)
    seconds = np.asarray(videos["usable_seconds"])[rows]
    return with_dropped(videos, rows, (_no_window(one, settings) for one in seconds.tolist()))


def _no_window(usable_seconds: float, settings: Windows) -> Dropped:
    return Dropped(
        reason="no_window",
        detail=f"usable for {usable_seconds:.4g} s at a time, {settings.min_seconds:.4g} s wanted",
        score=usable_seconds,
        threshold=settings.min_seconds,
    )


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    position = table.schema.get_field_index(name)
    return table.set_column(position, table.schema.field(position), column)
