"""Ken Burns moves over one photograph: a still image becomes a short video.

Axes: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from pfp.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOVES: Final = ("pan", "leave_and_return", "zoom", "wander", "still")
MOVE_WEIGHTS: Final = (0.30, 0.35, 0.15, 0.12, 0.08)
VIEW_FRACTION: Final = (0.35, 0.95)  # of the largest view of the wanted shape inside the image
MAX_TILT_RADIANS: Final = math.radians(4.0)
FADE_PROBABILITY: Final = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What the camera sees, in pixels of the source image, one value per frame."""

    centre_x: NDArray[np.float64]
    centre_y: NDArray[np.float64]
    width: NDArray[np.float64]
    tilt_radians: NDArray[np.float64]


def pan_frames(
    image_HWC: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    num_frames: int,
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    """Move a camera over a photograph: pan, zoom, slight tilt; a third leave and come back.

    image_HWC: uint8 RGB, any size. Returns uint8 RGB of shape (num_frames, height, width, 3).
    The image is reduced before it is warped, so that fine texture does not shimmer.
    Raises InputError for an image that is not uint8 RGB or a size below 1.
    """
    _check(image_HWC, num_frames, height, width)
    image_height, image_width = image_HWC.shape[:2]
    view = _plan(
        rng,
        num_frames=num_frames,
        image_size=(image_width, image_height),
        aspect=width / height,
    )
    # The geometric mean of the zooms: at most about 1.3 source pixels per output pixel.
    typical_width = float(np.exp(np.log(view.width).mean()))
    shrink = min(1.0, width / typical_width)
    reduced = Image.fromarray(image_HWC)
    if shrink < 1.0:
        size = (max(2, round(image_width * shrink)), max(2, round(image_height * shrink)))
        reduced = reduced.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    gain_T = _gains(rng, num_frames)
    frames_THWC = np.empty((num_frames, height, width, 3), np.uint8)
    scale_x, scale_y = reduced.width / image_width, reduced.height / image_height
    for t in range(num_frames):
        affine = _affine(view, t, (scale_x, scale_y), (width, height))
        warped = reduced.transform(
            (width, height), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
        )
        table = np.minimum(np.arange(256) * gain_T[t], 255.0).astype(np.uint8)
        frames_THWC[t] = np.asarray(warped.point(table.tolist() * 3))
    return frames_THWC


def _check(image_HWC: NDArray[np.uint8], num_frames: int, height: int, width: int) -> None:
    if image_HWC.dtype != np.uint8 or image_HWC.ndim != 3 or image_HWC.shape[2] != 3:
        raise InputError(
            f"image is {image_HWC.dtype} {image_HWC.shape}; pass a uint8 RGB array (H, W, 3)"
        )
    if min(num_frames, height, width, *image_HWC.shape[:2]) < 1:
        raise InputError(
            f"image {image_HWC.shape}, {num_frames} frames of {height}x{width}:"
            " every size must be at least 1"
        )


def _plan(
    rng: np.random.Generator, *, num_frames: int, image_size: tuple[int, int], aspect: float
) -> _View:
    move = MOVES[int(rng.choice(len(MOVES), p=MOVE_WEIGHTS))]
    position_T = _positions(rng, move, num_frames)
    image_width, image_height = image_size
    largest = min(image_width, image_height * aspect)
    low, high = VIEW_FRACTION
    near = rng.uniform(low, high)
    zoom_ratio = rng.uniform(1.15, 1.7) if move == "zoom" else rng.uniform(1.0, 1.25)
    ends = (near, max(low * 0.9, near / zoom_ratio))
    first, last = ends if rng.random() < 0.5 else ends[::-1]
    width_T = largest * first * (last / first) ** position_T
    tilts = rng.normal(0.0, MAX_TILT_RADIANS / 3, 2).clip(-MAX_TILT_RADIANS, MAX_TILT_RADIANS)
    tilt_T = tilts[0] + (tilts[1] - tilts[0]) * position_T
    centres = _centres(rng, move)
    jitter_T2 = _hand_shake(rng, num_frames)
    centre_T2 = centres[0] + (centres[1] - centres[0]) * position_T[:, None] + jitter_T2
    sine_T, cosine_T = np.abs(np.sin(tilt_T)), np.cos(tilt_T)
    # A tilted view needs a larger upright box; shrink it where it would leave the image.
    box_width_T = width_T * (cosine_T + sine_T / aspect)
    box_height_T = width_T * (cosine_T / aspect + sine_T)
    fit_T = np.minimum(1.0, np.minimum(image_width / box_width_T, image_height / box_height_T))
    free_x_T = image_width - box_width_T * fit_T
    free_y_T = image_height - box_height_T * fit_T
    centre_T2 = centre_T2.clip(0.0, 1.0)
    return _View(
        centre_x=(image_width - free_x_T) / 2 + free_x_T * centre_T2[:, 0],
        centre_y=(image_height - free_y_T) / 2 + free_y_T * centre_T2[:, 1],
        width=width_T * fit_T,
        tilt_radians=tilt_T,
    )


def _positions(rng: np.random.Generator, move: str, num_frames: int) -> NDArray[np.float64]:
    """How far along the move each frame is, in [0, 1]."""
    time_T = np.linspace(0.0, 1.0, num_frames)
    if move == "still":
        return np.zeros(num_frames)
    if move == "wander":
        turns, phase = rng.uniform(0.5, 1.5), rng.uniform(0.0, 2 * math.pi)
        wave_T = 0.5 + 0.5 * np.sin(2 * math.pi * turns * time_T + phase)
        return np.asarray(wave_T, np.float64)
    if move == "leave_and_return":
        hold, away = rng.uniform(0.05, 0.25), rng.uniform(0.4, 0.6)
        rise_T, fall_T = (time_T - hold) / (away - hold), (1 - hold - time_T) / (1 - hold - away)
        return _ease(np.minimum(rise_T, fall_T))
    start, stop = rng.uniform(0.0, 0.2), rng.uniform(0.8, 1.0)
    ramp_T = (time_T - start) / (stop - start)
    return _ease(ramp_T) if rng.random() < 0.6 else ramp_T.clip(0.0, 1.0)


def _ease(ramp_T: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped_T = ramp_T.clip(0.0, 1.0)
    return np.asarray(clipped_T * clipped_T * (3.0 - 2.0 * clipped_T), np.float64)


def _centres(rng: np.random.Generator, move: str) -> NDArray[np.float64]:
    """Start and end of the view's centre within its free room, shape (2, 2), in [0, 1]."""
    first = rng.uniform(0.0, 1.0, 2)
    if move in {"zoom", "still"}:
        return np.stack([first, first])
    if move == "leave_and_return":  # far apart, or nothing is left behind
        return np.stack([first, (first + 0.5 + rng.uniform(-0.15, 0.15, 2)) % 1.0])
    return np.stack([first, rng.uniform(0.0, 1.0, 2)])


def _hand_shake(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """A slow drift of the hand, shape (T, 2), in parts of the free room."""
    amplitude = rng.choice([0.0, 0.01, 0.03])
    time_T1 = np.linspace(0.0, 1.0, num_frames)[:, None]
    cycles_2, phase_2 = rng.uniform(1.0, 3.0, 2), rng.uniform(0.0, 2 * math.pi, 2)
    return np.asarray(amplitude * np.sin(2 * math.pi * cycles_2 * time_T1 + phase_2))


def _gains(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """Brightness factor of each frame: a slow drift, now and then a fade from or to black."""
    first, last = np.exp(rng.normal(0.0, 0.08, 2))
    gain_T = np.linspace(first, last, num_frames).clip(0.75, 1.25)
    if rng.random() < FADE_PROBABILITY:
        ramp_T = np.linspace(0.0, 1.0, num_frames) / rng.uniform(0.08, 0.3)
        fade_T = ramp_T.clip(0.0, 1.0)
        gain_T = gain_T * (fade_T if rng.random() < 0.5 else fade_T[::-1])
    return gain_T


def _affine(
    view: _View, t: int, scale: tuple[float, float], size: tuple[int, int]
) -> tuple[float, float, float, float, float, float]:
    """Output pixel to pixel of the reduced image, as Image.transform wants it."""
    width, height = size
    step = float(view.width[t]) / width
    cosine, sine = math.cos(view.tilt_radians[t]), math.sin(view.tilt_radians[t])
    a, b = step * cosine * scale[0], -step * sine * scale[0]
    d, e = step * sine * scale[1], step * cosine * scale[1]
    c = float(view.centre_x[t]) * scale[0] - a * width / 2 - b * height / 2
    f = float(view.centre_y[t]) * scale[1] - d * width / 2 - e * height / 2
    return a, b, c, d, e, f
