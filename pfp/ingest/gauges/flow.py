"""Optical flow: by how many pixels a frame's parts move until the next frame.

Blocks of both frames are laid over each other where they correlate best, as in particle image
velocimetry (Willert and Gharib, "Digital particle image velocimetry", Experiments in Fluids 10,
1991), first the whole frame, then block by block what is left. The spectrum is divided by the root
of its magnitude (Wernet, "Symmetric phase only filtering", Experiments in Fluids 38, 2005), for a
narrow peak that noise does not drown; Lucas and Kanade's step finds the parts of pixels.

On pans by 0.5 to 48 pixels the length comes out within a tenth or a quarter of a pixel. OpenCV's
DIS, ultrafast, takes half of the time and loses a fifth from 32 pixels on; it is no dependency of
ingest, and a number that depends on what is installed could not be compared. The codec's own
vectors are no better: AV1, VP9, MJPEG and key frames give none, encoders choose them by bits and
not by motion, and FFmpeg has to gather them in every frame.

Axes: B blocks, H height, W width.
"""

from __future__ import annotations

from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from pfp.ingest.seconds import Floats, HeldMean

LINES: Final = 256  # the height that a pixel is one of
BLOCK: Final = 32  # pixels a side, at half of that height or less
MIN_DETAIL: Final = 4.0  # squared code values a pixel: blocks with less tell nothing
MAX_REST: Final = 1.0  # pixels: beyond, the gradient tells nothing
_DAMPING: Final = 100.0  # squared code values: along an edge nothing is to be seen

Planes: TypeAlias = npt.NDArray[np.float32]


def mean_flow(first_HW: npt.NDArray[np.uint8], second_HW: npt.NDArray[np.uint8]) -> float | None:
    """Mean length over blocks, in pixels of a frame of ``LINES`` lines.

    None where frames are smaller than a block, or flat.
    """
    first, second = _half(first_HW), _half(second_HW)
    scale = LINES / len(first)
    height, width = (side // BLOCK * BLOCK for side in first.shape)
    if not height or not width:
        return None
    first, second = first[:height, :width], second[:height, :width]
    blocks_BHW = _blocks(first)
    whole_2 = _shifts(first[None], second[None])[0]
    own_B2 = _shifts(blocks_BHW, _blocks(second))
    candidates = [np.zeros_like(own_B2), np.broadcast_to(whole_2, own_B2.shape), own_B2]
    found_CBHW = np.stack([_moved_blocks(second, shift_B2) for shift_B2 in candidates])
    misfit_CB = np.abs(found_CBHW - blocks_BHW).mean(axis=(2, 3))
    best_B, all_B = misfit_CB.argmin(axis=0), np.arange(len(blocks_BHW))
    rest_B2, detail_B = _rest(blocks_BHW, found_CBHW[best_B, all_B])
    # What moves out of the frame with all the rest is not there to be found.
    is_telling_B = (detail_B >= MIN_DETAIL) & np.isfinite(misfit_CB[1])
    if not is_telling_B.any():
        return None
    shift_B2 = np.stack(candidates)[best_B, all_B] + rest_B2
    return float(np.hypot(*shift_B2[is_telling_B].T).mean() * scale)


def _half(luma_HW: npt.NDArray[np.uint8]) -> Planes:
    """Float32, at half the size if it is of all ``LINES`` lines."""
    luma: Planes = luma_HW.astype(np.float32)
    if len(luma) < LINES:
        return luma
    luma = luma[: len(luma) // 2 * 2, : luma.shape[1] // 2 * 2]
    rows = luma[::2] + luma[1::2]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4, np.float32)


def _blocks(plane_HW: Planes) -> Planes:
    height, width = plane_HW.shape
    blocks = plane_HW.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return blocks.swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)


def _moved_blocks(plane_HW: Planes, shift_B2: npt.NDArray[np.int64]) -> Planes:
    """The blocks that lie so far from the places of the grid, (B, BLOCK, BLOCK).

    What lies outside the frame is not there to be found: it is infinitely different.
    """
    height, width = plane_HW.shape
    rows, columns = np.mgrid[0:height:BLOCK, 0:width:BLOCK].reshape(2, -1) + shift_B2.T
    is_inside = (rows >= 0) & (columns >= 0)
    is_inside &= (rows + BLOCK <= height) & (columns + BLOCK <= width)
    windows = sliding_window_view(plane_HW, (BLOCK, BLOCK))
    found = windows[np.where(is_inside, rows, 0), np.where(is_inside, columns, 0)]
    return np.where(is_inside[:, None, None], found, np.float32(np.inf))


def _rest(first_BHW: Planes, second_BHW: Planes) -> tuple[Planes, Planes]:
    """The part of a pixel by which blocks still differ, (B, 2), and their detail, (B,).

    Detail is the mean square of the gradient, of which the part is the least-squares solution:
    Lucas and Kanade, "An iterative image registration technique", IJCAI 1981, one step.
    """
    whole_BHW = (first_BHW + second_BHW) / 4
    down = whole_BHW[:, 2:, 1:-1] - whole_BHW[:, :-2, 1:-1]
    right = whole_BHW[:, 1:-1, 2:] - whole_BHW[:, 1:-1, :-2]
    change = (first_BHW - second_BHW)[:, 1:-1, 1:-1]
    gradients = np.stack([down, right]).reshape(2, len(first_BHW), -1).swapaxes(0, 1)
    normal_B22 = gradients @ gradients.swapaxes(1, 2) + _DAMPING * np.eye(2)
    right_B21 = gradients @ change.reshape(len(first_BHW), -1, 1)
    rest_B2 = np.linalg.solve(normal_B22, right_B21)[..., 0]
    detail_B = np.square(gradients).mean(axis=(1, 2))
    return np.clip(rest_B2, -MAX_REST, MAX_REST), detail_B


def _shifts(first_BHW: Planes, second_BHW: Planes) -> npt.NDArray[np.int64]:
    """By how many whole pixels each block has moved, (B, 2): down and to the right."""
    window = _window(*first_BHW.shape[1:])
    both = np.concatenate([first_BHW, second_BHW])
    both = (both - both.mean(axis=(1, 2), keepdims=True)) * window
    spectra = fft.rfft2(both)
    product = np.conj(spectra[: len(first_BHW)]) * spectra[len(first_BHW) :]
    peaks_BHW = fft.irfft2(product / np.sqrt(np.abs(product) + 1e-6), s=first_BHW.shape[1:])
    sides = np.array(first_BHW.shape[1:])
    places = peaks_BHW.reshape(len(peaks_BHW), -1).argmax(axis=1)
    found_B2 = np.stack(np.unravel_index(places, sides), axis=1)
    return np.where(found_B2 > sides // 2, found_B2 - sides, found_B2)


@cache
def _window(height: int, width: int) -> Planes:
    """Hann's, which hides that the edges of a block do not meet."""
    sides = (np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2 for size in (height, width))
    return np.outer(*sides).astype(np.float32)


class FlowGauge:
    """Takes pairs of successive frames, luma of at most ``LINES`` lines."""

    def __init__(self) -> None:
        self._mean = HeldMean()

    def push(
        self, seconds: float, first_HW: npt.NDArray[np.uint8], second_HW: npt.NDArray[np.uint8]
    ) -> None:
        """Add the frame shown from ``seconds`` on and the one after it, of the same size."""
        value = mean_flow(first_HW, second_HW)
        if value is not None:
            self._mean.push(seconds, value)

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second in pixels a frame, (K,); NaN where it is not known."""
        return self._mean.result(duration_seconds)
