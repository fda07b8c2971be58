"""PSNR of the finest detail: the claim of frame preservation is about high frequencies.

Not of the paper: ours. Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.psnr import CAP_DB, psnr_of
from pfp.eval.metrics.ssim import MIN_SIDE, RADIUS, SIGMA, WINDOW, blur, need_side
from pfp.eval.metrics.windows import in_strips


@final
class HighBandPsnr(Metric):
    """PSNR of the first band of a Laplacian pyramid, the image minus itself blurred."""

    card: ClassVar = MetricCard(
        name="high_band_psnr",
        version=1,
        title="PSNR (high band)",
        unit="dB",
        direction="higher",
        low=0.0,
        high=CAP_DB,
        decimals=2,
        summary="Mean over frames of the PSNR of what a Gaussian blur (sigma 1.5) takes away, RGB.",
        citation="The band: Burt and Adelson, The Laplacian pyramid as a compact image code, 1983",
        licence="none needed",
        required_inputs=("reference",),
        params={
            "window": WINDOW,
            "sigma": SIGMA,
            "data_range": 255,
            "border": "valid",
            "channels": "rgb",
            "cap_db": CAP_DB,
        },
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 11 pixels on each side (``Unmeasurable``)."""
        need_side(sample, MIN_SIDE)
        return _HighBand()


class _HighBand(Measurement):
    """The mean over frames in dB, beside what frames without any detail would get."""

    def __init__(self) -> None:
        self._psnr_T: list[float] = []
        self._blank_T: list[float] = []

    def see(self, frame: Frame) -> None:
        """Compares one frame."""
        found_HWC, true_HWC = frame.pair()
        self._psnr_T.append(high_band_psnr(found_HWC, true_HWC))
        self._blank_T.append(blank_high_band_psnr(true_HWC[None]))

    def finish(self) -> MetricValue:
        """The mean of what was seen; a value at or under ``blank`` holds no true detail."""
        return MetricValue(
            value=float(np.mean(self._psnr_T)),
            num_frames=len(self._psnr_T),
            evidence={"per_frame": self._psnr_T, "blank": float(np.mean(self._blank_T))},
        )


def high_band_psnr(found_HWC: npt.NDArray[np.uint8], true_HWC: npt.NDArray[np.uint8]) -> float:
    """PSNR in dB of the first band of a Laplacian pyramid (Burt and Adelson 1983).

    The band is the image minus itself blurred, with SSIM's Gaussian, where its window fits. An
    image without any detail gets the true band's own energy: see ``blank_high_band_psnr``.
    """
    error = high_band(found_HWC.astype(np.float64) - true_HWC)
    return float(np.minimum(psnr_of(np.square(error).mean()), CAP_DB))


def blank_high_band_psnr(true_THWC: npt.NDArray[np.uint8]) -> float:
    """What ``high_band_psnr`` gives to frames without a high band, mean over frames, in dB."""
    energies = [np.square(high_band(frame.astype(np.float64))).mean() for frame in true_THWC]
    return float(np.minimum(psnr_of(energies), CAP_DB).mean())


def high_band(image_HWC: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The image minus itself blurred, ``(H-10, W-10, C)``."""
    blurred_HWC = in_strips(blur, image_HWC, side=WINDOW)
    return image_HWC[RADIUS:-RADIUS, RADIUS:-RADIUS] - blurred_HWC
