"""Shot boundaries, hard and gradual, from a stream of small frames.

Hard cuts: one step between two frames that stands out from the steps beside it (the adaptive
threshold that PySceneDetect's AdaptiveDetector uses) and that leaves little of the layout.
Gradual transitions: over a window the frames lie on the straight line from the first to the last,
``f = (1 - a) A + a B``, as a dissolve or a fade mixes them and nothing else does (Lienhart 1999,
"Comparison of automatic shot boundary detection algorithms", section 4); moving cameras and
objects leave that line. Wipes: ``pfp.ingest.wipes``.

No boundaries are flashes, after which the scene comes back, and the fades with which a video begins
and ends: before the one and after the other there is no shot.

Axes: H height, W width, C colour, N numbers of one frame, T time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pfp.ingest.wipes import correlation, find_wipe, may_be_wiped
from pfp.measures.cuts import GRID, MIN_DIFFERENCE, is_change, stands_out
from pfp.schema.clip import DetectedShot

# Differences are means over the cells of absolute differences of 8-bit code values, [0, 255].
REPEAT_DIFFERENCE: Final = 0.3  # below: the same frame shown again, not a step
# Beyond the rule of pfp.measures.cuts, which holds for neighbours within CUT_BESIDE_SECONDS:
CUT_OVER_MEDIAN: Final = 2.9  # times the median of the steps around it, plus one code value
CUT_MEDIAN_STEPS: Final = 8  # on each side
CUT_MEDIAN_SECONDS: Final = 0.5  # on each side, at most
CUT_BESIDE_SECONDS: Final = 0.125  # a step farther away than a frame at 8 fps is not beside
# Between frames that stand still there is no typical step: a slide show of short slides.
SLIDE_DIFFERENCE: Final = 15.0
SLIDE_MAX_CORRELATION: Final = 0.5
SLIDE_REPEATS: Final = 2  # of each slide, so that slow videos of few frames are none

FLASH_DIFFERENCE: Final = 15.0  # of mean brightness, up or down
FLASH_SECONDS: Final = 0.5  # after which the scene is back
FLASH_MAX_REST: Final = 0.25  # of the flash's brightness that may be left then
FLASH_MIN_CORRELATION: Final = 0.6  # of the scene before and after, which may move
FLASH_MIN_STILL_CORRELATION: Final = 0.95  # where frames stand still
FLASH_SETTLES_SECONDS: Final = 0.4  # in which what looks like a fade is the flash

GRADUAL_SAMPLE_SECONDS: Final = 0.08
# Samples on each side, and every which one is taken: from 0.16 s to 2.4 s on each side.
GRADUAL_WINDOWS: Final = ((2, 1), (3, 1), (5, 1), (7, 1), (12, 1), (9, 2), (12, 2), (10, 3))
_LOOKS_REPEAT: Final = 6  # samples, after which the same windows are looked through again
WIPE_WINDOWS: Final = ((13, 1), (25, 1), (23, 2))  # samples in all, and every which one
WIPE_EVERY_SAMPLES: Final = 4
GRADUAL_DIFFERENCE: Final = 32.0  # from frame to frame
FADE_DIFFERENCE: Final = 12.0  # from or to black or white: dark scenes fade too
# Mean distance from the line as a share of its length, on the way and in the still frames around.
GRADUAL_MAX_RESIDUAL: Final = 0.19
GRADUAL_MAX_REST: Final = 0.12
GRADUAL_MIN_SAMPLES: Final = 2  # on the way; 1 in a fade
GRADUAL_MAX_CONTRAST: Final = 1.15  # on the way, times the larger one of the ends
# Dissolves mix at a steady pace; exposure that adapts starts fast and settles slowly.
GRADUAL_MAX_BEND: Final = 0.055
# Where the scenes move meanwhile, the line is left; then contrast must sink as in a mixture.
MOVING_MIN_SAMPLES: Final = 5
MOVING_MAX_RESIDUAL: Final = 0.3
MOVING_MAX_REST: Final = 0.3
MOVING_MAX_BEND: Final = 0.08
MOVING_MAX_DIP: Final = 0.85  # of the ends' contrast, at least once
MOVING_MAX_MISMATCH: Final = 0.1  # mean, of the contrast that a mixture would have
GRADUAL_MAX_STEP: Final = 0.6  # of the way in one sample: more is a cut
GRADUAL_MAX_CORRELATION: Final = 0.8  # more is the same frame getting brighter or darker
# Mean over root mean square of the change, from 1 (the same in every cell) to 0 (in one cell). Less
# is an object that comes or goes, more is exposure that adapts.
GRADUAL_MIN_SPREAD: Final = 0.55
GRADUAL_MAX_SPREAD: Final = 0.92
FADED_CONTRAST: Final = 0.25  # of the other end's: a fade that the window shows from its middle on
FLAT_CONTRAST: Final = 4.0  # a frame with a smaller deviation is the black or white of a fade

FADE_PAIR_SECONDS: Final = 1.5  # from the middle of a fade out to that of the fade in after it

MIN_SHOT_SECONDS: Final = 0.15
MAX_FADE_SECONDS: Final = 0.6  # in which a fade at the edge may be seen in part
MAX_EMPTY_SECONDS: Final = 2.0  # of one colour before the first shot and after the last


# Of a step between two frames: the second one's time, their difference, their correlation,
# and how often the first one was repeated before it.
Step: TypeAlias = tuple[float, float, float, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Where a shot begins. ``strength`` is the difference across it, ``residual`` its doubt."""

    seconds: float
    kind: str  # cut | dissolve | wipe
    strength: float
    half_seconds: float = 0.0  # of the window that a gradual one was found in
    begin_seconds: float = math.inf  # of that window
    end_seconds: float = -math.inf
    residual: float = 0.0
    fade: str = ""  # out: to black or white, in: from it


class ShotDetector:
    """Takes frames in order of time; memory holds five seconds of them and a few numbers each."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._last_N: npt.NDArray[np.float32] | None = None
        self._num_repeats = 0
        self._window = _Window(max(2 * half * stride + 1 for half, stride in GRADUAL_WINDOWS))
        self._gradual: list[Boundary] = []
        self._wipes: list[Boundary] = []
        self._flashes = _Flashes()
        self._first_lit: float | None = None
        self._last_lit = 0.0
        self._last_seconds = 0.0

    def push(self, seconds: float, frame_HWC: npt.NDArray[np.uint8]) -> None:
        """Add the frame shown from ``seconds`` on: uint8 RGB, H and W multiples of ``GRID``."""
        self.push_block([seconds], frame_HWC[None])

    def push_block(self, seconds_T: Sequence[float], frames_THWC: npt.NDArray[np.uint8]) -> None:
        """Add frames in order; many at once cost a fraction of what they cost one by one."""
        frames_TN = _cells(frames_THWC)
        contrast_T = frames_TN.std(axis=1)
        last_N = frames_TN[0] if self._last_N is None else self._last_N
        # Of each frame from the one before; from the first one's predecessor, the last new frame.
        before_TN = np.concatenate([last_N[None], frames_TN[:-1]])
        difference_T = np.abs(frames_TN - before_TN).mean(axis=1)
        is_after_new = True
        for index, seconds in enumerate(seconds_T):
            frame_N, difference = frames_TN[index], float(difference_T[index])
            if self._last_N is None:
                self._last_N = frame_N
            elif is_after_new:
                is_after_new = self._step(seconds, self._last_N, frame_N, difference)
            else:
                difference = float(np.abs(frame_N - self._last_N).mean())
                is_after_new = self._step(seconds, self._last_N, frame_N, difference)
            self._sample(seconds, frame_N, contrast_T[index])

    def _sample(
        self, seconds: float, frame_N: npt.NDArray[np.float32], contrast: np.float32
    ) -> None:
        """Look for transitions that end with a frame, if it is far enough from the last sample."""
        self._last_seconds = seconds
        if seconds - self._window.last_seconds < GRADUAL_SAMPLE_SECONDS - 1e-3:
            return
        self._window.push(seconds, frame_N, contrast)
        if contrast >= FLAT_CONTRAST:
            self._first_lit = seconds if self._first_lit is None else self._first_lit
            self._last_lit = seconds
        self._look_for_gradual()
        if self._window.num_samples % WIPE_EVERY_SAMPLES == 0:
            self._look_for_wipes()

    def boundaries(self) -> list[Boundary]:
        """All boundaries so far, in order, at least ``MIN_SHOT_SECONDS`` apart."""
        cuts = [
            cut for cut in find_cuts(self._flashes.without(self._steps)) if self._is_inside(cut)
        ]
        fades = [fade for fade in self._gradual if self._is_inside(fade)]
        gradual = _strongest([*_join_fades(_strongest(fades)), *_strongest(self._wipes)])
        gradual = [
            found
            for found in gradual
            if not any(abs(found.seconds - cut.seconds) < found.half_seconds for cut in cuts)
            and not self._flashes.explain(found.seconds)
        ]
        chosen: list[Boundary] = []
        for boundary in sorted((*cuts, *gradual), key=lambda found: -found.strength):
            if all(abs(boundary.seconds - one.seconds) >= MIN_SHOT_SECONDS for one in chosen):
                chosen.append(boundary)
        return sorted(chosen, key=lambda boundary: boundary.seconds)

    def shots(self, end_seconds: float) -> list[DetectedShot]:
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
            DetectedShot(start_seconds=start, end_seconds=end, kind=kind)
            for start, end, kind in zip(starts, ends, kinds, strict=True)
        ]

    def _step(
        self,
        seconds: float,
        last_N: npt.NDArray[np.float32],
        frame_N: npt.NDArray[np.float32],
        difference: float,
    ) -> bool:
        """Note how a frame differs from the last one that was new; whether it is new itself."""
        self._flashes.see(seconds, frame_N)
        if difference < REPEAT_DIFFERENCE:
            self._num_repeats += 1
            return False
        # How alike they are only matters where the step may be a cut.
        is_large = difference >= MIN_DIFFERENCE
        alike = correlation(last_N, frame_N) if is_large else 1.0
        self._steps.append((seconds, difference, alike, self._num_repeats))
        self._num_repeats = 0
        if is_large:
            self._flashes.watch(seconds, last_N, frame_N)
        self._last_N = frame_N
        return True

    def _is_inside(self, boundary: Boundary) -> bool:
        """Whether there are frames on both sides of a boundary.

        At the edges of a video a fade, or a cut from or to a short time of black, parts nothing.
        """
        reach = MAX_FADE_SECONDS if boundary.kind == "dissolve" else 0.0
        begin = min(boundary.seconds, boundary.begin_seconds) - reach
        end = max(boundary.seconds, boundary.end_seconds) + reach
        first, last = self._first_lit or 0.0, self._last_lit
        if 0 < first <= MAX_EMPTY_SECONDS and begin <= first:
            return False
        empty_seconds = self._last_seconds - last
        return not GRADUAL_SAMPLE_SECONDS < empty_seconds <= MAX_EMPTY_SECONDS or end < last

    def _look_for_gradual(self) -> None:
        window = self._window
        reaches = _reaches(len(window), window.num_samples % _LOOKS_REPEAT)
        if not reaches:
            return
        # Most windows end here, before more than their ends is looked at.
        firsts = window.places([reach for reach, _ in reaches])
        may_be_mixed = _may_be_mixed(window, firsts)
        for (reach, stride), is_candidate in zip(reaches, may_be_mixed, strict=True):
            samples = window.newest(reach, stride) if is_candidate else None
            boundary = None if samples is None else find_mixture(*samples)
            if boundary is not None:
                self._gradual.append(boundary)

    def _look_for_wipes(self) -> None:
        for num, stride in WIPE_WINDOWS:
            reach = (num - 1) * stride + 1
            if len(self._window) < reach:
                return
            first, last = self._window.places([reach, 1])
            if not may_be_wiped(self._window.frames_TN[first], self._window.frames_TN[last]):
                continue
            samples = self._window.newest(reach, stride)
            middle = None if samples is None else find_wipe(*samples[:2])
            if samples is not None and middle is not None:
                seconds_T, frames_TN = samples[:2]
                self._wipes.append(
                    Boundary(
                        seconds=middle,
                        kind="wipe",
                        strength=float(np.abs(frames_TN[-1] - frames_TN[0]).mean()),
                        half_seconds=float(seconds_T[-1] - seconds_T[0]) / 2,
                    )
                )


class _Window:
    """The newest ``size`` samples: times, frames and their contrasts, the deviation over cells.

    Each is written twice, ``size`` entries apart, so that they always lie in a row somewhere.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.num_samples = 0
        self.last_seconds = -math.inf
        self.seconds_T = np.zeros(2 * size)
        self.contrast_T = np.zeros(2 * size, np.float32)
        self.frames_TN = np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return min(self.num_samples, self._size)

    def push(self, seconds: float, frame_N: npt.NDArray[np.float32], contrast: np.float32) -> None:
        """Add a sample in place of the oldest one."""
        if not self.num_samples:
            self.frames_TN = np.zeros((2 * self._size, frame_N.size), np.float32)
        first = self.num_samples % self._size
        for place in (first, first + self._size):
            self.seconds_T[place], self.contrast_T[place] = seconds, contrast
            self.frames_TN[place] = frame_N
        self.num_samples += 1
        self.last_seconds = seconds

    def places(self, reaches: list[int]) -> npt.NDArray[np.int64]:
        """Where the samples lie that are so many back; 1 is the newest."""
        newest = (self.num_samples - 1) % self._size + self._size
        return newest + 1 - np.array(reaches)

    def newest(
        self, reach: int, stride: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """Times, frames and contrasts of every ``stride``-th of so many samples.

        None where they are too few a second to tell a mixture from a jump.
        """
        first, last = self.places([reach, 1]).tolist()
        if self.seconds_T[last] - self.seconds_T[first] > 2 * reach * GRADUAL_SAMPLE_SECONDS:
            return None
        taken = slice(first, last + 1, stride)
        return self.seconds_T[taken], self.frames_TN[taken], self.contrast_T[taken]


class _Flashes:
    """Steps of brightness after which the scene comes back: no boundaries.

    Holds the scenes before the steps of the last half second, and the spans that were flashes.
    """

    def __init__(self) -> None:
        self._open: deque[tuple[float, float, npt.NDArray[np.float32]]] = deque()
        self._spans: list[tuple[float, float, float]] = []

    def watch(
        self, seconds: float, before_N: npt.NDArray[np.float32], after_N: npt.NDArray[np.float32]
    ) -> None:
        """A large step: wait for the scene before it."""
        brightness = abs(float(after_N.mean()) - float(before_N.mean()))
        if brightness >= FLASH_DIFFERENCE:
            self._open.append((seconds, brightness, before_N))

    def see(self, seconds: float, frame_N: npt.NDArray[np.float32]) -> None:
        """Compare the next frame with the scenes that are waited for."""
        while self._open and seconds - self._open[0][0] > FLASH_SECONDS:
            self._open.popleft()
        for since, brightness, before_N in self._open:
            rest = abs(float(frame_N.mean()) - float(before_N.mean()))
            if rest > max(FLASH_DIFFERENCE, FLASH_MAX_REST * brightness):
                continue
            alike = correlation(before_N, frame_N)
            if alike >= FLASH_MIN_CORRELATION:
                self._spans.append((since, seconds, alike))
                self._open.clear()
                return

    def without(self, steps: list[Step]) -> list[Step]:
        """The steps, those within flashes marked as no change of scene."""
        spans = iter(self._spans)
        span = next(spans, None)
        marked = []
        for index, step in enumerate(steps):
            while span is not None and span[1] < step[0]:
                span = next(spans, None)
            if span is None or step[0] < span[0]:
                marked.append(step)
                continue
            is_still = span[2] < FLASH_MIN_STILL_CORRELATION and _is_slide(steps, index)
            marked.append(step if is_still else (step[0], step[1], 1.0, step[3]))
        return marked

    def explain(self, seconds: float) -> bool:
        """Whether what looks like a fade then is a flash that comes or goes."""
        return any(
            since - FLASH_SETTLES_SECONDS <= seconds <= until + FLASH_SETTLES_SECONDS
            for since, until, _ in self._spans
        )


def find_cuts(steps: list[Step]) -> list[Boundary]:
    """The hard cuts among the steps between successive frames."""
    cuts = []
    for index, (seconds, difference, alike, _) in enumerate(steps):
        if not is_change(difference, alike):
            continue
        if _is_slide(steps, index):
            cuts.append(Boundary(seconds=seconds, kind="cut", strength=difference))
            continue
        beside = max(_around(steps, index, 1, CUT_BESIDE_SECONDS), default=0.0)
        around = _around(steps, index, CUT_MEDIAN_STEPS, CUT_MEDIAN_SECONDS)
        # Among fewer than three steps there is no typical one: the frames stand still.
        typical = median(around) if len(around) >= 3 else 0.0
        if not stands_out(difference, beside) or difference < CUT_OVER_MEDIAN * (typical + 1):
            continue
        cuts.append(Boundary(seconds=seconds, kind="cut", strength=difference))
    return cuts


def _around(steps: list[Step], index: int, num: int, reach_seconds: float) -> list[float]:
    """How different the steps beside one are: ``num`` each side, within ``reach_seconds`` of it."""
    others = steps[max(0, index - num) : index] + steps[index + 1 : index + 1 + num]
    return [
        difference for at, difference, _, _ in others if abs(at - steps[index][0]) <= reach_seconds
    ]


def _is_slide(steps: list[Step], index: int) -> bool:
    """Whether a step lies between two frames that stand still."""
    _, difference, alike, num_repeats = steps[index]
    repeats_after = steps[index + 1][3] if index + 1 < len(steps) else SLIDE_REPEATS
    return (
        difference >= SLIDE_DIFFERENCE
        and alike <= SLIDE_MAX_CORRELATION
        and min(num_repeats, repeats_after) >= SLIDE_REPEATS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """How far the frames of a window are from the line between its ends, as shares of it."""

    residual: float  # on the way
    rest: float  # before and after
    bend: float  # of their pace
    num: int  # frames on the way

    @property
    def is_straight(self) -> bool:
        """Whether nothing moves but the mixture."""
        return (
            self.residual <= GRADUAL_MAX_RESIDUAL
            and self.rest <= GRADUAL_MAX_REST
            and self.bend <= GRADUAL_MAX_BEND
        )

    @property
    def is_nearly_straight(self) -> bool:
        """Whether what is mixed may move meanwhile."""
        return (
            self.num >= MOVING_MIN_SAMPLES
            and self.residual <= MOVING_MAX_RESIDUAL
            and self.rest <= MOVING_MAX_REST
            and self.bend <= MOVING_MAX_BEND
        )


def find_mixture(
    seconds_T: npt.NDArray[np.float64],
    frames_TN: npt.NDArray[np.float32],
    contrast_T: npt.NDArray[np.float32],
) -> Boundary | None:
    """The gradual transition from the first frame to the last, if the others are mixtures."""
    first_N, last_N = frames_TN[0], frames_TN[-1]
    way_N = last_N - first_N
    length = float(np.abs(way_N).mean())
    offsets_TN = frames_TN - first_N
    share_T = offsets_TN @ way_N / float(way_N @ way_N)
    share_steps = np.diff(share_T)
    if share_steps.max() > GRADUAL_MAX_STEP or share_steps.min() < -0.05:
        return None
    on_way_T = (share_T > 0.1) & (share_T < 0.9)
    ends = contrast_T[0], contrast_T[-1]
    if on_way_T.sum() < (1 if min(ends) < FLAT_CONTRAST else GRADUAL_MIN_SAMPLES):
        return None
    # A mixture has no more contrast than what is mixed; a thing that passes by has.
    if contrast_T[on_way_T].max() > GRADUAL_MAX_CONTRAST * max(ends):
        return None
    residual_T = np.abs(offsets_TN - share_T[:, None] * way_N).mean(axis=1) / length
    path = _Path(
        residual=float(residual_T[on_way_T].mean()),
        # The first frame always rests: its share and its residual are 0.
        rest=float(residual_T[~on_way_T].mean()),
        bend=_bend(seconds_T[on_way_T], share_T[on_way_T]),
        num=int(on_way_T.sum()),
    )
    if not path.is_straight and not (
        path.is_nearly_straight and _dips(frames_TN, share_T, on_way_T)
    ):
        return None
    middle = float(np.interp(0.5, np.maximum.accumulate(share_T), seconds_T))
    half_seconds = float(seconds_T[-1] - seconds_T[0]) / 2
    return Boundary(
        seconds=middle,
        kind="dissolve",
        strength=length,
        half_seconds=half_seconds,
        residual=path.residual,
        begin_seconds=float(seconds_T[0]),
        end_seconds=float(seconds_T[-1]),
        fade=_fade(first_N, last_N),
    )


def _dips(
    frames_TN: npt.NDArray[np.float32],
    share_T: npt.NDArray[np.float32],
    on_way_T: npt.NDArray[np.bool_],
) -> bool:
    """Whether contrast sinks on the way as that of a mixture does; that of a moving scene stays."""
    first_N, last_N = frames_TN[0], frames_TN[-1]
    share = share_T[on_way_T]
    both = float(((first_N - first_N.mean()) * (last_N - last_N.mean())).mean())
    ends = float(first_N.var()), float(last_N.var())
    variance = np.square(1 - share) * ends[0] + np.square(share) * ends[1]
    expected = np.sqrt(np.maximum(variance + 2 * share * (1 - share) * both, 0.0))
    if expected.min() > MOVING_MAX_DIP * (np.sqrt(ends[0]) + np.sqrt(ends[1])) / 2:
        return False
    if expected.min() < 1e-3:
        return False  # of a uniform frame there is no contrast to compare with
    contrast = frames_TN[on_way_T].std(axis=1)
    return bool(np.abs(contrast / expected - 1).mean() <= MOVING_MAX_MISMATCH)


def _fade(first_N: npt.NDArray[np.float32], last_N: npt.NDArray[np.float32]) -> str:
    """``in`` from black or white, ``out`` to it, else none.

    That end of a fade is nearly flat beside the other, and nearer to black or white.
    """
    contrast = float(first_N.std()), float(last_N.std())
    if min(contrast) >= max(FLAT_CONTRAST, FADED_CONTRAST * max(contrast)):
        return ""
    means = float(first_N.mean()), float(last_N.mean())
    distance = [min(mean, 255 - mean) for mean in means]
    flat = [one < max(FLAT_CONTRAST, FADED_CONTRAST * max(contrast)) for one in contrast]
    first_is_it = flat[0] and (not flat[1] or distance[0] < distance[1])
    return "in" if first_is_it else "out"


def _bend(seconds_T: npt.NDArray[np.float64], share_T: npt.NDArray[np.float32]) -> float:
    """The largest distance of shares from the straight line in time that fits them best."""
    if len(share_T) < 3:
        return 0.0
    time, share = seconds_T - seconds_T.mean(), share_T - share_T.mean()
    slope = float(time @ share) / float(time @ time)
    return float(np.abs(slope * time - share).max())


@cache
def _reaches(num_held: int, num_samples: int) -> list[tuple[int, int]]:
    """Samples and stride of the windows that are looked through after so many samples."""
    return [
        (2 * half * stride + 1, stride)
        for half, stride in GRADUAL_WINDOWS
        if 2 * half * stride < num_held and num_samples % _every(half, stride) == 0
    ]


def _every(half: int, stride: int) -> int:
    """How many samples pass between two looks through a window: long ones see much the same."""
    return 3 if stride > 1 else 2 if half >= 7 else 1


def _may_be_mixed(window: _Window, firsts_W: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the newest frame differs from others as two shots do, or as a shot and black do.

    firsts_W: where the others lie, the first frames of W windows.
    """
    last = window.places([1])[0]
    last_N, flat_last = window.frames_TN[last], window.contrast_T[last] < FLAT_CONTRAST
    firsts_WN = window.frames_TN[firsts_W]
    ways_WN = np.abs(firsts_WN - last_N)
    length_W = ways_WN.mean(axis=1)
    spread_W = length_W / np.sqrt(np.einsum("wn,wn->w", ways_WN, ways_WN) / last_N.size + 1e-6)
    is_fade_W = flat_last | (window.contrast_T[firsts_W] < FLAT_CONTRAST)
    least_W = np.where(is_fade_W, FADE_DIFFERENCE, GRADUAL_DIFFERENCE)
    may_W = (length_W >= least_W) & (spread_W >= GRADUAL_MIN_SPREAD)
    may_W &= is_fade_W | (spread_W <= GRADUAL_MAX_SPREAD)
    for index in np.flatnonzero(may_W & ~is_fade_W):
        may_W[index] = correlation(firsts_WN[index], last_N) <= GRADUAL_MAX_CORRELATION
    return np.asarray(may_W, np.bool_)


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


def _cells(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Means over GRID x GRID cells, (T, N): row by row, in each its colours, in each its cells.

    As two matrix products, which are faster than ``mean``.
    """
    num, height, width, num_colours = frames_THWC.shape
    frames_THR = frames_THWC.reshape(num, height, -1).astype(np.float32)
    rows = (_averaging(height) @ frames_THR).reshape(num * GRID, -1)
    cells = rows @ _averaging_columns(width, num_colours)
    return np.asarray(cells.reshape(num, -1), np.float32)


@cache
def _averaging(size: int) -> npt.NDArray[np.float32]:
    """The (GRID, size) matrix that averages runs of size / GRID entries."""
    run = size // GRID
    return np.repeat(np.eye(GRID, dtype=np.float32), run, axis=1) / np.float32(run)


@cache
def _averaging_columns(width: int, num_colours: int) -> npt.NDArray[np.float32]:
    """The same for a row of pixels, and its colours apart: (width x colours, colours x GRID)."""
    colours = np.eye(num_colours, dtype=np.float32)
    columns = np.einsum("kw,cd->wcdk", _averaging(width), colours)
    return np.ascontiguousarray(columns.reshape(width * num_colours, num_colours * GRID))
