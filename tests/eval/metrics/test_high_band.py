"""PSNR of the high band against SciPy and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage

from pfp.errors import PermanentError
from pfp.eval.metrics.high_band import HighBandPsnr
from pfp.eval.metrics.psnr import Psnr


def noisy_pair(num_frames: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Two random videos that differ by a growing noise, uint8 (T, 24, 30, 3)."""
    rng = np.random.default_rng(1)
    true_THWC = rng.integers(0, 256, (num_frames, 24, 30, 3), dtype=np.uint8)
    noise = rng.normal(0, 1, true_THWC.shape) * np.linspace(2, 40, num_frames)[:, None, None, None]
    return np.clip(true_THWC + noise, 0, 255).astype(np.uint8), true_THWC


def of_scipy(error_HWC: np.ndarray) -> float:
    """PSNR of an error minus SciPy's Gaussian of it, where the window fits."""
    blurred = scipy.ndimage.gaussian_filter(error_HWC, (1.5, 1.5, 0), radius=(5, 5, 0))
    return 10 * math.log10(255**2 / np.square((error_HWC - blurred)[5:-5, 5:-5]).mean())


@pytest.mark.parity
def test_each_frame_agrees_with_scipy(parity: Callable[..., None]) -> None:
    """Per-frame values are those of SciPy's Gaussian to 1e-9 dB, and the value is their mean."""
    video, true = noisy_pair()
    expected = [of_scipy(a.astype(np.float64) - b) for a, b in zip(video, true, strict=True)]

    result = HighBandPsnr().measure(video, true)

    worst = np.abs(np.array(result.evidence["per_frame"]) - expected).max()
    parity("high_band_psnr", "SciPy's Gaussian", worst, tolerance=1e-9, unit="dB")
    assert result.value == pytest.approx(np.mean(expected), abs=1e-9)
    assert result.num_frames == 3


def test_the_evidence_says_what_a_blank_image_would_get() -> None:
    """``blank`` is the value of grey frames against the same truth."""
    video, true = noisy_pair()

    blank = HighBandPsnr().measure(video, true).evidence["blank"]

    assert blank == pytest.approx(HighBandPsnr().measure(np.full_like(true, 128), true).value)
    assert blank == pytest.approx(np.mean([of_scipy(frame.astype(np.float64)) for frame in true]))


def test_an_error_without_detail_does_not_count() -> None:
    """A frame that is brighter everywhere has a perfect high band and a poor PSNR."""
    true = np.random.default_rng(2).integers(0, 200, (1, 16, 16, 3), dtype=np.uint8)

    assert HighBandPsnr().measure(true + np.uint8(40), true).value == 100.0
    assert Psnr().measure(true + np.uint8(40), true).value == pytest.approx(16.09, abs=0.01)


def test_a_frame_smaller_than_the_window_is_refused() -> None:
    """There is no high band where the blur's window fits nowhere."""
    video = np.zeros((1, 10, 64, 3), np.uint8)

    with pytest.raises(PermanentError, match="at least 11x11 pixels, not 64x10"):
        HighBandPsnr().measure(video, video)
