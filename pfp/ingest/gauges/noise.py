"""Noise: the deviation that is left in luma where an image has neither slope nor curve.

Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64(2), 1996,
equation 4. Fine texture counts as noise; what was scaled or coded has lost some of its noise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pfp.ingest.luma import signed
from pfp.ingest.seconds import Floats, HeldMean


def noise_sigma(luma_HW: npt.NDArray[np.integer]) -> float | None:
    """The deviation of additive noise in code values, by the mask [1 -2 1, -2 4 -2, 1 -2 1].

    None for fewer than 3 pixels a side.
    """
    height, width = luma_HW.shape
    if min(height, width) < 3:
        return None
    luma = signed(luma_HW)
    rows = luma[:-2] - 2 * luma[1:-1] + luma[2:]
    masked = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    scale = math.sqrt(math.pi / 2) / (6 * (width - 2) * (height - 2))
    return float(scale * np.abs(masked).sum(dtype=np.int64))


class NoiseGauge:
    """Takes luma as it is coded, in its own size."""

    def __init__(self) -> None:
        self._mean = HeldMean()

    def push(self, seconds: float, luma_HW: npt.NDArray[np.integer], bits: int = 8) -> None:
        """Add the frame shown from ``seconds`` on, of so many bits a sample."""
        value = noise_sigma(luma_HW)
        if value is not None:
            self._mean.push(seconds, value / (1 << bits - 8))

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second in 8-bit code values, (K,); NaN where it is not known."""
        return self._mean.result(duration_seconds)
