"""Wipes: the next shot uncovers the last one along an edge that travels over the frame.

The frame is parted into strips (columns, rows, diagonals, rings). In a wipe each strip turns from
the old frame into the new one in a moment, one strip after the other. In a dissolve all strips
turn together, slowly; behind a thing that passes by, the old frame comes back.

Axes: T time, N numbers of one frame, K cells, G strips.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

NUM_COLOURS: Final = 3
NUM_STRIPS: Final = 12

MIN_DIFFERENCE: Final = 16.0  # from frame to frame, in 8-bit code values
MAX_CORRELATION: Final = 0.75
MIN_CHANGED: Final = 0.6  # of the cells, by CHANGED_DIFFERENCE
CHANGED_DIFFERENCE: Final = 8.0

MIN_STEADY: Final = 0.95  # correlation of the moments with the strips' places
MIN_SECONDS: Final = 0.2  # from the first strip to the last; less is a cut
MIN_MOMENTS: Final = 4  # at which strips turn
# Mean distance of the strips' shares from 0 before their moment and from 1 after it.
MAX_RESIDUAL: Final = 0.12
# Samples that a strip is on the way, beyond one, over those that the edge takes for all of them.
MAX_SLOWNESS: Final = 0.4
MAX_RETURN: Final = 0.3  # of a strip's way, backwards

Floats = npt.NDArray[np.float32]


def find_wipe(seconds_T: npt.NDArray[np.float64], frames_TN: Floats) -> float | None:
    """When half of the frame has been wiped, if the first frame is wiped by the last.

    To be asked where ``may_be_wiped`` holds.

    frames_TN: cells of a square grid, flat: row by row, in each its colours, in each its cells.
    """
    old_N, new_N = frames_TN[0], frames_TN[-1]
    change_N = new_N - old_N
    done_TK = _by_cell((frames_TN - old_N) * change_N)
    whole_K = _by_cell(np.square(change_N)[None])[0]
    for strips_KG, place_G in _partitions(round(whole_K.size**0.5)):
        share_TG = (done_TK @ strips_KG) / (whole_K @ strips_KG + 1e-3)
        middle = _middle_of_sweep(seconds_T, share_TG, place_G)
        if middle is not None:
            return middle
    return None


def may_be_wiped(old_N: Floats, new_N: Floats) -> bool:
    """Whether two frames differ all over, as two shots do."""
    change_N = np.abs(new_N - old_N)
    if float(change_N.mean()) < MIN_DIFFERENCE:
        return False
    changed_K = _by_cell(change_N[None])[0] >= NUM_COLOURS * CHANGED_DIFFERENCE
    if float(changed_K.mean()) < MIN_CHANGED:
        return False
    return correlation(old_N, new_N) <= MAX_CORRELATION


def _by_cell(numbers_TN: Floats) -> Floats:
    """Sums over the colours of each cell, (T, K)."""
    side = round((numbers_TN.shape[1] / NUM_COLOURS) ** 0.5)
    summed: Floats = numbers_TN.reshape(-1, side, NUM_COLOURS, side).sum(axis=2)
    return summed.reshape(len(numbers_TN), -1)


def correlation(one_N: npt.NDArray[np.floating], other_N: npt.NDArray[np.floating]) -> float:
    """Pearson's, near 0 where one of both is flat."""
    one, other = one_N - one_N.mean(), other_N - other_N.mean()
    return float(one @ other / (np.sqrt(float(one @ one) * float(other @ other)) + 1.0))


def _middle_of_sweep(
    seconds_T: npt.NDArray[np.float64],
    share_TG: npt.NDArray[np.floating],
    place_G: npt.NDArray[np.float64],
) -> float | None:
    """When half of the strips have turned, if they turn one after the other; else None."""
    turns_G = (share_TG <= 0.5).sum(axis=0)  # the sample at which each one turns
    first, last = int(turns_G.min()), int(turns_G.max())
    if first < 1 or last > len(seconds_T) - 1:
        return None
    if len(set(turns_G.tolist())) < MIN_MOMENTS or seconds_T[last] - seconds_T[first] < MIN_SECONDS:
        return None
    if abs(_pearson(turns_G, place_G)) < MIN_STEADY:
        return None
    samples_T1 = np.arange(len(seconds_T))[:, None]
    # While the edge crosses a strip, its share lies between.
    is_sure_TG = np.abs(samples_T1 + 0.5 - turns_G) > 1
    residual = np.abs(np.clip(share_TG, -0.5, 1.5) - (samples_T1 >= turns_G))[is_sure_TG].mean()
    slowness = (((share_TG > 0.2) & (share_TG < 0.8)).sum(axis=0).mean() - 1) / (last - first)
    back = np.clip(-np.diff(share_TG, axis=0), 0, None).sum(axis=0).mean()
    if residual > MAX_RESIDUAL or slowness > MAX_SLOWNESS or back > MAX_RETURN:
        return None
    return float((seconds_T[first] + seconds_T[last]) / 2)


def _pearson(one_G: npt.NDArray[np.int64], other_G: npt.NDArray[np.float64]) -> float:
    """Of numbers that are not all alike; a third of what ``numpy.corrcoef`` costs for so few."""
    one, other = one_G - one_G.mean(), other_G - other_G.mean()
    return float(one @ other) / math.sqrt(float(one @ one) * float(other @ other))


@cache
def _partitions(side: int) -> tuple[tuple[Floats, npt.NDArray[np.float64]], ...]:
    """Per kind of wipe: which of the side x side cells lie in which strip (K, G), and where."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    kinds = (columns, rows, columns + rows, columns - rows, np.hypot(rows, columns))
    return tuple(_strips(place.ravel()) for place in kinds)


def _strips(place_K: npt.NDArray[np.floating]) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Strips of about as many cells each, in order of the cells' places, and their mean places."""
    rank_K = np.unique(place_K, return_inverse=True)[1]
    edges = np.quantile(rank_K, np.linspace(0, 1, NUM_STRIPS + 1)[1:-1])
    strips_KG = np.eye(NUM_STRIPS, dtype=np.float32)[np.searchsorted(edges, rank_K, side="right")]
    return strips_KG, place_K @ strips_KG / strips_KG.sum(axis=0)
