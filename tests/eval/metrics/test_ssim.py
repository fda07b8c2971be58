"""SSIM against scikit-image and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
from skimage.metrics import structural_similarity

from pfp.errors import PermanentError
from pfp.eval.metrics import Metric
from pfp.eval.metrics.ssim import Ssim, ssim_map
from pfp.eval.metrics.ssim_variants import SsimSkimage7, SsimY, SsimZeropad, rounded_luma


def of_skimage(frame: np.ndarray, true: np.ndarray) -> float:
    """Gaussian SSIM of scikit-image, cropped to the windows wholly inside the image."""
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


def images(seed: int, height: int, width: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random image and the same with noise, uint8 of shape (1, H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = rng.uniform(0.02, 0.3, (3, 2))
    true = np.stack([127 + 100 * np.sin(a * x + b * y) for a, b in waves], axis=-1)
    noisy = np.clip(true + rng.normal(0, noise, true.shape), 0, 255)
    return noisy.astype(np.uint8)[None], true.astype(np.uint8)[None]


def many_images(*sizes: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images of these sizes with little, some and much noise."""
    return [images(int(n), height, width, n) for height, width in sizes for n in (1.0, 10.0, 60.0)]


def worst(
    metric: Metric,
    reference: Callable[[np.ndarray, np.ndarray], float],
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> float:
    """The largest difference between a metric of one-frame videos and a reference of frames."""
    found = [metric.measure(video, true).value for video, true in pairs]
    expected = [reference(video[0], true[0]) for video, true in pairs]
    return float(np.abs(np.array(found, np.float64) - expected).max())


@pytest.mark.parity
def test_it_agrees_with_skimage(parity: Callable[..., None]) -> None:
    """Values are scikit-image's Gaussian SSIM to 1e-6."""
    difference = worst(Ssim(), of_skimage, many_images((96, 160), (33, 17)))

    parity("ssim", "scikit-image, Gaussian, cropped to valid", difference, tolerance=1e-6)


def test_the_smallest_frame_has_one_window() -> None:
    """An 11x11 frame has exactly one valid window position per channel."""
    video, true = images(0, 11, 11, 20.0)

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
    """SSIM of an image with itself is 1, for constant images too."""
    video, _ = images(1, 32, 32, 30.0)
    flat = np.full_like(video, 77)

    assert Ssim().measure(np.concatenate([video, flat]), np.concatenate([video, flat])).value == 1.0


def test_flat_frames_have_a_closed_form() -> None:
    """Of two constant images only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1)."""
    dark, bright = np.full((1, 16, 16, 3), 50, np.uint8), np.full((1, 16, 16, 3), 200, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 200 + c1) / (50**2 + 200**2 + c1)

    assert Ssim().measure(dark, bright).value == pytest.approx(expected, abs=1e-9)


def test_it_does_not_matter_which_is_the_reference() -> None:
    """SSIM is symmetric."""
    video, true = images(3, 40, 30, 25.0)

    assert Ssim().measure(video, true).value == pytest.approx(Ssim().measure(true, video).value)


def of_scipy(x: np.ndarray, y: np.ndarray, *, padded: bool, rectified: bool) -> float:
    """Gaussian SSIM of one channel from covariances about the local mean, with SciPy's filters."""

    def mean(image: np.ndarray) -> np.ndarray:
        return np.asarray(
            scipy.ndimage.gaussian_filter(image, sigma=1.5, radius=5, mode="constant", cval=0.0)
        )

    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = mean(x), mean(y)
    structure = (2 * (mean(x * y) - mx * my) + 58.5225) / (
        mean(x * x) - mx * mx + mean(y * y) - my * my + 58.5225
    )
    if rectified:
        structure = structure.clip(min=0)
    full = (2 * mx * my + 6.5025) / (mx * mx + my * my + 6.5025) * structure
    return float((full if padded else full[5:-5, 5:-5]).mean())


@pytest.mark.parity
def test_the_uniform_window_is_that_of_skimage_s_defaults(parity: Callable[..., None]) -> None:
    """With a 7x7 window and sample covariances values are scikit-image's defaults to 1e-9."""

    def reference(frame: np.ndarray, true: np.ndarray) -> float:
        return float(structural_similarity(frame, true, data_range=255, channel_axis=-1))

    difference = worst(SsimSkimage7(), reference, many_images((96, 160), (33, 17), (7, 7)))

    parity("ssim_skimage7", "scikit-image's defaults", difference, tolerance=1e-9)


@pytest.mark.parity
def test_zero_padding_is_that_of_scipy(parity: Callable[..., None]) -> None:
    """The padded variant has a value at every pixel, SciPy's with zeros beyond the border."""

    def reference(frame: np.ndarray, true: np.ndarray) -> float:
        channels = np.moveaxis(np.stack([frame, true]), -1, 0)
        return float(np.mean([of_scipy(x, y, padded=True, rectified=False) for x, y in channels]))

    difference = worst(SsimZeropad(), reference, many_images((40, 56), (12, 9), (1, 1)))

    parity("ssim_zeropad", "SciPy's Gaussian with zeros", difference, tolerance=1e-9)


def test_zero_padding_raises_ssim_at_the_border() -> None:
    """Beyond the border both images are equally black, so the padded variant reads higher."""
    video, true = images(6, 24, 24, 40.0)
    padded, valid = SsimZeropad().measure(video, true).value, Ssim().measure(video, true).value

    assert padded is not None
    assert valid is not None
    assert padded > valid + 0.01


@pytest.mark.parity
def test_luma_is_one_rounded_channel_and_never_negative(parity: Callable[..., None]) -> None:
    """The luma variant is SSIM of the rounded Y of YIQ whose negative contrasts count as 0."""

    def reference(frame: np.ndarray, true: np.ndarray) -> float:
        lumas = []
        for image in (frame, true):
            whole, rest = np.divmod(image @ np.array([299, 587, 114]), 1000)
            lumas.append(whole + ((rest > 500) | ((rest == 500) & (whole % 2 == 1))))
        return of_scipy(*lumas, padded=False, rectified=True)

    true = images(8, 48, 40, 5.0)[1]
    negative = [(255 - true, true)]
    difference = worst(SsimY(), reference, [*many_images((48, 40), (96, 160)), *negative])

    parity("ssim_y", "SciPy's Gaussian on rounded luma", difference, tolerance=1e-9)
    assert (SsimY().measure(*negative[0]).value or 0.0) >= 0
    assert (Ssim().measure(*negative[0]).value or 0.0) < 0


@pytest.mark.parity
def test_luma_is_pyiqa_s(parity: Callable[..., None]) -> None:
    """The luma variant is pyiqa's ``ssim``, whose float32 luma rounds a rare half otherwise."""
    import pyiqa
    import torch

    metric = pyiqa.create_metric("ssim", device="cpu")

    def tensor(frame: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frame.transpose(2, 0, 1)[None].copy()).float() / 255

    def reference(frame: np.ndarray, true: np.ndarray) -> float:
        return float(metric(tensor(frame), tensor(true)))

    difference = worst(SsimY(), reference, many_images((96, 160), (33, 17)))

    parity("ssim_y", "pyiqa `ssim`", difference, tolerance=2e-5)


def test_luma_rounds_to_whole_code_values() -> None:
    """Y is 0.299 R + 0.587 G + 0.114 B, rounded; grey stays itself."""
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [77, 77, 77]]], np.uint8)

    assert rounded_luma(colours)[0, :, 0].tolist() == [76.0, 150.0, 29.0, 77.0]


@pytest.mark.parametrize(("metric", "side"), [(SsimSkimage7(), 7), (SsimY(), 11)])
def test_variants_refuse_frames_smaller_than_their_window(metric: Metric, side: int) -> None:
    """A variant without padding needs a frame as large as its window, and says which."""
    video = np.zeros((1, side - 1, 64, 3), np.uint8)

    with pytest.raises(PermanentError, match=f"at least {side}x{side} pixels, not 64x{side - 1}"):
        metric.measure(video, video)


@pytest.mark.parametrize("metric", [SsimSkimage7(), SsimZeropad(), SsimY()])
def test_every_variant_gives_one_to_identical_frames(metric: Metric) -> None:
    """Whatever the window, an image is entirely similar to itself."""
    video, _ = images(2, 20, 20, 30.0)

    result = metric.measure(np.concatenate([video, video]), np.concatenate([video, video]))

    assert result.value == pytest.approx(1.0, abs=1e-12)
    assert result.num_frames == 2
