"""Sums and means second by second: ``[k, k + 1)`` of a video's own time, whatever its frame rate.

Axis: K seconds of the video.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

# A day. By what its file says, one frame may lie a thousand years after the one before.
MAX_SECONDS: Final = 86_400

Floats: TypeAlias = npt.NDArray[np.float64]


def num_seconds(duration_seconds: float) -> int:
    """How many seconds of a video have an entry; the last one may be there in part."""
    return min(math.ceil(duration_seconds), MAX_SECONDS)


def lengths(duration_seconds: float) -> Floats:
    """How much of each second is there, (K,): 1, but for the last."""
    starts_K = np.arange(num_seconds(duration_seconds))
    return np.asarray(np.minimum(duration_seconds - starts_K, 1.0), np.float64)


class SecondSums:
    """Integrals over each second of what holds for spans of time; 0 where nothing was added."""

    def __init__(self) -> None:
        self._sums = np.zeros(64)

    def add(self, begin_seconds: float, end_seconds: float, value: float = 1.0) -> None:
        """Add what has the value from one time to another."""
        first, last = int(begin_seconds), int(end_seconds)
        if last >= len(self._sums):
            self._grow(last + 1)
        if first == last < MAX_SECONDS:
            self._sums[first] += (end_seconds - begin_seconds) * value
            return
        starts_K = np.arange(first, min(last + 1, MAX_SECONDS))
        ends_K = np.minimum(starts_K + 1, end_seconds)
        self._sums[starts_K] += (ends_K - np.maximum(starts_K, begin_seconds)) * value

    def result(self, duration_seconds: float) -> Floats:
        """The integrals of a video of that length, (K,)."""
        num = num_seconds(duration_seconds)
        self._grow(num)
        return self._sums[:num].copy()

    def _grow(self, num: int) -> None:
        num = min(max(num, 2 * len(self._sums)), MAX_SECONDS)
        self._sums = np.concatenate([self._sums, np.zeros(max(0, num - len(self._sums)))])


class HeldMean:
    """Means over time of a number that is told now and then and holds until it is told anew."""

    def __init__(self) -> None:
        self._sums = SecondSums()
        self._total = 0.0
        self._since_seconds = 0.0
        self._value: float | None = None

    def push(self, seconds: float, value: float) -> None:
        """The number is ``value`` from ``seconds`` on; the first one holds from the start."""
        if self._value is not None:
            self._hold_until(seconds)
        self._value = value

    def mean(self, duration_seconds: float) -> float | None:
        """Over a whole video of that length; None where no number was told."""
        if self._value is None:
            return None
        self._hold_until(duration_seconds)
        return self._total / duration_seconds if duration_seconds else self._value

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second, (K,); NaN where no number was told."""
        if self._value is None:
            return np.full(num_seconds(duration_seconds), np.nan)
        self._hold_until(duration_seconds)
        return self._sums.result(duration_seconds) / lengths(duration_seconds)

    def _hold_until(self, seconds: float) -> None:
        assert self._value is not None
        self._sums.add(self._since_seconds, seconds, self._value)
        self._total += (seconds - self._since_seconds) * self._value
        self._since_seconds = seconds
