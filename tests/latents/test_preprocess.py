"""Sizes, rates and the LR video's pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pfp.errors import ConfigError
from pfp.latents.preprocess import PreprocessSettings, downscale

DEMO = PreprocessSettings(fps=12.0, long_side=160, short_side=96)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1920, 1080, (96, 160)), (1080, 1920, (160, 96)), (512, 512, (96, 160))],
)
def test_orientation(width: int, height: int, expected: tuple[int, int]) -> None:
    """Portrait clips take the size with its sides swapped; a square counts as landscape."""
    assert DEMO.size_for(width, height) == expected


def test_downscale_is_the_mean_of_blocks() -> None:
    """Each LR pixel is the mean of its block, with halves rounded up."""
    frame = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    expected = np.array(
        [
            [
                np.floor(frame[y : y + 4, x : x + 4].reshape(16, 3).mean(axis=0) + 0.5)
                for x in (0, 4, 8)
            ]
            for y in (0, 4)
        ]
    )

    actual = downscale(frame, 4)

    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(expected, actual)


def test_white_stays_white() -> None:
    """Sums of bright blocks do not overflow."""
    assert downscale(np.full((32, 32, 3), 255, np.uint8), 32).min() == 255


def test_the_digest_follows_the_pixels() -> None:
    """Another rate is other pixels; another shortest length is not."""
    assert replace(DEMO, fps=24.0).sha256 != DEMO.sha256
    assert replace(DEMO, lr_frame_stride=4).sha256 != DEMO.sha256
    assert replace(DEMO, min_num_frames=45).sha256 == DEMO.sha256


@pytest.mark.parametrize(
    ("factor", "stride", "fits"), [(4, 8, True), (4, 16, False), (2, 16, True)]
)
def test_strides_are_checked_before_any_work(factor: int, stride: int, *, fits: bool) -> None:
    """The 5B trap: a quarter of 480 rows does not fill cells of 16 pixels, a half does."""
    settings = PreprocessSettings(fps=24.0, long_side=832, short_side=480, lr_factor=factor)

    if fits:
        settings.check_stride(stride)
    else:
        with pytest.raises(ConfigError, match=r"LR \(lr_factor 4\) frames of 208 x 120 .* 16"):
            settings.check_stride(stride)


def test_lr_video_is_that_of_a_rate() -> None:
    """Named as the paper does; the default is 4x4x2, at half the frame rate."""
    detailed = DEMO.with_lr_rate("2x2x8")

    assert ("4x4x2", 6.0) == (DEMO.lr_rate, DEMO.lr_fps)
    assert ("2x2x8", 1.5) == (detailed.lr_rate, detailed.lr_fps)
    assert replace(DEMO, lr_factor=2, lr_frame_stride=8) == detailed


@pytest.mark.parametrize("rate", ["2x2", "4x2x2", "px(64,64,8)", "2x2x8x1", ""])
def test_a_rate_without_an_lr_video_is_refused(rate: str) -> None:
    """One factor for rows and columns, and a stride in time."""
    with pytest.raises(ConfigError, match=r"no LR video of rate .*; give NxNxT"):
        DEMO.with_lr_rate(rate)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr_frame_stride": 3}, "lr_frame_stride is 3; give a power of two"),
        ({"lr_frame_stride": 0}, "lr_frame_stride is 0; give a power of two"),
        ({"lr_factor": 0}, "lr_factor 0 does not divide 160 x 96"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"long_side": 80}, "long_side 80 and short_side 96"),
        ({"lr_factor": 7}, "lr_factor 7 does not divide 160 x 96"),
        ({"min_num_frames": 0}, "min_num_frames is 0"),
    ],
)
def test_unusable_settings(change: dict[str, float], message: str) -> None:
    """Settings that cannot work say which value is wrong."""
    with pytest.raises(ConfigError, match=message):
        replace(DEMO, **change)
