"""Numbers about sound, in constant memory, however long it lasts.

Axes: N samples of all channels at the same time, C channels, F frames of 20 ms, S seconds.
Samples are float64, full scale is [-1, 1].
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph

Samples: TypeAlias = npt.NDArray[np.float64]

# FFmpeg's filter ``ebur128`` gives this where nothing passes the absolute gate of ITU-R BS.1770.
NOTHING_PASSES_LUFS: Final = -70.0
# Tech 3342 needs three seconds for a value, and a minute for one to rely on.
MIN_RANGE_SECONDS: Final = 3.0

# 16-bit PCM that was clipped has 32767 / 32768 or -1; what decoders of lossy codecs make of it goes
# somewhat beyond.
CLIPPED: Final = 32767 / 32768
# The noise of an 8-bit recording, or of a good room recorded at a low gain, lies above.
SILENT_DBFS: Final = -60.0

FRAMES_PER_SECOND: Final = 50
# Scheirer and Slaney 1997 ("Construction and evaluation of a robust multifeature speech/music
# discriminator", ICASSP), feature "percentage of low-energy frames": those of less than half the
# mean RMS of their second. Speech has many, between syllables; music and noise have few.
LOW_RMS: Final = 0.5
# The share of such frames from which on a second is speech-like: a rule of thumb from a few clips,
# of which talks mostly have 0.16 and more, music and battles mostly less than 0.1.
MIN_LOW_SHARE: Final = 0.2


class LoudnessGauge:
    """Integrated loudness, loudness range and true peak by FFmpeg's ``ebur128`` (EBU R128)."""

    def __init__(self, layout: str, sample_rate: int) -> None:
        self._graph = Graph()
        self._source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="dbl", layout=layout, time_base=None
        )
        meter = self._graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
        self._sink = self._graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        self._graph.configure()
        self._told: dict[str, str] = {}

    def push(self, frame: av.AudioFrame | None) -> None:
        """Look at a frame of interleaved doubles; None is the end."""
        self._source.push(frame)
        while True:
            try:
                looked_at = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._told = looked_at.metadata or self._told

    def result(self, audio_seconds: float) -> dict[str, float | None]:
        """The fields of ``AudioRecord``."""
        loudness = self._value("I")
        passes = loudness is not None and loudness > NOTHING_PASSES_LUFS
        has_range = passes and audio_seconds >= MIN_RANGE_SECONDS
        peak = self._value("true_peak")
        return {
            "loudness_lufs": loudness if passes else None,
            "loudness_range_lu": self._value("LRA") if has_range else None,
            "true_peak_dbfs": 20 * math.log10(peak) if peak else None,
        }

    def _value(self, name: str) -> float | None:
        value = float(self._told.get(f"lavfi.r128.{name}", "nan"))
        return value if math.isfinite(value) else None


class SampleGauge:
    """Silence, clipping and what is like speech, from blocks of samples."""

    def __init__(self, sample_rate: int) -> None:
        self._frame = max(1, sample_rate // FRAMES_PER_SECOND)  # samples
        self._second = self._frame * FRAMES_PER_SECOND
        self._blocks: list[Samples] = []  # less than a second
        self._num_held = self._num_samples = self._num_values = self._num_clipped = 0
        self._num_frames = self._num_silent = self._num_sounding = self._num_speech_like = 0

    def push(self, block_NC: Samples) -> None:
        """Look at the samples that follow."""
        self._num_samples += len(block_NC)
        self._num_values += block_NC.size
        self._num_clipped += int(np.count_nonzero(np.abs(block_NC) >= CLIPPED))
        self._blocks.append(np.square(block_NC).mean(axis=1))
        self._num_held += len(block_NC)
        if self._num_held >= self._second:
            power_N = np.concatenate(self._blocks)
            whole = len(power_N) - len(power_N) % self._second
            self._look(power_N[:whole].reshape(-1, FRAMES_PER_SECOND, self._frame).mean(axis=2))
            self._blocks = [power_N[whole:]]
            self._num_held = len(power_N) - whole

    def result(self) -> dict[str, float | None]:
        """The fields of ``AudioRecord``; the last second counts for silence only, if it is cut."""
        power_N = np.concatenate([np.empty(0), *self._blocks])
        left = power_N[: len(power_N) - len(power_N) % self._frame].reshape(-1, self._frame)
        self._count_silence(left.mean(axis=1))
        self._blocks, self._num_held = [], 0
        return {
            "silent_fraction": _share(self._num_silent, self._num_frames),
            "clipped_fraction": _share(self._num_clipped, self._num_values),
            "speech_like_fraction": _share(self._num_speech_like, self._num_sounding),
        }

    @property
    def num_samples(self) -> int:
        """Of each channel."""
        return self._num_samples

    def _look(self, power_SF: Samples) -> None:
        """Mean power of frames, second by second."""
        self._count_silence(power_SF.ravel())
        rms_SF = np.sqrt(power_SF)
        is_sounding_S = power_SF.mean(axis=1) >= _power(SILENT_DBFS)
        is_low_SF = rms_SF < LOW_RMS * rms_SF.mean(axis=1, keepdims=True)
        is_speech_like_S = is_sounding_S & (is_low_SF.mean(axis=1) >= MIN_LOW_SHARE)
        self._num_sounding += int(is_sounding_S.sum())
        self._num_speech_like += int(is_speech_like_S.sum())

    def _count_silence(self, power_F: Samples) -> None:
        self._num_frames += len(power_F)
        self._num_silent += int(np.count_nonzero(power_F < _power(SILENT_DBFS)))


def _power(decibels: float) -> float:
    return float(10 ** (decibels / 10))


def _share(part: int, whole: int) -> float | None:
    """None of nothing."""
    return part / whole if whole else None
