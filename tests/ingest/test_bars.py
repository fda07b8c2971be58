"""Bars of any colour, at any side, for a part of the time; and what is none though it is plain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from pfp.ingest.bars import BarGauge
from pfp.ingest.measure import measure_video
from pfp.io.media import path_to_uri
from tests.hostile_files import HostileFile

SIDE, FPS = 64, 12
Frames = npt.NDArray[np.uint8]  # (T, SIDE, SIDE, 3)


def scene(seconds: float = 4, seed: int = 0, *, low: float = 20, high: float = 235) -> Frames:
    """A coloured texture that moves sideways."""
    num = round(seconds * FPS)
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE + num, 3))
    wide = gaussian_filter(noise, (2, 2, 0))
    wide = (wide - wide.min()) / np.ptp(wide) * (high - low) + low
    return np.stack([wide[:, step : step + SIDE] for step in range(num)]).astype(np.uint8)


def barred(
    frames: Frames,
    colour: tuple[int, int, int] = (0, 0, 0),
    *,
    top: int = 0,
    bottom: int = 0,
    left: int = 0,
    right: int = 0,
) -> Frames:
    """The frames with bars of so many cells laid over them."""
    made = frames.copy()
    made[:, :top] = made[:, SIDE - bottom :] = colour
    made[:, :, :left] = made[:, :, SIDE - right :] = colour
    return made


def bar_fraction(frames: Frames) -> float:
    """What the gauge makes of them."""
    gauge = BarGauge()
    for index, frame in enumerate(frames):
        gauge.push(index / FPS, frame)
    return gauge.result()


COLOURS = {
    "black": (0, 0, 0),
    "video black": (16, 16, 16),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "blue": (20, 30, 200),
}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "sides",
    [
        {"top": 8, "bottom": 8},
        {"left": 20, "right": 20},
        {"left": 21, "right": 20},
        {"top": 10, "bottom": 10, "left": 6, "right": 6},
        {"top": 1, "bottom": 1},
    ],
)
def test_bars_are_a_share_of_the_area(colour: str, sides: dict[str, int]) -> None:
    """On two sides or four, of any colour."""
    rows = sides.get("top", 0) + sides.get("bottom", 0)
    columns = sides.get("left", 0) + sides.get("right", 0)

    found = bar_fraction(barred(scene(), COLOURS[colour], **sides))

    assert found == pytest.approx(1 - (1 - rows / SIDE) * (1 - columns / SIDE))


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_black_bar_may_stand_alone(side: str) -> None:
    """As after a wrong crop."""
    assert 16 / SIDE == bar_fraction(barred(scene(), **{side: 16}))


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 1.0])
def test_bars_for_a_part_of_the_time_count_in_full(share: float) -> None:
    """First with bars, then without."""
    with_bars = barred(scene(10 * share), top=19, bottom=20)
    without = scene(10, seed=1)[: round(10 * (1 - share) * FPS)]

    assert 39 / SIDE == bar_fraction(np.concatenate([with_bars, without]))


def test_bars_for_a_short_time_do_not_count() -> None:
    """An old photograph within a film."""
    short = barred(scene(2), left=20, right=20)

    assert 0 == bar_fraction(np.concatenate([scene(4, 1), short, scene(4, 2)]))


def test_bars_that_change_are_each_seen() -> None:
    """Pillars and letterbox in turn: what stands for a third of the time and is largest."""
    wide, upright = barred(scene(5), top=8, bottom=8), barred(scene(5, 1), left=20, right=20)

    assert 40 / SIDE == bar_fraction(np.concatenate([wide, upright]))


def test_noise_and_a_logo_are_no_end_of_a_bar() -> None:
    """Compression leaves a few code values, a channel leaves its mark in a corner."""
    frames = barred(scene(), top=12, bottom=12).astype(int)
    frames += np.random.default_rng(0).integers(0, 3, frames.shape)
    frames[:, 2:5, 58:62] = 240

    assert 24 / SIDE == bar_fraction(np.clip(frames, 0, 255).astype(np.uint8))


def test_bars_around_a_dark_film_are_seen_over_all_of_it() -> None:
    """In no second is the whole edge lit, but in the whole film it is."""
    frames = scene(8, high=60, low=0) * 0
    lit = scene(8)
    for second in range(8):  # a light that travels along
        columns = slice(8 * second, 8 * second + 8)
        times = slice(FPS * second, FPS * second + FPS)
        frames[times, :, columns] = lit[times, :, columns]

    assert 16 / SIDE == bar_fraction(barred(frames, top=8, bottom=8))


def _sky(frames: Frames, level: int) -> Frames:
    """Plain above a skyline of houses of many heights."""
    heights = np.random.default_rng(1).integers(15, 40, 16).repeat(4)
    made = frames.copy()
    for column, height in enumerate(heights):
        made[:, :height, column] = level
    return made


def _subject(frames: Frames, level: int) -> Frames:
    """A round thing in the middle of a plain studio."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    outside = np.hypot(rows, columns) > 20
    made = frames.copy()
    made[:, outside] = level
    return made


def _horizon(frames: Frames, level: int) -> Frames:
    """An overexposed sky above the sea."""
    made = frames.copy()
    made[:, :25] = level
    return made


def _person(frames: Frames, level: int) -> Frames:
    """Upright, from the floor to the top, in front of a plain wall."""
    made = np.full_like(frames, level)
    made[:, 8:, 26:38] = frames[:, 8:, 26:38]
    made[:, 40:, 18:46] = frames[:, 40:, 18:46]
    return made


def _shade(frames: Frames, level: int) -> Frames:
    """A wall with a soft shadow on both sides of a window."""
    shading = np.abs(np.linspace(-1, 1, SIDE)) * 40
    wall = np.clip(level - shading, 0, 255).astype(np.uint8)[None, None, :, None]
    made = np.broadcast_to(wall, frames.shape).copy()
    made[:, :, 20:44] = frames[:, :, 20:44]
    return made


def _vignette(frames: Frames, level: int) -> Frames:
    """Dark corners, lit in the middle."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    gain = np.clip(1.4 - np.hypot(rows, columns) / 28, 0, 1)[None, :, :, None]
    return (frames * gain * (level > 0)).astype(np.uint8)


PLAIN: dict[str, Callable[[Frames, int], Frames]] = {
    "a skyline": _sky,
    "a studio": _subject,
    "a person": _person,
}


@pytest.mark.parametrize("level", [0, 4, 128, 255])
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_surroundings_are_no_bars(kind: str, level: int) -> None:
    """By night, in snow, in a studio: what is plain does not end along a straight line."""
    assert 0 == bar_fraction(PLAIN[kind](scene(), level))


@pytest.mark.parametrize("level", [128, 200, 255])
@pytest.mark.parametrize("kind", [_horizon, _shade])
def test_straight_edges_in_a_scene_are_no_bars(
    kind: Callable[[Frames, int], Frames], level: int
) -> None:
    """A horizon has one side only, a wall is shaded."""
    assert 0 == bar_fraction(kind(scene(), level))


def test_dark_corners_are_no_bars() -> None:
    """They are round."""
    assert 0 == bar_fraction(_vignette(scene(), 1))


@pytest.mark.parametrize("level", [0, 16, 255])
def test_one_colour_all_over_has_no_bars(level: int) -> None:
    """Where all is plain there is nothing for bars to surround."""
    assert 0 == bar_fraction(np.full((FPS, SIDE, SIDE, 3), level, np.uint8))


def test_what_is_lit_once_is_no_bar() -> None:
    """A dark edge that brightens once in a second belongs to the video."""
    frames = barred(scene(), top=16)
    frames[4 :: FPS // 2] = 120

    assert 0 == bar_fraction(frames)


def test_no_frame_has_no_bars() -> None:
    """Nothing was seen."""
    assert 0 == BarGauge().result()


def test_bars_of_a_file_are_told(hostile_file: HostileFile) -> None:
    """61 % for 80 % of the time."""
    found = measure_video(path_to_uri(hostile_file("letterboxed_first.mp4")))

    assert found["bar_fraction"] == pytest.approx(0.61, abs=0.03)


@pytest.mark.slow
def test_real_clips_keep_their_frames(shared_clips: Path) -> None:
    """Only the trailer has bars, which are those of its film."""
    found = {}
    for path in sorted((shared_clips / "dev").iterdir()):
        measures = measure_video(path_to_uri(path))
        if measures["bar_fraction"] or measures["backdrop_fraction"]:
            found[path.name] = measures["bar_fraction"]

    assert {"sintel_trailer_30s.mp4": pytest.approx(0.22, abs=0.02)} == found
