"""Shot boundaries, hard and gradual, from a stream of small pictures.

Hard cuts: one step between two pictures that stands out from the steps beside it (the adaptive
threshold that PySceneDetect's AdaptiveDetector uses) and that leaves little of the layout.
Gradual transitions: over a window the pictures lie on the straight line from the first to the last,
``f = (1 - a) A + a B``, as a dissolve or a fade mixes them and nothing else does (Lienhart 1999,
"Comparison of automatic shot boundary detection algorithms", section 4); moving cameras and
objects leave that line.

Axes: H height, W width, C colour, N numbers of one picture, T time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from typing import Final, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

GRID: Final = 16  # pictures are averaged to GRID x GRID cells: noise and small motion vanish

# Differences below are means of absolute 8-bit RGB differences over the cells, [0, 255].
REPEAT_LEVELS: Final = 0.3  # below: the same picture shown again, not a step
CUT_LEVELS: Final = 8.0
CUT_OVER_NEIGHBOURS: Final = 1.6  # times the larger of the two steps beside it, plus one level
CUT_OVER_MEDIAN: Final = 2.9  # times the median of the steps around it, plus one level
CUT_MEDIAN_STEPS: Final = 8  # on each side
CUT_MEDIAN_SECONDS: Final = 0.5  # on each side, at most
CUT_BESIDE_SECONDS: Final = 0.125  # a step farther away than a frame at 8 fps is not beside
CUT_MAX_CORRELATION: Final = 0.75  # of the two pictures, their means removed

GRADUAL_SAMPLE_SECONDS: Final = 0.08
GRADUAL_HALF_WINDOWS: Final = (2, 3, 5, 7, 12)  # samples: 0.16 s to about 1 s
GRADUAL_LEVELS: Final = 32.0  # from picture to picture
FADE_LEVELS: Final = 12.0  # from or to black or white: dark scenes fade too
# Mean distance from the line as a share of its length, on the way and in the still pictures around.
GRADUAL_MAX_RESIDUAL: Final = 0.19
GRADUAL_MAX_REST: Final = 0.12
GRADUAL_MIN_SAMPLES: Final = 2  # on the way; 1 in a fade
GRADUAL_MAX_CONTRAST: Final = 1.15  # on the way, times the larger one of the ends
# Dissolves mix at a steady pace; exposure that adapts starts fast and settles slowly.
GRADUAL_MAX_BEND: Final = 0.055
GRADUAL_MAX_STEP: Final = 0.6  # of the way in one sample: more is a cut
GRADUAL_MAX_CORRELATION: Final = 0.8  # more is the same picture getting brighter or darker
# Mean over root mean square of the change, from 1 (the same in every cell) to 0 (in one cell). Less
# is an object that comes or goes, more is exposure that adapts.
GRADUAL_MIN_SPREAD: Final = 0.55
GRADUAL_MAX_SPREAD: Final = 0.92
FLAT_LEVELS: Final = 4.0  # a picture with a smaller deviation is the black or white of a fade

FADE_PAIR_SECONDS: Final = 1.5  # from the middle of a fade out to that of the fade in after it

MIN_SHOT_SECONDS: Final = 0.3


# Of a step between two pictures: the second one's time, the levels between them, their correlation.
Step: TypeAlias = tuple[float, float, float]


class Shot(TypedDict):
    """``[start_seconds, end_seconds)`` and how it begins: ``start``, ``cut`` or ``dissolve``."""

    start_seconds: float
    end_seconds: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Where a shot begins. ``strength`` is the difference across it, ``residual`` its doubt."""

    seconds: float
    kind: str  # cut | dissolve
    strength: float
    half_seconds: float = 0.0  # of the window that a gradual one was found in
    residual: float = 0.0
    fade: str = ""  # out: to black or white, in: from it


class ShotDetector:
    """Takes pictures in order of time; memory holds two seconds of them and a few numbers each."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._last_N: npt.NDArray[np.float32] | None = None
        size = 2 * max(GRADUAL_HALF_WINDOWS) + 1
        self._window: deque[tuple[float, npt.NDArray[np.float32]]] = deque(maxlen=size)
        self._gradual: list[Boundary] = []

    def push(self, seconds: float, picture_HWC: npt.NDArray[np.uint8]) -> None:
        """Add the picture shown from ``seconds`` on: uint8 RGB, H and W multiples of ``GRID``."""
        picture_N = _cells(picture_HWC)
        if self._last_N is None:
            self._last_N = picture_N
        else:
            levels = float(np.abs(picture_N - self._last_N).mean())
            if levels >= REPEAT_LEVELS:
                # The correlation only matters where the step may be a cut.
                is_large = levels >= CUT_LEVELS
                correlation = _correlation(self._last_N, picture_N) if is_large else 1.0
                self._steps.append((seconds, levels, correlation))
                self._last_N = picture_N
        if not self._window or seconds - self._window[-1][0] >= GRADUAL_SAMPLE_SECONDS - 1e-3:
            self._window.append((seconds, picture_N))
            self._look_for_gradual()

    def boundaries(self) -> list[Boundary]:
        """All boundaries so far, in order, at least ``MIN_SHOT_SECONDS`` apart."""
        cuts = find_cuts(self._steps)
        gradual = [
            found
            for found in _join_fades(_strongest(self._gradual))
            if not any(abs(found.seconds - cut.seconds) < found.half_seconds for cut in cuts)
        ]
        chosen: list[Boundary] = []
        for boundary in sorted((*cuts, *gradual), key=lambda boundary: boundary.seconds):
            if chosen and boundary.seconds - chosen[-1].seconds < MIN_SHOT_SECONDS:
                chosen[-1] = max(chosen[-1], boundary, key=lambda found: found.strength)
            else:
                chosen.append(boundary)
        return chosen

    def shots(self, end_seconds: float) -> list[Shot]:
        """The shots of a video that ends at ``end_seconds``; they cover it without gaps."""
        inner = [
            boundary
            for boundary in self.boundaries()
            if MIN_SHOT_SECONDS <= boundary.seconds <= end_seconds - MIN_SHOT_SECONDS
        ]
        starts = [0.0, *(boundary.seconds for boundary in inner)]
        kinds = ["start", *(boundary.kind for boundary in inner)]
        ends = [*starts[1:], end_seconds]
        return [
            Shot(start_seconds=start, end_seconds=end, kind=kind)
            for start, end, kind in zip(starts, ends, kinds, strict=True)
        ]

    def _look_for_gradual(self) -> None:
        for half in GRADUAL_HALF_WINDOWS:
            num = 2 * half + 1
            if len(self._window) < num:
                return
            first_seconds, first_N = self._window[-num]
            last_seconds, last_N = self._window[-1]
            # Most windows end here, before anything is stacked.
            if not _may_be_mixed(first_N, last_N):
                continue
            if last_seconds - first_seconds > 2 * num * GRADUAL_SAMPLE_SECONDS:
                continue  # too few pictures per second to tell a mixture from a jump
            samples = [self._window[index] for index in range(-num, 0)]
            boundary = find_mixture(
                np.array([seconds for seconds, _ in samples]),
                np.stack([picture_N for _, picture_N in samples]),
            )
            if boundary is not None:
                self._gradual.append(boundary)


def find_cuts(steps: list[Step]) -> list[Boundary]:
    """The hard cuts among the steps between successive pictures."""
    cuts = []
    for index, (seconds, levels, correlation) in enumerate(steps):
        if levels < CUT_LEVELS or correlation > CUT_MAX_CORRELATION:
            continue
        beside = max(_around(steps, index, 1, CUT_BESIDE_SECONDS), default=0.0)
        around = _around(steps, index, CUT_MEDIAN_STEPS, CUT_MEDIAN_SECONDS)
        # Among fewer than three steps there is no typical one: the pictures stand still.
        typical = median(around) if len(around) >= 3 else 0.0
        if levels < CUT_OVER_NEIGHBOURS * (beside + 1) or levels < CUT_OVER_MEDIAN * (typical + 1):
            continue
        cuts.append(Boundary(seconds=seconds, kind="cut", strength=levels))
    return cuts


def _around(steps: list[Step], index: int, num: int, reach_seconds: float) -> list[float]:
    """The levels of up to ``num`` steps on each side of one, within ``reach_seconds`` of it."""
    others = steps[max(0, index - num) : index] + steps[index + 1 : index + 1 + num]
    return [levels for at, levels, _ in others if abs(at - steps[index][0]) <= reach_seconds]


def find_mixture(
    seconds_T: npt.NDArray[np.float64], pictures_TN: npt.NDArray[np.float32]
) -> Boundary | None:
    """The gradual transition from the first picture to the last, if the others are mixtures."""
    first_N, last_N = pictures_TN[0], pictures_TN[-1]
    if not _may_be_mixed(first_N, last_N):
        return None
    way_N = last_N - first_N
    length = float(np.abs(way_N).mean())
    offsets_TN = pictures_TN - first_N
    share_T = offsets_TN @ way_N / float(way_N @ way_N)
    share_steps = np.diff(share_T)
    if share_steps.max() > GRADUAL_MAX_STEP or share_steps.min() < -0.05:
        return None
    on_way_T = (share_T > 0.1) & (share_T < 0.9)
    contrast_T = pictures_TN.std(axis=1)
    ends = contrast_T[0], contrast_T[-1]
    if on_way_T.sum() < (1 if min(ends) < FLAT_LEVELS else GRADUAL_MIN_SAMPLES):
        return None
    # A mixture has no more contrast than what is mixed; a thing that passes by has.
    if contrast_T[on_way_T].max() > GRADUAL_MAX_CONTRAST * max(ends):
        return None
    residual_T = np.abs(offsets_TN - share_T[:, None] * way_N).mean(axis=1) / length
    residual = float(residual_T[on_way_T].mean())
    # The first picture always rests: its share and its residual are 0.
    if residual > GRADUAL_MAX_RESIDUAL or residual_T[~on_way_T].mean() > GRADUAL_MAX_REST:
        return None
    if _bend(seconds_T[on_way_T], share_T[on_way_T]) > GRADUAL_MAX_BEND:
        return None
    middle = float(np.interp(0.5, np.maximum.accumulate(share_T), seconds_T))
    half_seconds = float(seconds_T[-1] - seconds_T[0]) / 2
    return Boundary(
        seconds=middle,
        kind="dissolve",
        strength=length,
        half_seconds=half_seconds,
        residual=residual,
        fade="out" if ends[1] < FLAT_LEVELS else "in" if ends[0] < FLAT_LEVELS else "",
    )


def _bend(seconds_T: npt.NDArray[np.float64], share_T: npt.NDArray[np.float32]) -> float:
    """The largest distance of shares from the straight line in time that fits them best."""
    if len(share_T) < 3:
        return 0.0
    line = np.polynomial.Polynomial.fit(seconds_T, share_T, 1)
    return float(np.abs(line(seconds_T) - share_T).max())


def _may_be_mixed(first_N: npt.NDArray[np.float32], last_N: npt.NDArray[np.float32]) -> bool:
    """Whether two pictures differ as two shots do, or as a shot and black do."""
    way_N = last_N - first_N
    length = float(np.abs(way_N).mean())
    if length < FADE_LEVELS:
        return False
    spread = length / float(np.sqrt(way_N @ way_N / way_N.size))
    if spread < GRADUAL_MIN_SPREAD:
        return False
    if min(float(first_N.std()), float(last_N.std())) < FLAT_LEVELS:
        return True
    if length < GRADUAL_LEVELS:
        return False
    is_same_scene = _correlation(first_N, last_N) > GRADUAL_MAX_CORRELATION
    return not is_same_scene and spread <= GRADUAL_MAX_SPREAD


def _strongest(found: list[Boundary]) -> list[Boundary]:
    """One boundary per transition: the windows that saw it are merged into the strongest."""
    chosen: list[Boundary] = []
    for boundary in sorted(found, key=lambda boundary: -boundary.strength):
        reach = {other: max(0.5, other.half_seconds) for other in chosen}
        if all(
            abs(boundary.seconds - other.seconds) > seconds
            or {boundary.fade, other.fade} == {"in", "out"}
            for other, seconds in reach.items()
        ):
            chosen.append(boundary)
    return sorted(chosen, key=lambda boundary: boundary.seconds)


def _join_fades(found: list[Boundary]) -> list[Boundary]:
    """A fade out and the next fade in are one transition unless what lies between is a shot."""
    joined: list[Boundary] = []
    for boundary in found:
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.fade, boundary.fade) == ("out", "in")
            and boundary.seconds - last.seconds <= FADE_PAIR_SECONDS
        ):
            middle = (last.seconds + boundary.seconds) / 2
            strength = max(last.strength, boundary.strength)
            joined[-1] = replace(last, seconds=middle, strength=strength, fade="")
        else:
            joined.append(boundary)
    return joined


def _cells(picture_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Means over GRID x GRID cells, flat; as two matrix products, faster than ``mean``."""
    height, width, num_colours = picture_HWC.shape
    rows = _averaging(height) @ picture_HWC.reshape(height, -1).astype(np.float32)
    columns = rows.reshape(GRID, width, num_colours).swapaxes(1, 2).reshape(-1, width)
    cells: npt.NDArray[np.float32] = columns @ _averaging(width).T
    return cells.ravel()


@cache
def _averaging(size: int) -> npt.NDArray[np.float32]:
    """The (GRID, size) matrix that averages runs of size / GRID entries."""
    run = size // GRID
    return np.repeat(np.eye(GRID, dtype=np.float32), run, axis=1) / np.float32(run)


def _correlation(one_N: npt.NDArray[np.float32], other_N: npt.NDArray[np.float32]) -> float:
    one, other = one_N - one_N.mean(), other_N - other_N.mean()
    return float(one @ other / (np.sqrt(float(one @ one) * float(other @ other)) + 1.0))
