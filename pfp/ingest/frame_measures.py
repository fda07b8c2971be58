"""What the frames of a video look like, measured from small copies of them as they stream by.

A frame that is looked at stands for the time until the next one that is.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.backdrop import BackdropGauge
from pfp.ingest.bars import BarGauge
from pfp.ingest.gauges.colourfulness import ColourfulnessGauge
from pfp.ingest.gauges.flicker import FlickerGauge
from pfp.ingest.seconds import Floats, HeldMean, SecondSums, lengths
from pfp.ingest.signatures import SignatureGauge

# Frames are measured at SIDE x SIDE, whatever their shape: a cell is an average over 1/4096 of
# the frame, so grain and recoding vanish and a small thing that moves still shows.
SIDE: Final = 64  # twice that of the images that are hashed

SAMPLE_SECONDS: Final = 0.08  # between the frames that are looked at
MOTION_SECONDS: Final = 0.25  # between the frames that motion compares
FREEZE_SECONDS: Final = 0.5  # standing still for less is not a freeze
# In 8-bit code values of luma.
STILL_DIFFERENCE: Final = 2.0  # no cell changes more: repeated frames, recoded, stay below
BLACK_LUMA: Final = 32.0  # no cell is brighter
UNIFORM_DEVIATION: Final = 4.0  # standard deviation over the cells


_LUMA_C: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMeasures:
    """See ``MeasuredRecord`` for what each one means."""

    luma_mean: float
    luma_std: float
    black_fraction: float
    uniform_fraction: float
    bar_fraction: float
    backdrop_fraction: float
    motion: float | None  # None for videos shorter than MOTION_SECONDS
    frozen_fraction: float
    frozen_tail_seconds: float
    frame_signatures: bytes


class FrameGauge:
    """Takes small frames in order of time. Memory holds a few numbers for each second of them."""

    def __init__(self) -> None:
        self._mean, self._std = HeldMean(), HeldMean()
        self._black, self._uniform = HeldMean(), HeldMean()
        self._last_seconds = -SAMPLE_SECONDS
        self._colourfulness, self._flicker = ColourfulnessGauge(), FlickerGauge()
        self._bars, self._backdrop = BarGauge(), BackdropGauge()
        self._freeze = _Freeze()
        self._motion = _Motion()
        self._signatures = SignatureGauge()

    def push(self, seconds: float, frame_HWC: npt.NDArray[np.uint8]) -> None:
        """Add the frame shown from ``seconds`` on: uint8 RGB (SIDE, SIDE, 3)."""
        self.push_block([seconds], frame_HWC[None])

    def push_block(self, seconds_T: Sequence[float], frames_THWC: npt.NDArray[np.uint8]) -> None:
        """Look at those of successive frames that lie ``SAMPLE_SECONDS`` apart.

        Many at once cost a fraction of what they cost one by one.
        """
        self._flicker.push_block(seconds_T, frames_THWC)
        wanted = [index for index, seconds in enumerate(seconds_T) if self._takes(seconds)]
        if not wanted:
            return
        frames_THWC = frames_THWC[wanted]
        luma_THW = frames_THWC @ _LUMA_C
        luma_TN = luma_THW.reshape(len(wanted), -1)
        mean_T, std_T, max_T = luma_TN.mean(axis=1), luma_TN.std(axis=1), luma_TN.max(axis=1)
        for index, place in enumerate(wanted):
            seconds, luma_HW = seconds_T[place], luma_THW[index]
            self._mean.push(seconds, float(mean_T[index]))
            self._std.push(seconds, float(std_T[index]))
            self._uniform.push(seconds, float(std_T[index] < UNIFORM_DEVIATION))
            self._black.push(seconds, float(max_T[index] < BLACK_LUMA))
            self._colourfulness.push(seconds, frames_THWC[index])
            self._bars.push(seconds, frames_THWC[index])
            self._backdrop.push(seconds, frames_THWC[index])
            self._freeze.push(seconds, luma_HW)
            self._motion.push(seconds, luma_HW)
            self._signatures.push(seconds, frames_THWC[index], luma_HW)

    def _takes(self, seconds: float) -> bool:
        is_taken = seconds - self._last_seconds >= SAMPLE_SECONDS - 1e-3
        self._last_seconds = seconds if is_taken else self._last_seconds
        return is_taken

    def result(self, duration_seconds: float) -> FrameMeasures | None:
        """The measures of a video of that length; None when it had no frame."""
        luma_mean = self._mean.mean(duration_seconds)
        if luma_mean is None:
            return None
        frozen_seconds, tail_seconds = self._freeze.result(duration_seconds)
        return FrameMeasures(
            luma_mean=luma_mean,
            luma_std=self._std.mean(duration_seconds) or 0.0,
            black_fraction=self._black.mean(duration_seconds) or 0.0,
            uniform_fraction=self._uniform.mean(duration_seconds) or 0.0,
            bar_fraction=self._bars.result(),
            backdrop_fraction=self._backdrop.result(),
            motion=self._motion.result(),
            frozen_fraction=frozen_seconds / duration_seconds if duration_seconds else 0.0,
            frozen_tail_seconds=tail_seconds,
            frame_signatures=self._signatures.result(),
        )

    def track(self, duration_seconds: float) -> dict[str, Floats]:
        """The same second by second, by the names of ``SecondMeasures``: (K,), NaN for unknown."""
        return {
            "luma_mean": self._mean.result(duration_seconds),
            "luma_std": self._std.result(duration_seconds),
            "motion": self._motion.track(duration_seconds),
            "frozen": self._freeze.track(duration_seconds),
            "black": self._black.result(duration_seconds),
            "uniform": self._uniform.result(duration_seconds),
            "colourfulness": self._colourfulness.result(duration_seconds),
            "flicker": self._flicker.result(duration_seconds),
        }


class _Freeze:
    """Adds up the time in which the video stands still for ``FREEZE_SECONDS`` or longer."""

    def __init__(self) -> None:
        self._anchor_HW: npt.NDArray[np.float32] | None = None
        self._since = 0.0
        self._frozen_seconds = 0.0
        self._sums = SecondSums()

    def push(self, seconds: float, luma_HW: npt.NDArray[np.float32]) -> None:
        # Compared with the first frame of the run: slow change must add up to movement.
        if (
            self._anchor_HW is not None
            and np.abs(luma_HW - self._anchor_HW).max() <= STILL_DIFFERENCE
        ):
            return
        self._add(seconds)
        self._anchor_HW, self._since = luma_HW, seconds

    def result(self, duration_seconds: float) -> tuple[float, float]:
        """Seconds frozen in all, and at the end."""
        tail = duration_seconds - self._since
        tail = tail if tail >= FREEZE_SECONDS else 0.0
        return min(self._frozen_seconds + tail, duration_seconds), tail

    def track(self, duration_seconds: float) -> Floats:
        """The share of each second that is frozen, (K,)."""
        tail_seconds = self.result(duration_seconds)[1]
        tail = SecondSums()
        tail.add(duration_seconds - tail_seconds, duration_seconds)
        frozen_K = self._sums.result(duration_seconds) + tail.result(duration_seconds)
        return frozen_K / lengths(duration_seconds)

    def _add(self, seconds: float) -> None:
        if self._anchor_HW is not None and seconds - self._since >= FREEZE_SECONDS:
            self._frozen_seconds += seconds - self._since
            self._sums.add(self._since, seconds)


class _Motion:
    """Mean absolute luma change between frames ``MOTION_SECONDS`` apart, code values per second."""

    def __init__(self) -> None:
        self._last: tuple[float, npt.NDArray[np.float32]] | None = None
        self._sum_changes = self._sum_seconds = 0.0
        self._changes, self._compared = SecondSums(), SecondSums()

    def push(self, seconds: float, luma_HW: npt.NDArray[np.float32]) -> None:
        if self._last is None:
            self._last = (seconds, luma_HW)
            return
        gap = seconds - self._last[0]
        if gap < MOTION_SECONDS - 1e-3:
            return
        change = float(np.abs(luma_HW - self._last[1]).mean())
        self._sum_changes += change
        self._sum_seconds += gap
        self._changes.add(self._last[0], seconds, change / gap)
        self._compared.add(self._last[0], seconds)
        self._last = (seconds, luma_HW)

    def result(self) -> float | None:
        return self._sum_changes / self._sum_seconds if self._sum_seconds else None

    def track(self, duration_seconds: float) -> Floats:
        """The motion of each second, (K,), NaN where none of it was compared."""
        compared_K = self._compared.result(duration_seconds)
        changes_K = self._changes.result(duration_seconds)
        unknown_K = np.full_like(changes_K, np.nan)
        return np.divide(changes_K, compared_K, out=unknown_K, where=compared_K > 0)
