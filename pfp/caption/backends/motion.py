"""How a shot moves, in numbers: phase correlation between sampled frames, and what it leaves.

Axes: T frames, N pairs of frames, H rows, W columns, C colours (RGB); Y and X index the quarters of
the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pfp.caption.backends.appearance import REGIONS, luma, thirds

MIN_TILE: Final = 4  # pixels; a frame with a shorter side is not searched for a shift
MIN_PEAK: Final = 0.08  # of a phase correlation; below it there is no common shift
BUSY_SHARE: Final = 1.6  # of the frame's mean change; a region with more is named
MIN_AGREEMENT: Final = 0.7  # share of the samples that must move the same way


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How the frame as a whole, and parts of it, move. Speeds are per second."""

    change_code_values: float  # mean absolute luma change between samples, [0, 255]
    right: float  # of the frame's content, in frame widths
    down: float  # in frame heights
    zoom: float  # growth of the content: above 0 it comes closer
    residual_code_values: float  # change that is left when the common shift is undone
    busiest: str | None  # region of REGIONS with clearly more of the rest than the others
    light_trend: float  # last third minus first third of the frames, luma, 8-bit code values


def measure_motion(frames_THWC: NDArray[np.uint8], fps: float) -> Motion:
    """Movement between frames (uint8 RGB) ``1 / fps`` seconds apart; zero for a single frame."""
    luma_THW = luma(frames_THWC)
    num_frames, height, width = luma_THW.shape
    if num_frames < 2:
        return Motion(
            change_code_values=0,
            right=0,
            down=0,
            zoom=0,
            residual_code_values=0,
            busiest=None,
            light_trend=0,
        )
    third = max(1, num_frames // 3)
    trend = float(luma_THW[-third:].mean() - luma_THW[:third].mean())
    shifts_NYX = np.array([_tile_shifts(a, b) for a, b in pairwise(luma_THW)])
    common_NX = np.median(shifts_NYX.reshape(num_frames - 1, 4, 2), axis=1)
    residual_HW = np.mean(
        [
            _residual(a, b, shift)
            for (a, b), shift in zip(pairwise(luma_THW), common_NX, strict=True)
        ],
        axis=0,
    )
    return Motion(
        change_code_values=float(np.abs(np.diff(luma_THW, axis=0)).mean()),
        right=_steady(common_NX[:, 1]) * fps / width,
        down=_steady(common_NX[:, 0]) * fps / height,
        zoom=_steady(_growth(shifts_NYX, height, width)) * fps,
        residual_code_values=float(residual_HW.mean()),
        busiest=_busiest(residual_HW),
        light_trend=trend,
    )


def _tile_shifts(
    before_HW: NDArray[np.float64], after_HW: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shift (down, right) in pixels of each quarter of the frame, shape (2, 2, 2)."""
    height, width = (size // 2 for size in before_HW.shape)
    shifts = np.zeros((2, 2, 2))
    for y, row in enumerate((slice(0, height), slice(-height, None))):
        for x, column in enumerate((slice(0, width), slice(-width, None))):
            shifts[y, x] = phase_shift(before_HW[row, column], after_HW[row, column])
    return shifts


def phase_shift(
    before_HW: NDArray[np.float64], after_HW: NDArray[np.float64]
) -> tuple[float, float]:
    """Shift (down, right) in pixels from one frame to the next, by phase correlation.

    (0, 0) when the two have no clear common shift. Source: Kuglin and Hines, 1975.
    """
    height, width = before_HW.shape
    if min(height, width) < MIN_TILE:
        return 0.0, 0.0
    window_HW = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    spectra = [np.fft.rfft2((frame - frame.mean()) * window_HW) for frame in (before_HW, after_HW)]
    cross = np.conj(spectra[0]) * spectra[1]
    magnitude = np.abs(cross)
    # Frequencies without power carry only rounding noise, which would whiten to full weight.
    strong = magnitude > 1e-3 * magnitude.max(initial=0.0)
    cross = np.where(strong, cross / np.maximum(magnitude, 1e-12), 0)
    surface_HW = np.fft.irfft2(cross, s=before_HW.shape)
    y, x = np.unravel_index(int(surface_HW.argmax()), surface_HW.shape)
    if not surface_HW[y, x] >= MIN_PEAK:
        return 0.0, 0.0
    down = _subpixel(surface_HW[:, x], int(y))
    right = _subpixel(surface_HW[y, :], int(x))
    return _signed(down, height), _signed(right, width)


def _subpixel(line: NDArray[np.float64], peak: int) -> float:
    """Position of a peak: the top of the parabola through it and its two neighbours."""
    before, top, after = (float(line[k % len(line)]) for k in (peak - 1, peak, peak + 1))
    curvature = 2 * top - before - after
    return peak if curvature <= 0 else peak + (after - before) / (2 * curvature)


def _signed(shift: float, size: int) -> float:
    return shift - size if shift > size / 2 else shift


def _residual(
    before_HW: NDArray[np.float64], after_HW: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Absolute change that is left once the shift is undone; 0 where nothing can be compared."""
    down, right = (round(float(value)) for value in shift)
    height, width = before_HW.shape
    if abs(down) >= height or abs(right) >= width:
        down = right = 0
    residual_HW = np.zeros_like(before_HW)
    rows, rows_before = _overlap(down, height)
    columns, columns_before = _overlap(right, width)
    residual_HW[rows, columns] = np.abs(
        after_HW[rows, columns] - before_HW[rows_before, columns_before]
    )
    return residual_HW


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where the later frame and the earlier one show the same, for a shift of the content."""
    later = slice(max(shift, 0), size + min(shift, 0))
    return later, slice(max(-shift, 0), size - max(shift, 0))


def _steady(values_N: NDArray[np.float64]) -> float:
    """The median of values that mostly point the same way, else 0: jitter is no movement."""
    median = float(np.median(values_N))
    agreement = float(np.mean(np.sign(values_N) == np.sign(median)))
    return median if agreement >= MIN_AGREEMENT else 0.0


def _growth(shifts_NYX: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Relative growth of the content per pair, from how the quarters' shifts part."""
    down_NYX, right_NYX = shifts_NYX[..., 0], shifts_NYX[..., 1]
    apart_down = down_NYX[:, 1].mean(axis=1) - down_NYX[:, 0].mean(axis=1)
    apart_right = right_NYX[:, :, 1].mean(axis=1) - right_NYX[:, :, 0].mean(axis=1)
    # The quarters' middles are half a frame apart.
    return np.asarray((apart_down / (height / 2) + apart_right / (width / 2)) / 2)


def _busiest(residual_HW: NDArray[np.float64]) -> str | None:
    height, width = residual_HW.shape
    rows, columns = thirds(height), thirds(width)
    cells_YX = np.array([[residual_HW[row, column].mean() for column in columns] for row in rows])
    mean = cells_YX.mean()
    if mean <= 0:
        return None
    shares = [(cells_YX[inside].mean() / mean, name) for name, inside in REGIONS.items()]
    share, name = max(shares, key=lambda region: region[0])
    return name if share >= BUSY_SHARE else None
