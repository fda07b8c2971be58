"""Measured descriptions, on frames whose look and movement are known by construction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.caption.backends.appearance import measure_appearance
from pfp.caption.backends.description import describe_shot, describe_whole
from pfp.caption.backends.motion import measure_motion, phase_shift

FPS = 6.0
HEIGHT, WIDTH = 54, 96


def _texture(height: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """Smooth random luma in [40, 200]."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 2.0)
    return np.asarray(40 + 160 * (noise - noise.min()) / np.ptp(noise))


def _grey(luma_THW: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.repeat(np.rint(luma_THW)[..., None], 3, axis=3).astype(np.uint8)


def _pan(dx: float, dy: float, num_frames: int = 12) -> NDArray[np.uint8]:
    """A window over a large texture whose content moves by (dx, dy) pixels per frame."""
    from scipy.ndimage import shift

    big = _texture(200, 300)
    frames = [
        shift(big, (dy * t, dx * t), order=3, mode="nearest")[70 : 70 + HEIGHT, 100 : 100 + WIDTH]
        for t in range(num_frames)
    ]
    return _grey(np.clip(np.stack(frames), 0, 255))


def _zoom(growth: float, num_frames: int = 12) -> NDArray[np.uint8]:
    """A texture that grows by ``growth`` per frame about the middle."""
    from scipy.ndimage import affine_transform

    big = _texture(200, 300)
    middle = np.array([100.0, 150.0])
    offset_out = np.array([HEIGHT / 2, WIDTH / 2])
    frames = []
    for t in range(num_frames):
        scale = 1 / (1 + growth) ** t
        origin = middle - scale * offset_out
        frames.append(
            affine_transform(big, [scale, scale], origin, output_shape=(HEIGHT, WIDTH), order=3)
        )
    return _grey(np.clip(np.stack(frames), 0, 255))


def _flat(rgb: tuple[int, int, int], num_frames: int = 4) -> NDArray[np.uint8]:
    return np.broadcast_to(np.array(rgb, np.uint8), (num_frames, HEIGHT, WIDTH, 3)).copy()


def _describe(frames_THWC: NDArray[np.uint8]) -> str:
    return describe_shot(measure_appearance(frames_THWC), measure_motion(frames_THWC, FPS))


class TestColour:
    """Words for light and colour."""

    @pytest.mark.parametrize(
        ("rgb", "word"),
        [
            ((200, 30, 30), "red"),
            ((240, 150, 40), "orange"),
            ((120, 80, 40), "brown"),
            ((230, 220, 40), "yellow"),
            ((40, 160, 60), "green"),
            ((30, 160, 160), "teal"),
            ((40, 70, 200), "blue"),
            ((130, 60, 210), "purple"),
            ((230, 80, 190), "pink"),
        ],
    )
    def test_plain_colour_gets_its_name(self, rgb: tuple[int, int, int], word: str) -> None:
        """One colour all over is "mostly" that colour."""
        assert f"mostly {word}." in _describe(_flat(rgb))

    def test_frame_without_colour_is_colourless(self) -> None:
        """Greys have no hue, and a dark tinted frame is not taken for grey."""
        tinted_THWC = _flat((20, 26, 30))

        assert _describe(_pan(0, 0)).startswith("An evenly lit, colourless shot, mostly grey.")
        assert "colourless" not in _describe(tinted_THWC)

    @pytest.mark.parametrize(
        ("level", "word"),
        [
            (5, "very dark"),
            (60, "dark"),
            (120, "evenly lit"),
            (180, "bright"),
            (250, "very bright"),
        ],
    )
    def test_light_follows_mean_luma(self, level: int, word: str) -> None:
        """Five words from dark to bright."""
        text = _describe(_flat((level, level, level)))

        assert f" {word}, low-contrast, colourless shot, mostly " in text


class TestLayout:
    """Words for where things are."""

    @pytest.mark.parametrize(
        ("rows", "columns", "expected"),
        [
            (slice(0, 18), slice(0, 96), "A large brighter blue area lies across the top."),
            (slice(18, 36), slice(32, 64), "A small brighter blue area lies at the centre."),
            (slice(36, 54), slice(64, 96), "A small brighter blue area lies at the bottom right."),
            (slice(0, 54), slice(0, 32), "A large brighter blue area lies along the left side."),
        ],
    )
    def test_region_that_differs_is_named(self, rows: slice, columns: slice, expected: str) -> None:
        """Size, tone, colour and place of the region that stands out most."""
        frames_THWC = _flat((40, 60, 20))
        frames_THWC[:, rows, columns] = (60, 90, 220)

        assert expected in _describe(frames_THWC)

    def test_even_frame_has_no_region(self) -> None:
        """Nothing stands out of one colour."""
        assert "Light and colour are spread evenly over the picture." in _describe(
            _flat((9, 99, 9))
        )


class TestMotion:
    """Movement, against moves that were made."""

    @pytest.mark.parametrize(("dx", "dy"), [(2.0, 0.0), (-3.5, 0.0), (0.0, 1.5), (4.0, -2.5)])
    def test_speed_of_a_pan_is_measured(self, dx: float, dy: float) -> None:
        """Within 15 %, in widths and heights per second."""
        motion = measure_motion(_pan(dx, dy), FPS)

        assert motion.right == pytest.approx(dx * FPS / WIDTH, rel=0.15, abs=0.005)
        assert motion.down == pytest.approx(dy * FPS / HEIGHT, rel=0.15, abs=0.005)

    @pytest.mark.parametrize("growth", [0.03, -0.03])
    def test_speed_of_a_zoom_is_measured(self, growth: float) -> None:
        """Within a third; the centre stays where it is."""
        motion = measure_motion(_zoom(growth), FPS)

        assert motion.zoom == pytest.approx(growth * FPS, rel=0.34)
        assert abs(motion.right) < 0.02
        assert abs(motion.down) < 0.02

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: _pan(6, 0), "The whole picture moves fast to the right"),
            (lambda: _pan(-2, 0), "The whole picture moves steadily to the left"),
            (lambda: _pan(0, -0.8), "The whole picture moves slowly up"),
            (lambda: _pan(4, 4), "The whole picture moves fast down and to the right"),
            (lambda: _zoom(0.03), "The view closes in steadily"),
            (lambda: _zoom(-0.03), "The view draws back steadily"),
            (lambda: _pan(0, 0), "Nothing moves."),
            (lambda: _flat((90, 90, 90), 1), "Nothing moves."),
        ],
    )
    def test_movement_is_put_into_words(
        self, make: Callable[[], NDArray[np.uint8]], words: str
    ) -> None:
        """Direction and pace of the frame's content."""
        assert words in _describe(make())

    def test_movement_in_a_corner_is_placed(self) -> None:
        """A square that jumps about in a still frame is movement there, not of the frame."""
        frames_THWC = _pan(0, 0)
        rng = np.random.default_rng(1)
        for frame_HWC in frames_THWC:
            y, x = rng.integers(0, 8), rng.integers(64, 84)
            frame_HWC[y : y + 10, x : x + 12] = 255 * rng.integers(0, 2)

        text = _describe(frames_THWC)

        assert "movement mostly at the top right" in text
        assert "whole picture" not in text

    def test_shaking_is_no_move(self) -> None:
        """A camera that shakes to and fro goes nowhere, even if it shakes more to one side."""
        offsets = np.array([0, 3, 0, 3, 6, 3, 6, 3, 6, 9, 6, 9, 6])
        big = _texture(200, 300)
        frames = [big[70 : 70 + HEIGHT, 100 - x : 100 - x + WIDTH] for x in offsets]

        motion = measure_motion(_grey(np.stack(frames)), FPS)

        assert (motion.right, motion.down) == (0.0, 0.0)

    def test_fade_is_said(self) -> None:
        """Light that goes over the shot is worth a word."""
        frames_THWC = np.stack(
            [np.full((HEIGHT, WIDTH, 3), 20 + 15 * t, np.uint8) for t in range(12)]
        )

        assert "it gets brighter" in _describe(frames_THWC)
        assert "it gets darker" in _describe(frames_THWC[::-1])

    def test_frames_without_a_common_shift_have_none(self) -> None:
        """Two unrelated frames do not move."""
        assert phase_shift(_texture(54, 96, 1), _texture(54, 96, 2)) == (0.0, 0.0)

    def test_black_frames_do_not_move(self) -> None:
        """No power, no shift, no warning."""
        black_HW = np.zeros((54, 96))

        assert phase_shift(black_HW, black_HW) == (0.0, 0.0)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 1, 9, 3), (3, 2, 2, 3), (2, 32, 96, 3)])
def test_frames_of_any_size_can_be_described(shape: tuple[int, ...]) -> None:
    """Tiny and thin frames give sentences, not errors."""
    frames_THWC = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    assert _describe(frames_THWC).count(".") == 3


def test_whole_counts_shots_by_their_frames() -> None:
    """A long green shot and a short red one are mostly green."""
    stats = [
        measure_appearance(_flat((30, 160, 30), 9)),
        measure_appearance(_flat((200, 30, 30), 2)),
    ]

    text = describe_whole(stats, 1.83)

    assert (
        text
        == "1.8 seconds in 2 parts. An evenly lit, low-contrast shot, mostly green with some red."
    )
