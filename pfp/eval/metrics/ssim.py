"""SSIM with the Gaussian window of its paper, profile ``recon-v1``.

The paper that pfp follows names no variant; we infer the original one on RGB. Variants differ by up
to 0.10 on one image (uniform 7x7 window, zero padding, luma only), so the choice is part of the
metric's id and of its parameters; ``ssim_variants`` has the others by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from pfp.errors import Unmeasurable
from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.windows import Image, in_strips, weighted_means

SIGMA = 1.5
RADIUS = 5  # an 11x11 window
WINDOW = 2 * RADIUS + 1
K1, K2 = 0.01, 0.03
DATA_RANGE = 255.0
MIN_SIDE: Final = WINDOW

Window: TypeAlias = Callable[[Image], Image]


@final
class Ssim(Metric):
    """Structural similarity of Wang et al. 2004, window positions wholly inside the image."""

    card: ClassVar = MetricCard(
        name="ssim",
        version=1,
        title="SSIM",
        unit="",
        direction="higher",
        low=-1.0,
        high=1.0,
        decimals=3,
        summary="Mean over frames, RGB channels and window positions; Gaussian 11x11, valid.",
        citation="Wang, Bovik, Sheikh and Simoncelli, Image quality assessment, IEEE TIP 13, 2004",
        licence="none needed",
        required_inputs=("reference",),
        params={
            "window": WINDOW,
            "sigma": SIGMA,
            "k1": K1,
            "k2": K2,
            "data_range": 255,
            "border": "valid",
            "channels": "rgb",
            "covariance": "population",
        },
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 11 pixels on each side (``Unmeasurable``)."""
        need_side(sample, MIN_SIDE)
        return Similarities(ssim_map)


def need_side(sample: OpenedSample, side: int) -> None:
    """Raise ``Unmeasurable`` if a window of this many pixels a side fits nowhere."""
    if min(sample.height, sample.width) < side:
        raise Unmeasurable(
            "too_small",
            f"SSIM needs frames of at least {side}x{side} pixels, not "
            f"{sample.width}x{sample.height}",
        )


@final
class Similarities(Measurement):
    """The mean over frames of the mean of a map in [-1, 1]."""

    def __init__(
        self, similarity: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], Image]
    ) -> None:
        """similarity: of a frame and its reference, the map of their SSIM."""
        self._similarity = similarity
        self._ssim_T: list[float] = []

    def see(self, frame: Frame) -> None:
        """Compares one frame."""
        self._ssim_T.append(float(self._similarity(*frame.pair()).mean()))

    def finish(self) -> MetricValue:
        """The mean of what was seen."""
        return MetricValue(
            value=float(np.mean(self._ssim_T)),
            num_frames=len(self._ssim_T),
            evidence={"per_frame": self._ssim_T},
        )


def ssim_map(
    frame_HWC: npt.NDArray[np.uint8], reference_HWC: npt.NDArray[np.uint8] | Image
) -> npt.NDArray[np.float64]:
    """Equation 13 of Wang et al. at every valid window position, float64 (H-10, W-10, C)."""
    return similarity(frame_HWC, reference_HWC, blur, side=WINDOW)


def similarity(
    x: npt.NDArray[np.uint8] | Image,
    y: npt.NDArray[np.uint8] | Image,
    window: Window,
    *,
    side: int,
    variance_factor: float = 1.0,
    rectify: bool = False,
) -> Image:
    """Equation 13 of Wang et al. for any window, of two images with code values in [0, 255].

    window: weighted means around each position of ``side`` pixels square; variance_factor:
    n / (n - 1) for the sample variance of n pixels, 1 for the population's; rectify: where contrast
    and structure (equations 9 and 10) are negative, they count as 0.
    """
    c1, c2 = (K1 * DATA_RANGE) ** 2, (K2 * DATA_RANGE) ** 2

    def equation_13(x: Image, y: Image) -> Image:
        mean_x, mean_y = window(x), window(y)
        var_x = variance_factor * (window(x * x) - mean_x**2)
        var_y = variance_factor * (window(y * y) - mean_y**2)
        cov_xy = variance_factor * (window(x * y) - mean_x * mean_y)
        contrast = 2 * cov_xy + c2
        numerator = (2 * mean_x * mean_y + c1) * (np.maximum(contrast, 0) if rectify else contrast)
        denominator = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        return np.asarray(numerator / denominator)

    return in_strips(equation_13, x, y, side=side)


def gaussian_taps() -> npt.NDArray[np.float64]:
    """The window's one-dimensional weights, which sum to 1."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    return np.asarray(taps / taps.sum())


def blur(image_HWC: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weighted means under the window, wholly inside the image: (H-10, W-10, C)."""
    return weighted_means(image_HWC, gaussian_taps())
