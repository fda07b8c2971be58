"""Signatures of a video over time, two 64-bit words every half second, by which copies are found.

A word holds the signs of the 64 lowest frequencies of the DCT of the picture between the bars
(phash of Zauner 2010, section 3.2.1, without its median), so that it hardly changes with size,
compression, a logo or a narrow crop. Pictures are averaged over time first, as in TIRI (Esmaeili et
al. 2011, section III), so that copies whose samples fall between those of the original agree, too.

Axes: T time, H height, W width, C colour, F frequency.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from pfp.ingest.bars import FLAT_RANGE_OF_ALL, ColourRange, area_between_bars

Frame: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]
Words: TypeAlias = npt.NDArray[np.uint64]

STEP_SECONDS: Final = 0.5  # between samples: one in a copy is at most half of that away
WORDS: Final = 2  # a sample: what is seen, and what changes
NUM_BYTES: Final = 8 * WORDS

# Bars are looked for in two minutes at a time: clips are seen whole, and memory stays flat.
_BLOCK: Final = 240
MAX_WINDOWS: Final = 57_600  # 8 hours; what follows has no signature
_FLAT_CELLS: Final = 0.8  # of a line of a bar: the rest may hold a wide logo
_MIN_CELLS: Final = 16  # a narrower picture between bars is one lit spot in the dark
_SIDE: Final = 32

# In 8-bit code values, root mean square over the 64 frequencies, each about 4 times that over cells
# of the picture: a black or one-coloured picture, and what compression alone changes, say nothing.
_MIN_CONTRAST: Final = 16.0
_MIN_CHANGE: Final = 2.0

_LUMA_C: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
# Rows and columns of the frequencies, lowest sum first: the first bits are the sturdiest.
_ROW_F, _COLUMN_F = np.array(
    [(row, total - row) for total in range(1, 11) for row in range(total + 1)][:64]
).T
_BIT_F: Final = np.uint64(1) << np.arange(64, dtype=np.uint64)

# A mirrored picture has the other sign in every odd column of the DCT.
MIRRORED: Final = np.uint64(int(_BIT_F[_COLUMN_F % 2 == 1].sum()))


def words_of(signatures: bytes | npt.NDArray[np.uint8]) -> Words:
    """The words of each sample, ``(T, 2)``: of the picture and of the change; 0 says nothing."""
    return np.frombuffer(signatures, "<u8").reshape(-1, WORDS)


class SignatureGauge:
    """Takes small frames in order of time."""

    def __init__(self) -> None:
        self._sum_HW = np.zeros((), np.float32)  # of the frames in the window that is being filled
        self._num = self._index = 0
        self._last_HWC: Frame | None = None
        self._range: ColourRange | None = None  # of the block's frames
        self._means: list[npt.NDArray[np.float16]] = []  # of the block's windows
        self._words: list[Words] = []

    def push(self, seconds: float, frame_HWC: Frame, luma_HW: npt.NDArray[np.float32]) -> None:
        """Add the frame shown from ``seconds`` on, uint8 RGB 64 x 64, with its luma."""
        index = int(seconds / STEP_SECONDS)
        if index >= MAX_WINDOWS:
            return
        self._close(until=index)
        self._range = self._range or ColourRange(frame_HWC)
        self._range.add(frame_HWC)
        self._sum_HW = self._sum_HW + luma_HW
        self._num += 1
        self._last_HWC = frame_HWC

    def result(self) -> bytes:
        """``NUM_BYTES`` a sample, little-endian; none for what is shorter than two windows."""
        self._close(until=self._index + 1)
        self._sign()
        return b"".join(words.astype("<u8").tobytes() for words in self._words)

    def _close(self, until: int) -> None:
        """End windows; those without a frame repeat the one before, which still stands."""
        while self._index < until:
            if self._num:
                self._means.append((self._sum_HW / self._num).astype(np.float16))
            elif self._means:
                self._means.append(self._means[-1])
            self._sum_HW, self._num = np.zeros((), np.float32), 0
            self._index += 1
            if len(self._means) > _BLOCK:
                self._sign()

    def _sign(self) -> None:
        """Turn the windows at hand into words; the last of them begins the next block."""
        if self._range is None or self._last_HWC is None or len(self._means) < 2:
            return
        means_THW = np.stack(self._means).astype(np.float64)
        self._words.append(_words(_between_bars(means_THW, self._range)))
        self._means = self._means[-1:]
        self._range = ColourRange(self._last_HWC)


def _between_bars(means_THW: Floats, colours: ColourRange) -> Floats:
    """The pictures without their bars, ``(T, 32, 32)``."""
    area = area_between_bars(colours.low, colours.high, FLAT_RANGE_OF_ALL, _FLAT_CELLS)
    whole = (slice(0, means_THW.shape[1]), slice(0, means_THW.shape[2]))
    if area is None or min(side.stop - side.start for side in area) < _MIN_CELLS:
        area = whole
    rows, columns = area
    narrow_THW = _averaged(means_THW, columns)
    return _averaged(narrow_THW.swapaxes(1, 2), rows).swapaxes(1, 2)


def _averaged(values: Floats, part: slice) -> Floats:
    """A part of the last axis, as ``_SIDE`` averages over equal, not always whole, numbers."""
    edges = np.linspace(part.start, part.stop, _SIDE + 1)
    whole = np.minimum(edges.astype(np.int64), values.shape[-1] - 1)
    sums = np.concatenate([np.zeros_like(values[..., :1]), values.cumsum(axis=-1)], axis=-1)
    up_to = sums[..., whole] + values[..., whole] * (edges - whole)
    averages: Floats = np.diff(up_to, axis=-1) / (edges[1] - edges[0])
    return averages


def _words(picture_THW: Floats) -> Words:
    """Of every two windows in a row: their mean, and the step from one to the other."""
    frequency_TF = dctn(picture_THW, axes=(1, 2), norm="ortho")[:, _ROW_F, _COLUMN_F]
    before_TF, after_TF = frequency_TF[:-1], frequency_TF[1:]
    seen = _signs((before_TF + after_TF) / 2, _MIN_CONTRAST)
    changes = _signs(after_TF - before_TF, _MIN_CHANGE)
    return np.stack([seen, changes], axis=1)


def _signs(values_TF: Floats, floor: float) -> Words:
    """Bit f says whether value f is above 0; no bit where all of them together are too weak."""
    # Rounded, so that the last digits of a sum, which differ between CPUs, decide nothing.
    is_high_TF = np.round(values_TF, 3) > 0
    words_T: Words = np.where(is_high_TF, _BIT_F, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    is_told_T = (values_TF**2).mean(axis=1) >= floor**2
    return np.where(is_told_T, words_T, np.uint64(0))


def signatures_of(frames: Iterable[tuple[float, Frame]]) -> bytes:
    """The signatures of small frames and the times from which they are shown."""
    gauge = SignatureGauge()
    for seconds, frame_HWC in frames:
        gauge.push(seconds, frame_HWC, frame_HWC @ _LUMA_C)
    return gauge.result()
