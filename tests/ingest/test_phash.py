"""Perceptual hashes: near for the same image, far for another one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from pfp.ingest.phash import distance, phash

Luma = npt.NDArray[np.uint8]


def scene(seed: int) -> Luma:
    """A smooth random image with full contrast."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(32, 32)), 3)
    scaled = (noise - noise.min()) / np.ptp(noise)
    return (30 + 180 * scaled).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_brightness_contrast_and_noise_change_little(seed: int) -> None:
    """What recoding does moves a few bits of 64."""
    image = scene(seed)
    noise = np.random.default_rng(9).normal(0, 2, image.shape)
    recoded = np.clip(image * 1.05 + 4 + noise, 0, 255).astype(np.uint8)

    assert distance(phash(image), phash(recoded)) <= 8


def test_other_images_are_far() -> None:
    """Two random scenes differ in about half of the bits."""
    distances = [distance(phash(scene(a)), phash(scene(b))) for a in range(8) for b in range(a)]

    assert min(distances) > 14


def test_half_of_the_bits_are_set() -> None:
    """The median splits them, whatever the image."""
    assert 32 == int(phash(scene(1)), 16).bit_count()


def test_a_known_image_keeps_its_hash() -> None:
    """Hashes that are stored must stay comparable with hashes that are made."""
    x, y = np.indices((32, 32))

    assert "0f78e3cc99b2a54a" == phash(((x * y + 3 * x) % 251).astype(np.uint8))


def test_distance_counts_bits() -> None:
    """0x0f against 0x00 is four bits."""
    assert 4 == distance("000000000000000f", "0000000000000000")


def test_another_size_is_refused() -> None:
    """Hashes of other sizes would not be comparable."""
    with pytest.raises(ValueError, match="give 32 x 32"):
        phash(np.zeros((64, 64), np.uint8))
