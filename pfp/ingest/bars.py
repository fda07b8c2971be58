"""How much of a frame is no content but bars of one colour at its edges.

Bars are looked for in windows of a second, so that those that come and go are seen. A dark sky or a
white wall is no bar: a bar ends along a straight line over the whole length of its edge, and bars
that are not black stand on both sides.

Axes: H height, W width, C colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

WINDOW_SECONDS: Final = 1.0
SHARE_OF_TIME: Final = 1 / 3  # bars must stand for as long as that to count

# Differences and values are 8-bit code values.
FLAT_RANGE: Final = 4.0  # cells of a bar differ by no more, over a window and along the bar
FLAT_RANGE_OF_ALL: Final = 8.0  # over the whole video, in which noise adds up
FLAT_CELLS: Final = 0.9  # of a line of cells: the others may hold a logo or noise
BLACK_MAX: Final = 20.0  # black bars may stand on one side only
EDGE_DIFFERENCE: Final = 10.0  # what follows a bar differs from it by more
EDGE_CELLS: Final = 0.7  # in so much of the line that follows, on both sides
LONE_EDGE_CELLS: Final = 0.9  # of a bar on one side
MAX_UNEVEN: Final = 2  # cells between the widths of two coloured bars

Frame: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    """A bar at one side: its width in cells, its colour, and how much of its edge is sharp."""

    cells: int
    colour_C: npt.NDArray[np.float32]
    sharp: float


class BarGauge:
    """Takes small frames in order of time; holds one number a window."""

    def __init__(self) -> None:
        self._since = 0.0
        self._window: ColourRange | None = None
        self._all: ColourRange | None = None
        self._shares: list[float] = []

    def push(self, seconds: float, frame_HWC: Frame) -> None:
        """Add the frame shown from ``seconds`` on."""
        if self._all is None or self._window is None:
            self._since, self._window, self._all = (
                seconds,
                ColourRange(frame_HWC),
                ColourRange(frame_HWC),
            )
        elif seconds - self._since >= WINDOW_SECONDS:
            self._close(self._window)
            self._since, self._window = seconds, ColourRange(frame_HWC)
        else:
            self._window.add(frame_HWC)
        self._all.add(frame_HWC)

    def result(self) -> float:
        """The share of the area under bars for at least ``SHARE_OF_TIME``, or for all of it.

        In a dark film no single window may show where the bars end, but the whole does.
        """
        if self._all is None or self._window is None:
            return 0.0
        self._close(self._window)
        always = bar_share(self._all.low, self._all.high, FLAT_RANGE_OF_ALL) or 0.0
        if not self._shares:
            return always
        wanted = math.ceil(len(self._shares) * SHARE_OF_TIME)
        return max(always, sorted(self._shares, reverse=True)[wanted - 1])

    def _close(self, window: ColourRange) -> None:
        share = bar_share(window.low, window.high)
        if share is not None:
            self._shares.append(share)


class ColourRange:
    """The darkest and the brightest of each cell's colours."""

    def __init__(self, frame_HWC: Frame) -> None:
        self.low, self.high = frame_HWC.copy(), frame_HWC.copy()

    def add(self, frame_HWC: Frame) -> None:
        """Widen it by a frame's colours."""
        np.minimum(self.low, frame_HWC, out=self.low)
        np.maximum(self.high, frame_HWC, out=self.high)


def bar_share(low_HWC: Frame, high_HWC: Frame, flat_range: float = FLAT_RANGE) -> float | None:
    """The share of the area under bars, from the darkest and the brightest of each cell's colours.

    None for what is one colour all over: nothing can be told.
    """
    area = area_between_bars(low_HWC, high_HWC, flat_range)
    if area is None:
        return None
    (rows, columns), (height, width) = area, low_HWC.shape[:2]
    return float(1 - (rows.stop - rows.start) / height * (columns.stop - columns.start) / width)


def area_between_bars(
    low_HWC: Frame, high_HWC: Frame, flat_range: float, flat_cells: float = FLAT_CELLS
) -> tuple[slice, slice] | None:
    """The rows and the columns that no bar covers; None for what is one colour all over.

    ``flat_cells`` is the share of a line of cells that has to be of the bar's colour.
    """
    low, high = low_HWC.astype(np.float32), high_HWC.astype(np.float32)
    rows = _pair(low, high, flat_range, flat_cells)
    if rows is None:
        return None
    # Bars on the other sides must not hide where these end.
    columns = _pair(_turned(low[rows]), _turned(high[rows]), flat_range, flat_cells)
    if columns is None:
        return None
    if columns != slice(0, low.shape[1]):
        rows = _pair(low[:, columns], high[:, columns], flat_range, flat_cells) or rows
    return rows, columns


def _turned(frame_HWC: Floats) -> Floats:
    return frame_HWC.swapaxes(0, 1)


def _pair(low: Floats, high: Floats, flat_range: float, flat_cells: float) -> slice | None:
    """The lines (first axis) between bars at both ends; None where all are of one colour."""
    first = _edge(low, high, flat_range, flat_cells)
    last = _edge(low[::-1], high[::-1], flat_range, flat_cells)
    if first.cells == len(low):
        return None
    both = min(first.cells, last.cells) > 0 and min(first.sharp, last.sharp) >= EDGE_CELLS
    alike = both and bool(np.abs(first.colour_C - last.colour_C).max() <= FLAT_RANGE)
    is_pair = alike and abs(first.cells - last.cells) <= MAX_UNEVEN
    before, after = (
        edge.cells if is_pair or _may_stand_alone(edge) else 0 for edge in (first, last)
    )
    return slice(before, len(low) - after)


def _may_stand_alone(edge: _Edge) -> bool:
    return bool(edge.colour_C.max() <= BLACK_MAX and edge.sharp >= LONE_EDGE_CELLS)


def _edge(low: Floats, high: Floats, flat_range: float, flat_cells: float) -> _Edge:
    """The bar before the first line that is not of the outermost line's colour."""
    colour_C = _median((low[0] + high[0]) / 2)
    outermost = np.maximum(high[0] - colour_C, colour_C - low[0]).max(axis=1)
    if (outermost <= flat_range).mean() < flat_cells:
        return _Edge(cells=0, colour_C=colour_C, sharp=0.0)  # as most frames are
    differs = np.maximum(high - colour_C, colour_C - low).max(axis=2)
    is_bar = (differs <= flat_range).mean(axis=1) >= flat_cells
    cells = len(low) if is_bar.all() else int(is_bar.argmin())
    # The line that follows may lie half on the bar: the one after it counts, too.
    after = differs[cells : cells + 2]
    sharp = (
        float((after > EDGE_DIFFERENCE + flat_range - FLAT_RANGE).any(axis=0).mean())
        if len(after)
        else 0.0
    )
    return _Edge(cells=cells, colour_C=colour_C, sharp=sharp)


def _median(values_NC: Floats) -> npt.NDArray[np.float32]:
    """What ``numpy.median`` gives along the first axis, at a tenth of its cost for so few."""
    num = len(values_NC)
    sorted_NC = np.sort(values_NC, axis=0)
    median_C: npt.NDArray[np.float32] = (sorted_NC[(num - 1) // 2] + sorted_NC[num // 2]) / 2
    return median_C
