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


@pytest.mark.parametrize(
    ("change", "message"),
    [
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
