"""SSIM as other people report it: the window, the border and the channels that they chose.

On one noisy image the four give 0.47 to 0.57, so a number without its variant says little. Axes:
H height, W width, C colour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pfp.eval.metrics.base import Measurement, Metric, OpenedSample
from pfp.eval.metrics.ssim import (
    K1,
    K2,
    MIN_SIDE,
    RADIUS,
    WINDOW,
    Similarities,
    Ssim,
    blur,
    need_side,
    similarity,
)
from pfp.eval.metrics.windows import Image, weighted_means

UNIFORM_SIDE = 7
LUMA = (0.299, 0.587, 0.114)  # the Y of YIQ
CITATION = "Wang, Bovik, Sheikh and Simoncelli, Image quality assessment, IEEE TIP 13, 2004"


@final
class SsimSkimage7(Metric):
    """What ``skimage.metrics.structural_similarity`` gives by default, as TokenBench uses it."""

    card: ClassVar = replace(
        Ssim.card,
        name="ssim_skimage7",
        title="SSIM (7x7 uniform)",
        summary="Mean over frames, RGB and positions; uniform 7x7, sample covariance, valid.",
        citation=f"{CITATION}; scikit-image's defaults, as in TokenBench",
        params={
            "window": UNIFORM_SIDE,
            "weights": "uniform",
            "k1": K1,
            "k2": K2,
            "data_range": 255,
            "border": "valid",
            "channels": "rgb",
            "covariance": "sample",
        },
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 7 pixels on each side (``Unmeasurable``)."""
        need_side(sample, UNIFORM_SIDE)
        return Similarities(uniform_map)


@final
class SsimZeropad(Metric):
    """Gaussian SSIM at every pixel, black around the image, which raises it at borders."""

    card: ClassVar = replace(
        Ssim.card,
        name="ssim_zeropad",
        title="SSIM (zero padding)",
        summary="Mean over frames, RGB and pixels; Gaussian 11x11, zeros beyond the border.",
        citation=f"{CITATION}; padded as in FastVideo's evaluation",
        params={**Ssim.card.params, "border": "zeros"},
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any size: beyond the border there are zeros."""
        del sample
        return Similarities(zero_padded_map)


@final
class SsimY(Metric):
    """SSIM of rounded luma, never negative: the ``ssim`` of IQA-PyTorch."""

    card: ClassVar = replace(
        Ssim.card,
        name="ssim_y",
        title="SSIM (luma)",
        low=0.0,
        summary="Mean over frames and positions; Y of YIQ in whole levels; Gaussian 11x11, valid.",
        citation=f"{CITATION}; luma as in IQA-PyTorch (pyiqa) `ssim`",
        params={**Ssim.card.params, "channels": "y of yiq, rounded", "negative_contrast": 0},
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 11 pixels on each side (``Unmeasurable``)."""
        need_side(sample, MIN_SIDE)
        return Similarities(luma_map)


def uniform_map(
    frame_HWC: npt.NDArray[np.uint8], reference_HWC: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """SSIM with 7x7 equal weights and sample covariances, float64 (H-6, W-6, C)."""
    num_pixels = UNIFORM_SIDE**2
    return similarity(
        frame_HWC,
        reference_HWC,
        uniform_means,
        side=UNIFORM_SIDE,
        variance_factor=num_pixels / (num_pixels - 1),
    )


def zero_padded_map(
    frame_HWC: npt.NDArray[np.uint8], reference_HWC: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Gaussian SSIM with zeros around both images, float64 (H, W, C)."""
    border = ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0))
    x, y = (np.pad(image_HWC, border) for image_HWC in (frame_HWC, reference_HWC))
    return similarity(x, y, blur, side=WINDOW)


def luma_map(
    frame_HWC: npt.NDArray[np.uint8], reference_HWC: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Gaussian SSIM of rounded luma with contrast held at 0 or more, float64 (H-10, W-10, 1)."""
    x, y = rounded_luma(frame_HWC), rounded_luma(reference_HWC)
    return similarity(x, y, blur, side=WINDOW, rectify=True)


def rounded_luma(image_HWC: npt.NDArray[np.uint8]) -> Image:
    """Y of YIQ in whole code values of [0, 255], half to even, float64 (H, W, 1)."""
    # In thousandths of a code value the sum is exact, so that no half is rounded by accident.
    thousandths = np.array([round(1000 * weight) for weight in LUMA])
    return np.asarray(np.round(image_HWC @ thousandths / 1000)[..., None])


def uniform_means(image_HWC: Image) -> Image:
    """Means of the 7x7 pixels around each position, wholly inside the image: (H-6, W-6, C)."""
    # Sums of whole numbers are exact, so that they are divided only once.
    return weighted_means(image_HWC, np.ones(UNIFORM_SIDE)) / UNIFORM_SIDE**2
