"""Windows of videos: the spans that become clips, chosen from what each second was like.

All videos of a table are cut at once, in arrays. Axes: V videos, S seconds of all videos one after
the other, R stretches (runs of usable seconds), W windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import ConfigError
from pfp.ingest.filters import NETWORK_FILTERS, Filter
from pfp.ingest.spans import Floats, Ints, Spans, Track

_CLOSE: Final = 1e-6  # seconds; times that differ by less are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Avoid:
    """What a second may have of each defect and still be part of a window: shares in [0, 1].

    ``max_damaged`` is a number of damaged frames. What was not measured is no defect.
    """

    max_black: float
    max_uniform: float
    max_frozen: float
    max_damaged: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How videos are cut into clips.

    A window lies in a stretch of usable seconds (``avoid``) and has ``min_seconds`` or more and
    ``max_seconds`` or less; as few windows of equal length as fill a stretch are laid into it,
    each ``overlap_seconds`` into the one before. With ``begin_at_cuts`` a window begins at the next
    cut where the seconds that are to spare suffice. Of more than ``max_per_video`` windows in a
    video so many are taken, spread evenly. ``filters`` are asked of each window, those that need
    a network after all others.
    """

    min_seconds: float
    max_seconds: float
    overlap_seconds: float
    max_per_video: float
    begin_at_cuts: bool
    avoid: Avoid
    filters: Mapping[str, Filter]

    def __post_init__(self) -> None:
        """Refuses lengths that no window can have."""
        if not 0 < self.min_seconds <= self.max_seconds:
            message = (
                f"windows of at least {self.min_seconds} s and at most {self.max_seconds} s do not "
                "exist; give 0 < min_seconds <= max_seconds"
            )
            raise ConfigError(message)
        if not 0 <= self.overlap_seconds < self.min_seconds:
            message = (
                f"overlap_seconds is {self.overlap_seconds}; give 0 to below min_seconds "
                f"({self.min_seconds})"
            )
            raise ConfigError(message)
        if self.max_per_video < 1 or self.max_per_video % 1:
            message = f"max_per_video is {self.max_per_video}; give a whole number from 1 on"
            raise ConfigError(message)

    @property
    def pixel_filters(self) -> dict[str, Filter]:
        """Those of the filters that ask about what was measured of every second."""
        return {name: one for name, one in self.filters.items() if name not in NETWORK_FILTERS}

    @property
    def network_filters(self) -> dict[str, Filter]:
        """The others, which ask about what networks saw in a window."""
        return {name: one for name, one in self.filters.items() if name in NETWORK_FILTERS}


def whole_videos(videos: pa.Table) -> Spans:
    """Each video as one span, from its first frame to the end of its last; needs a duration."""
    end_V = np.asarray(videos["duration_seconds"], float)
    known_V = ~np.isnan(end_V)
    return Spans(np.arange(len(end_V)), np.zeros(len(end_V)), end_V).where(known_V)


def windows_of(videos: pa.Table, settings: Windows) -> Spans:
    """The windows of videos: rows of ``MeasuredRecord`` with a duration, a track and shots."""
    stretches = usable_stretches(videos, settings.avoid)
    windows = _lay_out(stretches, settings, _Cuts(videos) if settings.begin_at_cuts else None)
    return windows.where(_spread_evenly(windows.video, int(settings.max_per_video)))


def usable_stretches(videos: pa.Table, avoid: Avoid) -> Spans:
    """The longest spans without a second that is to be avoided.

    A video without a track was not looked at (HDR): it is one stretch.
    """
    track = Track(videos)
    bad_S = np.zeros(track.num_seconds, bool)
    for name, limit in (
        ("black", avoid.max_black),
        ("uniform", avoid.max_uniform),
        ("frozen", avoid.max_frozen),
        ("num_damaged", avoid.max_damaged),
    ):
        bad_S |= np.nan_to_num(track.column(name)) > limit
    first_S = np.zeros(track.num_seconds + 1, bool)  # of its video
    first_S[track.offsets_V] = True
    good_S = ~bad_S
    begins_S = good_S & (first_S[:-1] | np.r_[True, bad_S[:-1]])
    ends_S = good_S & (first_S[1:] | np.r_[bad_S[1:], True])
    begin_R, end_R = np.flatnonzero(begins_S), np.flatnonzero(ends_S)
    video_R = track.video_S[begin_R]
    offset_R = track.offsets_V[video_R]
    in_track = Spans(
        video_R,
        (begin_R - offset_R).astype(float),
        np.minimum(end_R + 1.0 - offset_R, track.duration_V[video_R]),
    )
    unseen = whole_videos(videos)
    unseen = unseen.where(track.num_seconds_V[unseen.video] == 0)
    return _in_order(in_track.followed_by(unseen))


def longest_stretches(videos: pa.Table, avoid: Avoid) -> Spans:
    """The longest of each video that has any."""
    stretches = usable_stretches(videos, avoid)
    seconds = stretches.end_seconds - stretches.start_seconds
    longest_first = stretches.where(np.lexsort((-seconds, stretches.video)))
    _, first = np.unique(longest_first.video, return_index=True)
    return longest_first.where(first)


def _in_order(spans: Spans) -> Spans:
    return spans.where(np.lexsort((spans.start_seconds, spans.video)))


class _Cuts:
    """Where shots begin, of all videos, found by video and time."""

    def __init__(self, videos: pa.Table) -> None:
        shots = videos["shots"].combine_chunks()
        starts = pc.struct_field(shots.flatten(), "start_seconds")
        self._span = 1.0 + float(max(pc.max(videos["duration_seconds"]).as_py() or 0.0, 0.0))
        video = np.asarray(pc.list_parent_indices(shots), float)
        self._keys = np.sort(video * self._span + np.asarray(starts, float))

    def next_within(self, video: Ints, earliest: Floats, latest: Floats) -> Floats:
        """The first cut in ``[earliest, latest]`` of each video, else ``earliest``."""
        if not len(self._keys):
            return earliest
        begin = video * self._span
        place = np.searchsorted(self._keys, begin + earliest - _CLOSE)
        found = self._keys[np.minimum(place, len(self._keys) - 1)] - begin
        is_inside = (found >= earliest - _CLOSE) & (found <= latest + _CLOSE)
        return np.where(is_inside, np.clip(found, earliest, latest), earliest)


def _lay_out(stretches: Spans, settings: Windows, cuts: _Cuts | None) -> Spans:
    """Windows of equal length in each stretch, from left to right."""
    overlap = settings.overlap_seconds
    seconds_R = stretches.end_seconds - stretches.start_seconds
    num_R, length_R = _number_and_length(seconds_R, settings)
    spare_R = seconds_R - num_R * (length_R - overlap) - overlap
    start_R = stretches.start_seconds.copy()
    rows: list[Ints] = []
    starts: list[Floats] = []
    for number in range(int(num_R.max(initial=0))):
        row = np.flatnonzero(num_R > number)
        earliest = start_R[row]
        start = earliest
        if cuts is not None:
            latest = earliest + np.maximum(spare_R[row], 0)
            start = cuts.next_within(stretches.video[row], earliest, latest)
        spare_R[row] -= start - earliest
        start_R[row] = start + length_R[row] - overlap
        rows.append(row)
        starts.append(start)
    if not rows:
        return stretches.where(np.zeros(len(seconds_R), bool))
    row_W, start_W = np.concatenate(rows), np.concatenate(starts)
    end_W = np.minimum(start_W + length_R[row_W], stretches.end_seconds[row_W])
    return _in_order(Spans(stretches.video[row_W], start_W, end_W))


def _number_and_length(seconds_R: Floats, settings: Windows) -> tuple[Ints, Floats]:
    """How many windows lie in stretches that are so long, and how long each of them is.

    As few as cover a stretch, unless these would be too short: then as many as have room.
    """
    overlap = settings.overlap_seconds
    cover_R = np.ceil((seconds_R - overlap - _CLOSE) / (settings.max_seconds - overlap))
    room_R = np.floor((seconds_R - overlap + _CLOSE) / (settings.min_seconds - overlap))
    num_R = np.maximum(np.minimum(cover_R, room_R), 0).astype(np.int64)
    length_R = (seconds_R + (num_R - 1) * overlap) / np.maximum(num_R, 1)
    return num_R, np.minimum(length_R, settings.max_seconds)


def _spread_evenly(video_W: Ints, max_per_video: int) -> npt.NDArray[np.bool_]:
    """Which windows are taken where a video has more than it may: evenly spread ones."""
    _, first_W, count_W = np.unique(video_W, return_index=True, return_counts=True)
    rank_W = np.arange(len(video_W)) - np.repeat(first_W, count_W)
    of_W = np.repeat(count_W, count_W)
    taken = np.minimum(of_W, max_per_video)
    chosen: npt.NDArray[np.bool_] = (rank_W + 1) * taken // of_W > rank_W * taken // of_W
    return chosen
