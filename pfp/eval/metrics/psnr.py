"""PSNR per frame in float64, profile ``recon-v1``.

The paper says "PSNR" and no more; we infer the mean over frames, which the video VAE literature
reports most. One MSE over the whole clip (TokenBench) reads lower: it goes into the evidence and is
a metric of its own, ``psnr_global``.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricCard, MetricValue, OpenedSample

CAP_DB = 100.0  # an identical frame has an infinite PSNR; in the mean it counts as this


@final
class Psnr(Metric):
    """Peak signal-to-noise ratio: ``10 log10(255^2 / mse)`` of a frame's pixels and channels."""

    card: ClassVar = MetricCard(
        name="psnr",
        version=1,
        title="PSNR",
        unit="dB",
        direction="higher",
        low=0.0,
        high=CAP_DB,
        decimals=2,
        summary="Mean over frames of 10 log10(255^2 / MSE), RGB, float64.",
        citation="Huynh-Thu and Ghanbari, Scope of validity of PSNR, Electronics Letters 44, 2008",
        licence="none needed",
        required_inputs=("reference",),
        params={"data_range": 255, "cap_db": CAP_DB, "channels": "rgb", "over": "frames"},
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any size and any number of frames from one on."""
        del sample
        return _Errors()


class _Errors(Measurement):
    """The mean over frames in dB; frames without any error are counted and capped at 100 dB."""

    def __init__(self) -> None:
        self._mse_T: list[float] = []

    def see(self, frame: Frame) -> None:
        """Takes the error of one frame."""
        self._mse_T.append(squared_error(*frame.pair()))

    def finish(self) -> MetricValue:
        """The mean of what was seen."""
        mse_T = np.array(self._mse_T)
        psnr_T = psnr_of(mse_T)
        return MetricValue(
            value=float(np.minimum(psnr_T, CAP_DB).mean()),
            num_frames=len(psnr_T),
            evidence={
                "per_frame": [None if np.isinf(value) else float(value) for value in psnr_T],
                "num_identical": int(np.isinf(psnr_T).sum()),
                "psnr_global": None if not mse_T.any() else float(psnr_of(mse_T.mean())),
            },
        )


@final
class PsnrGlobal(Metric):
    """PSNR of one mean squared error over all frames: dominated by the worst of them."""

    card: ClassVar = MetricCard(
        name="psnr_global",
        version=1,
        title="PSNR (whole clip)",
        unit="dB",
        direction="higher",
        low=0.0,
        high=CAP_DB,
        decimals=2,
        summary="10 log10(255^2 / MSE), one MSE over all frames of the clip, RGB, float64.",
        citation="TokenBench, NVIDIA, Cosmos World Foundation Model Platform, arXiv 2501.03575",
        licence="none needed",
        required_inputs=("reference",),
        params={"data_range": 255, "cap_db": CAP_DB, "channels": "rgb", "over": "clip"},
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any size and any number of frames from one on."""
        del sample
        return _GlobalError()


class _GlobalError(Measurement):
    """One number in dB; a clip without any error is 100 dB and says that it is identical."""

    def __init__(self) -> None:
        self._mse_T: list[float] = []

    def see(self, frame: Frame) -> None:
        """Takes the error of one frame."""
        self._mse_T.append(squared_error(*frame.pair()))

    def finish(self) -> MetricValue:
        """The PSNR of the mean error: frames are of one size, so it is that of all pixels."""
        mse = float(np.mean(self._mse_T))
        return MetricValue(
            value=float(np.minimum(psnr_of(mse), CAP_DB)),
            num_frames=len(self._mse_T),
            evidence={"mse_per_frame": self._mse_T, "identical": mse == 0.0},
        )


def squared_error(
    frame_HWC: npt.NDArray[np.uint8], reference_HWC: npt.NDArray[np.uint8] | npt.NDArray[np.float64]
) -> float:
    """The mean squared error of a frame in squared code values."""
    return float(np.square(np.subtract(frame_HWC, reference_HWC, dtype=np.float64)).mean())


def mse_per_frame(
    frames_THWC: npt.NDArray[np.uint8], reference_THWC: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """The mean squared error of each frame in squared code values, float64 of shape (T,)."""
    # Frame by frame: float64 copies of a whole clip would be eight times its size, twice.
    pairs = zip(frames_THWC, reference_THWC, strict=True)
    return np.array([squared_error(a, b) for a, b in pairs])


def psnr_of(mse: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """PSNR in dB of 8-bit errors; infinite where there is no error."""
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(255.0**2 / np.asarray(mse, dtype=np.float64)))
