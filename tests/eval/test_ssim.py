"""SSIM against scikit-image and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from pfp.errors import PermanentError
from pfp.eval.metrics.ssim import Ssim, ssim_map


def of_skimage(frame: np.ndarray, true: np.ndarray) -> float:
    """Gaussian SSIM of scikit-image, cropped to the windows wholly inside the picture."""
    full = structural_similarity(
        frame,
        true,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1]
    return float(full[5:-5, 5:-5].mean())


def pictures(seed: int, height: int, width: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random picture and the same with noise, uint8 of shape (1, H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = rng.uniform(0.02, 0.3, (3, 2))
    true = np.stack([127 + 100 * np.sin(a * x + b * y) for a, b in waves], axis=-1)
    noisy = np.clip(true + rng.normal(0, noise, true.shape), 0, 255)
    return noisy.astype(np.uint8)[None], true.astype(np.uint8)[None]


@pytest.mark.parametrize("noise", [1.0, 10.0, 60.0])
@pytest.mark.parametrize(("height", "width"), [(96, 160), (33, 17)])
def test_it_agrees_with_skimage(height: int, width: int, noise: float) -> None:
    """Values are scikit-image's Gaussian SSIM to 1e-6."""
    video, true = pictures(int(noise), height, width, noise)

    assert Ssim().measure(video, true).value == pytest.approx(
        of_skimage(video[0], true[0]), abs=1e-6
    )


def test_the_smallest_frame_has_one_window() -> None:
    """An 11x11 frame has exactly one valid window position per channel."""
    video, true = pictures(0, 11, 11, 20.0)

    assert ssim_map(video[0], true[0]).shape == (1, 1, 3)
    assert Ssim().measure(video, true).value == pytest.approx(
        of_skimage(video[0], true[0]), abs=1e-6
    )


def test_a_frame_smaller_than_the_window_is_refused() -> None:
    """There is no SSIM of a frame without any valid window, and no padded substitute."""
    video = np.zeros((1, 10, 64, 3), np.uint8)

    with pytest.raises(PermanentError, match="at least 11x11 pixels, not 64x10"):
        Ssim().measure(video, video)


def test_identical_frames_have_an_ssim_of_one() -> None:
    """SSIM of a picture with itself is 1, for constant pictures too."""
    video, _ = pictures(1, 32, 32, 30.0)
    flat = np.full_like(video, 77)

    assert Ssim().measure(np.concatenate([video, flat]), np.concatenate([video, flat])).value == 1.0


def test_flat_frames_have_a_closed_form() -> None:
    """Of two constant pictures only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1)."""
    dark, bright = np.full((1, 16, 16, 3), 50, np.uint8), np.full((1, 16, 16, 3), 200, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 200 + c1) / (50**2 + 200**2 + c1)

    assert Ssim().measure(dark, bright).value == pytest.approx(expected, abs=1e-9)


def test_it_does_not_matter_which_is_the_reference() -> None:
    """SSIM is symmetric."""
    video, true = pictures(3, 40, 30, 25.0)

    assert Ssim().measure(video, true).value == pytest.approx(Ssim().measure(true, video).value)
