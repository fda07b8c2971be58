"""Which pairs of successive frames a cut lies between, by a small rule on averaged pictures.

For metrics that must not compare pictures across cuts. It finds hard cuts only; a cut is a step
between two pictures that is large, that leaves little of the layout, and that stands out from the
steps beside it (the idea of PySceneDetect's AdaptiveDetector). Two cuts in successive steps hide
each other: a shot of a single frame is not seen.

Axes: H height, W width, C colour, R rows and K columns of cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

GRID: Final = 16  # pictures are averaged to 16 x 16 cells: noise and small motion vanish
MIN_LEVELS: Final = 8.0  # mean absolute difference of the cells, of 255
MAX_CORRELATION: Final = 0.75  # of the two pictures' cells, their means removed
OVER_NEIGHBOURS: Final = 1.6  # times the larger of the two steps beside it, plus one level


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one picture to the next: mean absolute difference in levels, and correlation."""

    levels: float
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
    """The step between two pictures of one size, from their layouts."""
    first, second = first_RKC - first_RKC.mean(), second_RKC - second_RKC.mean()
    scale = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return Step(
        levels=float(np.abs(first_RKC - second_RKC).mean()),
        correlation=float((first * second).sum()) / (scale + 1.0),
    )


def find_cuts(steps: Sequence[Step]) -> list[int]:
    """Numbers of the steps that are cuts; step i leads from picture i to picture i + 1."""
    cuts = []
    for index, step in enumerate(steps):
        beside = [steps[i].levels for i in (index - 1, index + 1) if 0 <= i < len(steps)]
        is_change = step.levels >= MIN_LEVELS and step.correlation <= MAX_CORRELATION
        if is_change and step.levels >= OVER_NEIGHBOURS * (max(beside, default=0.0) + 1.0):
            cuts.append(index)
    return cuts


def _cells(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each of the cells along a side begins, and how many pixels it has."""
    edges = np.linspace(0, size, min(GRID, size) + 1).astype(np.int64)
    return edges[:-1], np.diff(edges)
