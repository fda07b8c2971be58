"""Exposure: how much of a frame has run into black or white.

Pixels within 2 % of either end of the range, as cameras' clipping warnings count them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.seconds import Floats, HeldMean

MAX_DARK: Final = 5  # 8-bit code values of luma in full range
MIN_BRIGHT: Final = 250


def clipped_shares(luma_HW: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """The shares of the pixels that are as dark, and as bright, as can be: each in [0, 1]."""
    num_dark = np.count_nonzero(luma_HW <= MAX_DARK)
    num_bright = np.count_nonzero(luma_HW >= MIN_BRIGHT)
    return num_dark / luma_HW.size, num_bright / luma_HW.size


class ExposureGauge:
    """Takes luma in full range."""

    def __init__(self) -> None:
        self._dark, self._bright = HeldMean(), HeldMean()

    def push(self, seconds: float, luma_HW: npt.NDArray[np.uint8]) -> None:
        """Add the frame shown from ``seconds`` on."""
        dark, bright = clipped_shares(luma_HW)
        self._dark.push(seconds, dark)
        self._bright.push(seconds, bright)

    def result(self, duration_seconds: float) -> tuple[Floats, Floats]:
        """The mean shares of each second, dark and bright, (K,); NaN where they are not known."""
        return self._dark.result(duration_seconds), self._bright.result(duration_seconds)
