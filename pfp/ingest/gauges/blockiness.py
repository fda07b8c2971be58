"""Blockiness: how much luma steps across the lines of the 8 x 8 grid, over elsewhere.

The blocking measure over the activity measure of Wang, Sheikh and Bovik, "No-reference perceptual
quality assessment of JPEG compressed images", ICIP 2002, equations 1 and 3, with both directions
added up: 1 without a grid, more the plainer it shows. A grid that was scaled or shifted since it
was coded is not seen, and deblocking filters take most of it away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.luma import signed
from pfp.ingest.seconds import Floats, HeldMean

BLOCK: Final = 8
_FLOOR: Final = 0.1  # code values, added to both: in an even frame nothing steps anywhere


def blockiness(luma_HW: npt.NDArray[np.integer]) -> float | None:
    """Of luma whose first row and column begin a block; None for less than two blocks a side."""
    if min(luma_HW.shape) < 2 * BLOCK:
        return None
    luma = signed(luma_HW)
    at_grid, elsewhere = np.add(_steps(luma), _steps(luma.T))
    return float((at_grid + _FLOOR) / (elsewhere + _FLOOR))


def _steps(luma_HW: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Mean absolute steps from column to column: across the grid, and elsewhere."""
    steps_W = np.abs(np.diff(luma_HW, axis=1)).mean(axis=0)
    at_grid = steps_W[BLOCK - 1 :: BLOCK]
    elsewhere = (steps_W.sum() - at_grid.sum()) / (len(steps_W) - len(at_grid))
    return np.array([at_grid.mean(), elsewhere])


class BlockinessGauge:
    """Takes luma as it is coded, in its own size."""

    def __init__(self) -> None:
        self._mean = HeldMean()

    def push(self, seconds: float, luma_HW: npt.NDArray[np.integer]) -> None:
        """Add the frame shown from ``seconds`` on, from the beginning of a block."""
        value = blockiness(luma_HW)
        if value is not None:
            self._mean.push(seconds, value)

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second, (K,); NaN where it is not known."""
        return self._mean.result(duration_seconds)
