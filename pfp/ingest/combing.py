"""Frames woven from two fields of different moments, told from the pixels themselves.

Each line of a frame is compared with the lines above and below it, and so are the lines of the
frame before and of the frame after in its place (the idea of FFmpeg's idet filter). In a whole
frame a line fits best between its own neighbours, and the frames before and after fit about
equally badly. In a frame woven from fields, lines of one parity are older than the others: one way
of weaving in the neighbouring frames fits better than the other, and about as well as the frame
itself, or better. Where things move so fast that nothing fits, lines of one parity still fit each
other. Flags play no part.

Axes: T time, R sampled lines, W width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from pfp.ingest.luma import coded_luma

EVERY_FRAMES: Final = 11  # one triple of frames in so many; prime to the 5 of telecine
NUM_BANDS: Final = 32  # of two lines each, one of either parity, and the lines around them
MAX_COLUMNS: Final = 320

MOVING_DIFFERENCE: Final = 12.0  # a pixel moves that differs by more from the frame before or after
MIN_MOVING: Final = 0.004  # of the pixels: with fewer, nothing can be told
MIN_MOVING_PIXELS: Final = 64
# One way of weaving against the other: whole frames of real clips reach 1.2, woven ones begin
# there and mostly lie above 1.5.
MIN_ASYMMETRY: Final = 1.25
# The frame's own misfit against that of the better way: a whole frame fits itself far better.
MIN_MISFIT: Final = 0.4
# In fast motion both ways are alike. Then the frame's own misfit against that of lines of one
# parity, two lines apart: whole frames reach 0.9, and 1.73 where they are nothing but noise.
MIN_FAST_MISFIT: Final = 0.7
MIN_OVER_PARITY: Final = 2.0
MIN_COMBED: Final = 2  # frames: one alone may be a cut


class CombGauge:
    """Takes the frames of a video in order; holds the sampled lines of three of them."""

    def __init__(self) -> None:
        self._num = 0
        self._lines: list[npt.NDArray[np.int16]] = []
        self._num_moving = self._num_combed = 0
        self._grey = VideoReformatter()

    def push(self, frame: av.VideoFrame) -> None:
        """Look at the next frame."""
        place = self._num % EVERY_FRAMES
        self._num += 1
        if place >= 3:
            return
        lines_RW = self._lines_of(frame)
        if place == 0 or lines_RW.shape != self._lines[-1].shape:
            self._lines = [lines_RW]
            return
        self._lines.append(lines_RW)
        if len(self._lines) == 3:
            combed = is_combed(*self._lines)
            self._num_moving += combed is not None
            self._num_combed += bool(combed)

    def result(self) -> float:
        """The share of the moving frames that are combed; 0 where nothing moves."""
        if self._num_combed < MIN_COMBED:
            return 0.0
        return self._num_combed / self._num_moving

    def _lines_of(self, frame: av.VideoFrame) -> npt.NDArray[np.int16]:
        """Luma of bands of four lines, int16 (4 x bands, W) in [0, 255]."""
        luma_HW, bits = coded_luma(frame, self._grey)
        height, width = luma_HW.shape
        step = -(-width // MAX_COLUMNS)
        return (luma_HW[_rows_of_bands(height), ::step] >> bits - 8).astype(np.int16)


@lru_cache(maxsize=16)  # a stream may change its size with every frame
def _rows_of_bands(height: int) -> npt.NDArray[np.int64]:
    """The rows of bands of four lines, spread over a frame."""
    num_bands = NUM_BANDS if height >= 4 else 0
    tops = np.unique(np.linspace(0, height - 4, num_bands).astype(int) // 2 * 2)
    return (tops[:, None] + np.arange(4)).ravel()


def is_combed(
    before_RW: npt.NDArray[np.int16],
    lines_RW: npt.NDArray[np.int16],
    after_RW: npt.NDArray[np.int16],
) -> bool | None:
    """Whether the middle one of three frames is woven from fields; None where nothing moves.

    Each is bands of four lines, the first of an even number.
    """
    before, now, after = (
        lines.reshape(-1, 4, lines.shape[1]) for lines in (before_RW, lines_RW, after_RW)
    )
    moves = np.maximum(np.abs(now - before), np.abs(now - after)) > MOVING_DIFFERENCE
    moving = moves[:, 1:3] | moves[:, :2] | moves[:, 2:]
    num_moving = int(moving.sum())
    if num_moving < max(MIN_MOVING_PIXELS, MIN_MOVING * moving.size):
        return None
    around = now[:, :2] + now[:, 2:]
    own = _misfit(around, now, moving)
    old, new = _misfit(around, before, moving), _misfit(around, after, moving)
    # Line 1 of a band is odd, line 2 even: odd lines of the past with even ones of the future, and
    # the other way round.
    ways = old[0] + new[1], new[0] + old[1]
    best, worst, misfit = min(ways), max(ways), own.sum()
    if worst > MIN_ASYMMETRY * best:
        return bool(misfit > MIN_MISFIT * best)
    of_one_parity = float((np.abs(now[:, :2] - now[:, 2:]) * moving).sum())
    return bool(misfit > MIN_FAST_MISFIT * best and misfit > MIN_OVER_PARITY * of_one_parity)


def _misfit(
    around: npt.NDArray[np.int16],
    lines: npt.NDArray[np.int16],
    moving: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """How badly lines fit between others, summed over moving pixels; one number per parity."""
    misfit = np.abs(around - 2 * lines[:, 1:3])
    return np.asarray((misfit * moving).sum(axis=(0, 2)), np.float64)
