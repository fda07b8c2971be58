"""Sharpness: the variance of the Laplacian of luma.

Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR
2000, equation 2 ("LAPV"). It grows with contrast, and noise counts as detail.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pfp.ingest.seconds import Floats, HeldMean


def laplacian_variance(luma_HW: npt.NDArray[np.uint8]) -> float | None:
    """Of the Laplacian [0 1 0, 1 -4 1, 0 1 0] inside the frame, in squared code values.

    None for fewer than 3 pixels a side.
    """
    if min(luma_HW.shape) < 3:
        return None
    luma = luma_HW.astype(np.int16)
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * luma[1:-1, 1:-1]).var(dtype=np.float32))


class SharpnessGauge:
    """Takes luma of at most 256 lines, so that videos of different sizes compare."""

    def __init__(self) -> None:
        self._mean = HeldMean()

    def push(self, seconds: float, luma_HW: npt.NDArray[np.uint8]) -> None:
        """Add the frame shown from ``seconds`` on."""
        value = laplacian_variance(luma_HW)
        if value is not None:
            self._mean.push(seconds, value)

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second, (K,); NaN where it is not known."""
        return self._mean.result(duration_seconds)
