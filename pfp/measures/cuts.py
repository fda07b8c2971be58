"""The rule for hard cuts between successive frames, which ingest and the metrics share.

A cut is a step between two frames that is large, that leaves little of the layout (``is_change``),
and that stands out from the steps beside it (``stands_out``, the idea of PySceneDetect's
AdaptiveDetector). ``find_cuts`` is the rule alone, for metrics that must not compare frames across
cuts: two cuts in successive steps hide each other, so a shot of a single frame is not seen.
``pfp.ingest.shots`` adds what a library of unknown videos needs: time, flashes, slides, dissolves.

Axes: H height, W width, C colour, R rows and K columns of cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

GRID: Final = 16  # frames are averaged to 16 x 16 cells: noise and small motion vanish
MIN_DIFFERENCE: Final = 8.0  # mean absolute difference of the cells, in 8-bit code values
MAX_CORRELATION: Final = 0.75  # of the two frames' cells, their means removed
OVER_NEIGHBOURS: Final = 1.6  # times the larger of the two steps beside it, plus one code value


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one frame to the next: mean absolute difference in 8-bit code values, correlation."""

    difference: float
    correlation: float


def layout_of(frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Means over 16 x 16 cells, float32 of shape (R, K, C) in [0, 255]; any size from 1 x 1 on."""
    height, width = frame_HWC.shape[:2]
    row_starts, num_rows = _cells(height)
    column_starts, num_columns = _cells(width)
    sums_RWC = np.add.reduceat(frame_HWC, row_starts, axis=0, dtype=np.uint32)
    sums_RKC = np.add.reduceat(sums_RWC, column_starts, axis=1, dtype=np.uint32)
    area_RK = num_rows[:, None] * num_columns[None, :]
    return np.asarray(sums_RKC / area_RK[:, :, None], dtype=np.float32)


def step_between(first_RKC: npt.NDArray[np.float32], second_RKC: npt.NDArray[np.float32]) -> Step:
    """The step between two frames of one size, from their layouts."""
    first, second = first_RKC - first_RKC.mean(), second_RKC - second_RKC.mean()
    scale = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return Step(
        difference=float(np.abs(first_RKC - second_RKC).mean()),
        correlation=float((first * second).sum()) / (scale + 1.0),
    )


def find_cuts(steps: Sequence[Step]) -> list[int]:
    """Numbers of the steps that are cuts; step i leads from frame i to frame i + 1."""
    cuts = []
    for index, step in enumerate(steps):
        beside = [steps[i].difference for i in (index - 1, index + 1) if 0 <= i < len(steps)]
        is_cut = is_change(step.difference, step.correlation)
        if is_cut and stands_out(step.difference, max(beside, default=0.0)):
            cuts.append(index)
    return cuts


def is_change(difference: float, correlation: float) -> bool:
    """Whether a step is large, in 8-bit code values, and leaves little of the layout."""
    return difference >= MIN_DIFFERENCE and correlation <= MAX_CORRELATION


def stands_out(difference: float, beside: float) -> bool:
    """Whether a step is well above the larger one of the steps beside it, in 8-bit code values."""
    return difference >= OVER_NEIGHBOURS * (beside + 1.0)


def _cells(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each of the cells along a side begins, and how many pixels it has."""
    edges = np.linspace(0, size, min(GRID, size) + 1).astype(np.int64)
    return edges[:-1], np.diff(edges)
