"""Light, colour and layout of a shot, in numbers.

Axes: T frames, H rows, W columns, C colours (RGB); Y and X are the rows and columns of a 3 x 3
grid over the frame, K the entries of ``COLOURS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

COLOURS: Final = (
    *("black", "grey", "white", "red", "brown", "orange", "yellow"),
    *("green", "teal", "blue", "purple", "pink"),
)
# Upper end of each hue, in degrees; red again above the last.
HUE_ENDS_DEGREES: Final = (15.0, 42.0, 68.0, 165.0, 200.0, 258.0, 292.0, 345.0)
HUE_NAMES: Final = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "red")
NEUTRAL_CHROMA: Final = 26  # max - min of RGB, [0, 255]: below it a pixel has no hue
BROWN_VALUE: Final = 165  # orange darker than this is called brown
BLACK_VALUE: Final = 45
WHITE_VALUE: Final = 205

LUMA_WEIGHTS: Final = np.array([0.2126, 0.7152, 0.0722])  # BT.709


def _region(rows: slice, columns: slice) -> NDArray[np.bool_]:
    inside_YX = np.zeros((3, 3), dtype=bool)
    inside_YX[rows, columns] = True
    return inside_YX


_ALL, _FIRST, _SECOND, _LAST = slice(0, 3), slice(0, 1), slice(1, 2), slice(2, 3)
REGIONS: Final[Mapping[str, NDArray[np.bool_]]] = {
    "across the top": _region(_FIRST, _ALL),
    "across the bottom": _region(_LAST, _ALL),
    "along the left side": _region(_ALL, _FIRST),
    "along the right side": _region(_ALL, _LAST),
    "at the centre": _region(_SECOND, _SECOND),
    "at the top left": _region(_FIRST, _FIRST),
    "at the top right": _region(_FIRST, _LAST),
    "at the bottom left": _region(_LAST, _FIRST),
    "at the bottom right": _region(_LAST, _LAST),
}  # cells of the 3 x 3 grid


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearanceStats:
    """The averages over a shot's frames that its description is made from."""

    num_frames: int
    luma_mean: float  # [0, 255]
    luma_std: float  # mean within-frame standard deviation, [0, 255]
    chroma_mean: float  # max - min of RGB, [0, 255]
    colour_shares: NDArray[np.float64]  # (Y, X, K): share of each of COLOURS in each cell
    cell_colours: NDArray[np.float64]  # (Y, X, C): mean RGB of each cell, [0, 255]


def measure_appearance(frames_THWC: NDArray[np.uint8]) -> AppearanceStats:
    """Light, colour and layout of frames (uint8 RGB), averaged over them."""
    num_frames, height, width, _ = frames_THWC.shape
    luma_THW = luma(frames_THWC)
    value_THW = frames_THWC.max(axis=3)
    chroma_THW = value_THW - frames_THWC.min(axis=3)
    names_THW = _colour_index(frames_THWC, value_THW, chroma_THW)
    rows, columns = thirds(height), thirds(width)
    shares_YXK = np.zeros((3, 3, len(COLOURS)))
    cells_YXC = np.zeros((3, 3, 3))
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            names = names_THW[:, row, column]
            shares_YXK[y, x] = np.bincount(names.ravel(), minlength=len(COLOURS)) / names.size
            cells_YXC[y, x] = frames_THWC[:, row, column].mean(axis=(0, 1, 2))
    return AppearanceStats(
        num_frames=num_frames,
        luma_mean=float(luma_THW.mean()),
        luma_std=float(luma_THW.std(axis=(1, 2)).mean()),
        chroma_mean=float(chroma_THW.mean()),
        colour_shares=shares_YXK,
        cell_colours=cells_YXC,
    )


def mean_appearance(stats: Sequence[AppearanceStats]) -> AppearanceStats:
    """The averages over several shots together, each counted by its frames."""
    weights = np.array([each.num_frames for each in stats], dtype=np.float64)
    weights /= weights.sum()

    def average(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.asarray(np.tensordot(weights, np.stack(values), axes=1))

    return AppearanceStats(
        num_frames=sum(each.num_frames for each in stats),
        luma_mean=float(weights @ [each.luma_mean for each in stats]),
        luma_std=float(weights @ [each.luma_std for each in stats]),
        chroma_mean=float(weights @ [each.chroma_mean for each in stats]),
        colour_shares=average([each.colour_shares for each in stats]),
        cell_colours=average([each.cell_colours for each in stats]),
    )


def luma(frames_THWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness as the eye weighs it, [0, 255]; the colour axis goes."""
    # In whole numbers and without BLAS: the same on every machine, and never on many threads.
    weights_C = np.rint(LUMA_WEIGHTS * 65536).astype(np.uint32)
    return np.asarray((frames_THWC * weights_C).sum(axis=3, dtype=np.uint32) / 65536)


def thirds(length: int) -> tuple[slice, slice, slice]:
    """Three parts of ``[0, length)``; they overlap when the length is below 3."""
    ends = [round(length * k / 3) for k in range(4)]
    starts = [min(end, length - 1) for end in ends[:3]]
    return tuple(slice(a, max(b, a + 1)) for a, b in zip(starts, ends[1:], strict=True))  # type: ignore[return-value]


def _colour_index(
    frames_THWC: NDArray[np.uint8], value_THW: NDArray[np.uint8], chroma_THW: NDArray[np.uint8]
) -> NDArray[np.intp]:
    """Index into COLOURS of every pixel."""
    red, green, blue = np.moveaxis(frames_THWC.astype(np.float64), 3, 0)
    chroma = np.maximum(chroma_THW.astype(np.float64), 1e-9)
    hue = np.where(
        value_THW == red,
        (green - blue) / chroma % 6,
        np.where(value_THW == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    by_hue = np.array([COLOURS.index(name) for name in HUE_NAMES])
    names: NDArray[np.intp] = by_hue[np.digitize(hue * 60, HUE_ENDS_DEGREES)]
    is_orange = names == COLOURS.index("orange")
    names[is_orange & (value_THW < BROWN_VALUE)] = COLOURS.index("brown")
    neutral = chroma_THW < NEUTRAL_CHROMA
    names[neutral] = COLOURS.index("grey")
    names[neutral & (value_THW >= WHITE_VALUE)] = COLOURS.index("white")
    names[value_THW < BLACK_VALUE] = COLOURS.index("black")
    return names
