"""Spans of many videos, their per-second tracks as flat arrays, and means of these over spans.

Axes: V videos, S seconds of all videos one after the other, W windows.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """Spans ``[start, end)`` of videos, each given by its row; in order of video and start."""

    video: Ints
    start_seconds: Floats
    end_seconds: Floats

    def where(self, chosen: npt.NDArray[np.bool_] | Ints) -> Spans:
        """The chosen ones of them: where true, or in that order."""
        return Spans(self.video[chosen], self.start_seconds[chosen], self.end_seconds[chosen])

    def followed_by(self, other: Spans) -> Spans:
        """These, then the others."""
        return Spans(
            np.concatenate([self.video, other.video]),
            np.concatenate([self.start_seconds, other.start_seconds]),
            np.concatenate([self.end_seconds, other.end_seconds]),
        )


class Track:
    """What every second of some videos was like (``MeasuredRecord.track``)."""

    def __init__(self, videos: pa.Table) -> None:
        track = videos["track"].combine_chunks()
        self._seconds = track.flatten()
        self.num_seconds_V = np.asarray(pc.fill_null(pc.list_value_length(track), 0), np.int64)
        self.offsets_V = np.concatenate([[0], np.cumsum(self.num_seconds_V)])
        self.duration_V = np.asarray(videos["duration_seconds"], float)
        self.video_S = np.repeat(np.arange(len(self.num_seconds_V)), self.num_seconds_V)
        ends_S = self.duration_V[self.video_S] - (
            np.arange(self.num_seconds) - self.offsets_V[self.video_S]
        )
        self._length_S = np.clip(ends_S, 0.0, 1.0)  # of each second; the last may be shorter

    @property
    def num_seconds(self) -> int:
        """Of all videos together, begun ones counted."""
        return int(self.offsets_V[-1])

    def column(self, name: str) -> Floats:
        """One measure of every second, (S,); NaN where it is unknown."""
        return np.asarray(pc.struct_field(self._seconds, name), float)

    def mean(self, name: str, spans: Spans) -> Floats:
        """The mean of a measure over each span, (W,), by time; NaN where nothing is known."""
        value_S = self.column(name)
        known_S = ~np.isnan(value_S)
        sums = self._sum(np.where(known_S, value_S, 0.0), spans)
        seconds = self._sum(known_S.astype(float), spans)
        with np.errstate(divide="ignore", invalid="ignore"):
            means: Floats = np.where(seconds > 0, sums / seconds, np.nan)
        return means

    def total(self, name: str, spans: Spans) -> Floats:
        """The sum of a count over the seconds that each span touches, (W,); NaN without a track."""
        first = self.offsets_V[spans.video] + np.floor(spans.start_seconds).astype(np.int64)
        last = self.offsets_V[spans.video] + np.ceil(spans.end_seconds).astype(np.int64)
        last = np.minimum(last, self.offsets_V[spans.video + 1])
        sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(self.column(name)))])
        totals: Floats = sums[last] - sums[np.minimum(first, last)]
        totals[self.num_seconds_V[spans.video] == 0] = np.nan
        return totals

    def _sum(self, value_S: Floats, spans: Spans) -> Floats:
        """The integral of a step function over each span."""
        weighted_S = value_S * self._length_S
        sums = np.concatenate([[0.0], np.cumsum(weighted_S)])

        def up_to(seconds_W: Floats) -> Floats:
            whole = np.floor(seconds_W).astype(np.int64)
            index = np.minimum(self.offsets_V[spans.video] + whole, self.offsets_V[spans.video + 1])
            part = np.clip(seconds_W - whole, 0.0, 1.0)
            is_inside = index < self.offsets_V[spans.video + 1]
            beyond = np.append(value_S, 0.0)[np.minimum(index, self.num_seconds)]
            length = np.append(self._length_S, 0.0)[np.minimum(index, self.num_seconds)]
            integral: Floats = sums[index] + is_inside * beyond * np.minimum(part, length)
            return integral

        return up_to(spans.end_seconds) - up_to(spans.start_seconds)
