"""PSNR against scikit-image and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from pfp.eval.metrics.psnr import Psnr, PsnrGlobal


def noisy_pair(seed: int, *, num_frames: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two videos that differ by a noise which grows from frame to frame."""
    rng = np.random.default_rng(seed)
    true_THWC = rng.integers(0, 256, (num_frames, 24, 32, 3), dtype=np.uint8)
    noise = rng.normal(0, 1, true_THWC.shape) * np.linspace(1, 60, num_frames)[:, None, None, None]
    return np.clip(true_THWC + noise, 0, 255).astype(np.uint8), true_THWC


@pytest.mark.parity
def test_each_frame_agrees_with_skimage(parity: Callable[..., None]) -> None:
    """Per-frame values are scikit-image's to 1e-9 dB, and the value is their mean."""
    video, true = noisy_pair(0)
    expected = [
        peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(video, true, strict=True)
    ]

    result = Psnr().measure(video, true)

    worst = np.abs(np.array(result.evidence["per_frame"]) - expected).max()
    parity("psnr", "scikit-image, frame by frame", worst, tolerance=1e-9, unit="dB")
    assert result.value == pytest.approx(float(np.mean(expected)), abs=1e-9)
    assert result.num_frames == 5


def test_the_global_value_is_one_mse_over_the_clip() -> None:
    """The evidence holds the other common definition, which is never larger than the mean."""
    video, true = noisy_pair(7)

    result = Psnr().measure(video, true)

    expected = peak_signal_noise_ratio(true, video, data_range=255)
    assert result.evidence["psnr_global"] == pytest.approx(expected, abs=1e-9)
    assert result.evidence["psnr_global"] < result.value


def test_identical_frames_are_counted_and_capped() -> None:
    """A frame without error is null in the evidence, counted, and 100 dB in the mean."""
    true = np.zeros((2, 8, 8, 3), np.uint8)
    video = true.copy()
    video[1] = 255  # an error of 255 everywhere is 0 dB

    result = Psnr().measure(video, true)

    assert result.evidence["per_frame"] == [None, 0.0]
    assert result.evidence["num_identical"] == 1
    assert result.value == 50.0


def test_a_clip_without_any_error_has_no_global_value() -> None:
    """Infinity is never written: the global value of identical clips is null."""
    true = np.zeros((2, 8, 8, 3), np.uint8)

    result = Psnr().measure(true, true)

    assert result.value == 100.0
    assert result.evidence["psnr_global"] is None


@pytest.mark.parity
def test_one_mse_over_the_clip_is_a_metric_too(parity: Callable[..., None]) -> None:
    """The global value is scikit-image's of the whole array, and half of 1e-3 and 2e-2 is known."""
    video, true = noisy_pair(8)
    # Errors of 8 and 36 code values: 0.98e-3 and 1.99e-2 of the range squared.
    half_and_half = np.repeat(np.array([8, 36], np.uint8), 2)[:, None, None, None]
    flat = np.zeros((4, 8, 8, 3), np.uint8)

    result = PsnrGlobal().measure(video, true)

    expected = peak_signal_noise_ratio(true, video, data_range=255)
    assert result.value is not None
    parity(
        "psnr_global",
        "scikit-image, the whole clip",
        abs(result.value - expected),
        tolerance=1e-9,
        unit="dB",
    )
    assert result.num_frames == 5
    assert Psnr().measure(flat + half_and_half, flat).value == pytest.approx(23.54, abs=0.01)
    assert PsnrGlobal().measure(flat + half_and_half, flat).value == pytest.approx(19.81, abs=0.01)


def test_an_identical_clip_is_capped_and_says_so() -> None:
    """The global value of two equal clips is the cap, and the evidence says that they are equal."""
    true = np.full((3, 8, 8, 3), 9, np.uint8)

    result = PsnrGlobal().measure(true, true)

    assert result.value == 100.0
    assert result.evidence == {"mse_per_frame": [0.0, 0.0, 0.0], "identical": True}


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_mean_over_frames_is_never_below_the_global_value(seed: int) -> None:
    """Jensen's inequality: the logarithm of a mean is at least the mean of the logarithms."""
    video, true = noisy_pair(seed, num_frames=4)
    by_frame, whole = Psnr().measure(video, true).value, PsnrGlobal().measure(video, true).value

    assert by_frame is not None
    assert whole is not None
    assert by_frame >= whole - 1e-9


@given(offset=st.integers(1, 255))
def test_a_constant_error_has_a_closed_form(offset: int) -> None:
    """An error of d code values everywhere is 20 log10(255 / d) dB."""
    true = np.zeros((1, 4, 4, 3), np.uint8)

    value = Psnr().measure(true + np.uint8(offset), true).value

    assert value == pytest.approx(20 * np.log10(255 / offset), abs=1e-12)
