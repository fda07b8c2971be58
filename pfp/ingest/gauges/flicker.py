"""Flicker: brightness that goes up and down from frame to frame.

"Unnatural temporal fluctuations in perceived image intensity that do not originate from the
original scene" (van Roosmalen, "Restoration of archived film and video", Delft 1999, chapter 3), of
the mean of luma. Only what is taken back at once counts: a fade, a cut or an exposure that adapts
goes one way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.seconds import Floats, HeldMean

_LUMA_C: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709


class FlickerGauge:
    """Takes all frames: every second one would show nothing of what alternates."""

    def __init__(self) -> None:
        self._mean = HeldMean()
        self._last: list[tuple[float, float]] = []  # time and brightness of up to two frames

    def push_block(self, seconds_T: Sequence[float], frames_THWC: npt.NDArray[np.uint8]) -> None:
        """Add the frames shown from those times on, RGB."""
        num, height, width, _ = frames_THWC.shape
        weights = np.tile(_LUMA_C / (height * width), height * width)
        brightness_T = frames_THWC.reshape(num, -1).astype(np.float32) @ weights
        for seconds, brightness in zip(seconds_T, brightness_T.tolist(), strict=True):
            self.push(seconds, brightness)

    def push(self, seconds: float, brightness: float) -> None:
        """Add the mean of luma of the frame shown from ``seconds`` on."""
        if len(self._last) == 2:
            (_, before), (middle_seconds, middle) = self._last
            self._mean.push(middle_seconds, taken_back(before, middle, brightness))
        self._last = [*self._last[-1:], (seconds, brightness)]

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second in 8-bit code values a frame, (K,); NaN where it is not known."""
        return self._mean.result(duration_seconds)


def taken_back(before: float, middle: float, after: float) -> float:
    """How much of the step to the middle number the next one takes back."""
    up, down = middle - before, middle - after
    return min(abs(up), abs(down)) if up * down > 0 else 0.0
