"""What small copies of 64 x 64 cells do not show, of one frame, or two, in each second."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from pfp.ingest.gauges.blockiness import BLOCK, BlockinessGauge
from pfp.ingest.gauges.exposure import ExposureGauge
from pfp.ingest.gauges.flow import FlowGauge
from pfp.ingest.gauges.noise import NoiseGauge
from pfp.ingest.gauges.sharpness import SharpnessGauge
from pfp.ingest.luma import coded_luma, middle_of, small_luma
from pfp.ingest.seconds import Floats
from pfp.io.media.convert import Converter

CODED_SIDE: Final = 256  # pixels of the middle, which are looked at as they are coded


class DetailGauge:
    """Takes the frames of a video in order; looks at the first of each second and the one after.

    converter: to ``gray``.
    """

    def __init__(self, converter: Converter) -> None:
        self._converter, self._reformatter = converter, VideoReformatter()
        self._second = -1  # that was looked at last
        self._first: tuple[float, npt.NDArray[np.uint8]] | None = None  # waits for the next frame
        self._sharpness, self._exposure = SharpnessGauge(), ExposureGauge()
        self._noise, self._blockiness = NoiseGauge(), BlockinessGauge()
        self._flow = FlowGauge()

    def push(self, seconds: float, frame: av.VideoFrame) -> None:
        """Look at the frame shown from ``seconds`` on, if it is one of them."""
        is_first = int(seconds) > self._second
        if self._first is None and not is_first:
            return
        luma_HW = small_luma(frame, self._converter)
        if self._first is not None and self._first[1].shape == luma_HW.shape:
            self._flow.push(*self._first, luma_HW)
        self._first = None
        if is_first:
            self._second, self._first = int(seconds), (seconds, luma_HW)
            self._look(seconds, frame, luma_HW)

    def result(self, duration_seconds: float) -> dict[str, Floats]:
        """Columns of the track by the names of ``SecondMeasures``: (K,), NaN for unknown."""
        dark_K, bright_K = self._exposure.result(duration_seconds)
        return {
            "sharpness": self._sharpness.result(duration_seconds),
            "noise": self._noise.result(duration_seconds),
            "dark": dark_K,
            "bright": bright_K,
            "blockiness": self._blockiness.result(duration_seconds),
            "flow": self._flow.result(duration_seconds),
        }

    def _look(self, seconds: float, frame: av.VideoFrame, luma_HW: npt.NDArray[np.uint8]) -> None:
        self._sharpness.push(seconds, luma_HW)
        self._exposure.push(seconds, luma_HW)
        coded_HW, bits = coded_luma(frame, self._reformatter)
        middle_HW = middle_of(coded_HW, CODED_SIDE, BLOCK)
        self._noise.push(seconds, middle_HW, bits)
        self._blockiness.push(seconds, middle_HW)
