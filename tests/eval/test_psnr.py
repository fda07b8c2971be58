"""PSNR against scikit-image and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from pfp.eval.metrics.psnr import Psnr


def noisy_pair(seed: int, *, num_frames: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two videos that differ by a noise which grows from frame to frame."""
    rng = np.random.default_rng(seed)
    true_THWC = rng.integers(0, 256, (num_frames, 24, 32, 3), dtype=np.uint8)
    noise = rng.normal(0, 1, true_THWC.shape) * np.linspace(1, 60, num_frames)[:, None, None, None]
    return np.clip(true_THWC + noise, 0, 255).astype(np.uint8), true_THWC


@pytest.mark.parametrize("seed", range(3))
def test_each_frame_agrees_with_skimage(seed: int) -> None:
    """Per-frame values are scikit-image's to 1e-9 dB, and the value is their mean."""
    video, true = noisy_pair(seed)
    expected = [
        peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(video, true, strict=True)
    ]

    result = Psnr().measure(video, true)

    assert result.evidence["per_frame"] == pytest.approx(expected, abs=1e-9)
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


@given(offset=st.integers(1, 255))
def test_a_constant_error_has_a_closed_form(offset: int) -> None:
    """An error of d levels everywhere is 20 log10(255 / d) dB."""
    true = np.zeros((1, 4, 4, 3), np.uint8)

    value = Psnr().measure(true + np.uint8(offset), true).value

    assert value == pytest.approx(20 * np.log10(255 / offset), abs=1e-12)
