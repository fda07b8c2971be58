"""A video over an enlarged, blurred copy of itself, as upright videos are put into wide ones.

The sides are filler, though no bar of one colour. Such a frame has two straight seams at the same
distance from both edges, sides without detail, and sides that look like the middle enlarged. A
subject in front of a background out of focus has no seams, and its sides are another part of the
scene.

Axes: H height, W width, C colour, S columns of the sides. Frames are square, SIDE cells a side.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

SAMPLE_SECONDS: Final = 1.0
SHARE_OF_TIME: Final = 1 / 3  # as long must the same backdrop be seen to count

MIN_EDGE_CELLS: Final = 4  # of each side
MAX_EDGE_SHARE: Final = 0.44
MAX_WIDTHS: Final = 4  # that are tried in one frame
# Luma change across a seam, over that across nine in ten of the columns of the sides.
MIN_SEAM: Final = 1.5
MAX_DETAIL: Final = 0.6  # change between columns of the sides, over that in the middle
# Correlation of the sides with what the middle gives enlarged: of all, and of what is left when
# each row's mean is taken out, since a sky above a ground is alike everywhere.
MIN_ALIKE: Final = 0.88
MIN_ALIKE_IN_ROWS: Final = 0.82
# Where the seams are very plain and the sides very smooth, likeness of the whole is enough: some
# programs blur in blocks, or darken one part.
MIN_PLAIN_SEAM: Final = 4.0
MAX_PLAIN_DETAIL: Final = 0.35
MIN_PLAIN_ALIKE: Final = 0.45

_BLUR_CELLS: Final = 3.0  # deviation of the blur that is put on the copy before it is compared
_BLOCK_ROWS: Final = 4  # that are averaged: what is finer, blurring has taken away

Floats: TypeAlias = npt.NDArray[np.float32]


class BackdropGauge:
    """Takes small frames in order of time; holds one small number a sample."""

    def __init__(self) -> None:
        self._num = 0
        self._last_seconds = -SAMPLE_SECONDS
        self._found: Counter[tuple[str, int]] = Counter()
        self._side = 1

    def push(self, seconds: float, frame_HWC: npt.NDArray[np.uint8]) -> None:
        """Add the frame shown from ``seconds`` on."""
        if seconds - self._last_seconds < SAMPLE_SECONDS - 1e-3:
            return
        self._last_seconds = seconds
        self._num += 1
        self._side = len(frame_HWC)
        frame = frame_HWC.astype(np.float32)
        for axis, turned in (("columns", frame), ("rows", frame.swapaxes(0, 1))):
            cells = backdrop_cells(turned)
            if cells:
                self._found[axis, cells] += 1

    def result(self) -> float:
        """The share of the area that a backdrop takes for at least ``SHARE_OF_TIME``."""
        for (axis, cells), _ in self._found.most_common():
            # The seam may lie between two cells.
            times = sum(self._found[axis, near] for near in (cells - 1, cells, cells + 1))
            if times >= math.ceil(self._num * SHARE_OF_TIME):
                return 2 * cells / self._side
        return 0.0


def backdrop_cells(frame_HWC: Floats) -> int:
    """How many columns at each side are a backdrop of what lies between them; 0 for none."""
    steps_W = np.abs(np.diff(frame_HWC, axis=1)).mean(axis=(0, 2))
    for cells, seam in _seams(steps_W):
        if _is_backdrop(frame_HWC, steps_W, cells, seam):
            return cells
    return 0


def _is_backdrop(
    frame_HWC: Floats, steps_W: npt.NDArray[np.floating], cells: int, seam: float
) -> bool:
    if seam < MIN_SEAM:
        return False
    sides_W = np.concatenate([steps_W[: cells - 2], steps_W[len(steps_W) - cells + 2 :]])
    detail = float(sides_W.mean() / (steps_W[cells + 1 : len(steps_W) - cells - 1].mean() + 1e-3))
    if detail > MAX_DETAIL:
        return False
    is_plain = seam > MIN_PLAIN_SEAM and detail < MAX_PLAIN_DETAIL
    for stretches in (False, True):
        alike, alike_in_rows = _likeness(frame_HWC, cells, stretches=stretches)
        if (alike > MIN_ALIKE and alike_in_rows > MIN_ALIKE_IN_ROWS) or (
            is_plain and alike > MIN_PLAIN_ALIKE
        ):
            return True
    return False


def _seams(steps_W: npt.NDArray[np.floating]) -> list[tuple[int, float]]:
    """The likeliest widths of the sides in cells, and how much their seams stand out.

    Blocks of a coarse blur have seams among themselves, so that the plainest is not always the one.
    """
    num = len(steps_W)
    widths, is_side = _sides(num)
    weaker = np.minimum(steps_W[widths - 1], steps_W[num - widths])
    # Of each row the sides only, in order, so that nine in ten of them lie below the one taken.
    ordered = np.sort(np.where(is_side, steps_W, np.inf), axis=1)
    around = ordered[np.arange(len(widths)), (0.9 * is_side.sum(axis=1)).astype(int)]
    stands_out = weaker / (around + 0.7)
    best = np.argsort(-stands_out)[:MAX_WIDTHS]
    return [(int(widths[one]), float(stands_out[one])) for one in best]


def _likeness(frame_HWC: Floats, cells: int, *, stretches: bool) -> tuple[float, float]:
    """How the sides correlate with the enlarged middle: in all, and within rows.

    stretches: the copy was made wider only; else it kept its shape and lost top and bottom.
    """
    side = len(frame_HWC)
    middle = frame_HWC[:, cells : side - cells]
    rows = _enlarging(side, 0 if stretches else cells)
    enlarged = np.tensordot(rows, middle if stretches else middle[cells : side - cells], 1)
    copy_HWC = np.tensordot(enlarged, _enlarging(side, cells), (1, 1)).swapaxes(1, 2)
    # Without the columns at the seams, into which the middle leaks.
    sides = np.concatenate([np.arange(cells - 1), np.arange(side - cells + 1, side)])
    found, expected = _blocks(frame_HWC[:, sides]), _blocks(copy_HWC[:, sides])
    return (
        _correlation(found - found.mean((0, 1)), expected - expected.mean((0, 1))),
        _correlation(
            found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True)
        ),
    )


def _blocks(sides_HSC: Floats) -> Floats:
    num, num_colours = sides_HSC.shape[1:]
    blocks: Floats = sides_HSC.reshape(-1, _BLOCK_ROWS, num, num_colours).mean(axis=1)
    return blocks


def _correlation(one: Floats, other: Floats) -> float:
    scale = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / (scale + 1e-6)


@cache
def _sides(num: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The widths that sides may have, and for each which of ``num`` steps lie within them."""
    widths = np.arange(MIN_EDGE_CELLS, int(MAX_EDGE_SHARE * (num + 1)) + 1)
    steps = np.arange(num)
    is_side = (steps < widths[:, None] - 2) | (steps >= num - widths[:, None] + 2)
    return widths, is_side


@cache
def _enlarging(side: int, cells: int) -> Floats:
    """The (side, side - 2 cells) matrix that enlarges linearly to ``side`` and blurs."""
    small = side - 2 * cells
    at = np.clip((np.arange(side) + 0.5) * small / side - 0.5, 0, small - 1)
    below = np.minimum(at.astype(int), small - 2)
    enlarging = np.zeros((side, small))
    enlarging[np.arange(side), below] = 1 - (at - below)
    enlarging[np.arange(side), below + 1] = at - below
    places = np.arange(side)
    blur = np.exp(-np.square((places[:, None] - places) / _BLUR_CELLS) / 2)
    both = blur / blur.sum(axis=1, keepdims=True) @ enlarging
    return np.asarray(both, np.float32)
