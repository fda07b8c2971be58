"""Drawn videos that must not be taken for copies of each other, though they have much in common.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from experiments.synthetic_clips import pan_frames

Frames: TypeAlias = npt.NDArray[np.uint8]

FPS: Final = 10
SECONDS: Final = 15
INTRO_SECONDS: Final = 5
NUM_TAKES: Final = 4
_SPEED: Final = 0.12  # of the picture, a second


def no_merge_set(height: int, width: int) -> Mapping[str, Frames]:
    """Takes of fixed cameras, and videos with one title, one black lead-in or one moving intro."""
    size = (height, width)
    intros = {
        "title": title_card("EPISODE", size),
        "black": np.zeros((INTRO_SECONDS * FPS, *size, 3), np.uint8),
        "intro": moving(99, INTRO_SECONDS, size),
    }
    takes = range(NUM_TAKES)
    return {
        **{
            f"camera_{scene}_{take}": fixed_camera(scene, take, SECONDS, size)
            for scene in range(2)
            for take in takes
        },
        **{
            f"{name}_{take}": np.concatenate([intro, moving(number + take, SECONDS, size)])
            for number, (name, intro) in zip(range(100, 200, 10), intros.items(), strict=False)
            for take in takes
        },
    }


def moving(seed: int, seconds: float, size: tuple[int, int]) -> Frames:
    """A camera that moves over a picture, with things that move before it."""
    rng = np.random.default_rng((1, seed))
    height, width = size
    large_HWC = _picture(rng, (2 * height, 2 * width))
    num_frames = round(seconds * FPS)
    frames = pan_frames(large_HWC, rng, num_frames=num_frames, height=height, width=width)
    return _with_things(frames, rng, share=0.2)


def fixed_camera(scene: int, take: int, seconds: float, size: tuple[int, int]) -> Frames:
    """The same picture in each take, with three small things that move in a way of their own."""
    picture_HWC = _picture(np.random.default_rng((2, scene)), size)
    frames = np.repeat(picture_HWC[None], round(seconds * FPS), axis=0)
    return _with_things(frames, np.random.default_rng((3, scene, take)), share=0.08)


def title_card(words: str, size: tuple[int, int]) -> Frames:
    """White words on dark grey, for as long as an intro."""
    image = Image.new("RGB", size[::-1], (24, 24, 28))
    draw = ImageDraw.Draw(image)
    draw.text((size[1] // 8, size[0] // 3), words, fill=(240, 240, 240), font_size=size[0] // 5)
    return np.repeat(np.asarray(image)[None], INTRO_SECONDS * FPS, axis=0)


def _picture(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Clouds of colour, coarse and fine."""
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
                size[::-1], Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        for cells in (4, 8, 24)
    ]
    return np.average(layers, axis=0, weights=(3, 2, 1)).round().astype(np.uint8)


def _with_things(frames_THWC: Frames, rng: np.random.Generator, *, share: float) -> Frames:
    """Squares of a share of the height that run over the picture and bounce off its edges."""
    num_frames, height, width = frames_THWC.shape[:3]
    side = max(2, round(share * height))
    drawn = frames_THWC.copy()
    for _ in range(3):
        colour = rng.integers(0, 256, 3)
        step = rng.uniform(0.5, 1.5, 2) * _SPEED / FPS
        way_T2 = rng.uniform(0, 2, 2) + np.arange(num_frames)[:, None] * step
        place_T2 = np.abs(way_T2 % 2 - 1) * (height - side, width - side)
        for frame_HWC, (top, left) in zip(drawn, place_T2.astype(int), strict=True):
            frame_HWC[top : top + side, left : left + side] = colour
    return drawn
