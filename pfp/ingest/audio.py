"""Measure the sound of one video file: decode its audio once, whole, and nothing else.

``measure_audio`` runs inside the killable child of a ``Guard``; ``audio_of`` is the caller's side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import av
import av.container
import numpy as np
from av.audio.resampler import AudioResampler
from av.stream import Disposition

from pfp.errors import PermanentError, RowError
from pfp.ingest.audio_gauges import LoudnessGauge, SampleGauge
from pfp.ingest.measure import MeasureSettings, check_size
from pfp.io.media import Guard
from pfp.io.media.container import open_video
from pfp.schema.audio import AudioRecord
from pfp.schema.record import failed_verdict
from pfp.schema.verdict import KEPT, Failed, Verdict

# Part of the fingerprint of rows of audio: raise it when the same file would give other numbers.
AUDIO_VERSION: Final = 1

# BS.1770 weighs the channels of layouts up to 7.1; what has more is mixed down to two.
MAX_CHANNELS: Final = 8


def audio_of(
    video_uri: str,
    video_sha256: str | None,
    size_bytes: int | None,
    guard: Guard,
    settings: MeasureSettings,
) -> AudioRecord:
    """The record of the sound of one file that was measured as a video of this size and digest.

    Never raises for what the file's content does. Raises ``InputError`` when the file is gone and
    ``RetryableError`` when it has another size by now.
    """
    check_size(video_uri, size_bytes)
    fields: dict[str, Any] = {}
    verdict: Verdict = KEPT
    try:
        timeout = settings.timeout_for(size_bytes)
        fields = guard.call_within(timeout, measure_audio, video_uri)
    except RowError as error:
        verdict = failed_verdict(error, retryable=not isinstance(error, PermanentError))
    return AudioRecord(video_uri=video_uri, video_sha256=video_sha256, verdict=verdict, **fields)


def failed_audio(video_uri: str, video_sha256: str | None, verdict: Failed) -> AudioRecord:
    """The record of a file that could not even be read."""
    return AudioRecord(video_uri=video_uri, video_sha256=video_sha256, verdict=verdict)


def measure_audio(video_uri: str) -> dict[str, Any]:
    """The measured fields of ``AudioRecord``, by name.

    Raises ``PermanentError`` for a file that cannot be opened, and for one that has audio of which
    nothing can be decoded.
    """
    with open_video(video_uri) as video:
        stream = _chosen(video.container)
        if stream is None:
            return {"has_audio": False}
        walk = _Walk()
        try:
            for frame in walk.frames(video.container, stream):
                walk.push(frame)
            return walk.result() | {"audio_codec": stream.codec_context.name}
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError) as error:
            message = f"the audio of {video.name} cannot be measured ({error}); mend or remove it"
            raise PermanentError(message) from error


def _chosen(container: av.container.InputContainer) -> av.AudioStream | None:
    """The stream that players play: the default one, else the first; None without any."""
    streams = sorted(
        container.streams.audio,
        key=lambda stream: (not stream.disposition & Disposition.default, stream.index),
    )
    return streams[0] if streams else None


class _Walk:
    """What is gathered on the way through the frames of an audio stream."""

    def __init__(self) -> None:
        self._num_damaged = 0
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None  # of the frames that it takes
        self._layout, self._rate, self._num_channels = "", 0, 0  # of what it gives
        self._loudness: LoudnessGauge | None = None
        self._samples: SampleGauge | None = None

    def frames(
        self, container: av.container.InputContainer, stream: av.AudioStream
    ) -> Iterator[av.AudioFrame]:
        """All that can be decoded; packets refused and frames marked as corrupt are counted."""
        # A stream of an unknown codec has none, whatever PyAV's stubs say.
        if cast("object", stream.codec_context) is None:
            raise ValueError("its codec is unknown")
        for packet in self._packets(container, stream):
            try:
                frames = stream.decode(packet)
            except av.error.EOFError:
                return
            except MemoryError:
                raise  # it says nothing about the file
            except av.error.FFmpegError:
                self._num_damaged += 1
                continue
            self._num_damaged += sum(frame.is_corrupt for frame in frames)
            yield from frames

    def _packets(
        self, container: av.container.InputContainer, stream: av.AudioStream
    ) -> Iterator[av.Packet[Any]]:
        """The stream's packets; damage of the container ends them."""
        try:
            yield from container.demux(stream)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            self._num_damaged += 1

    def push(self, frame: av.AudioFrame) -> None:
        """Look at one frame; all are made like the first, whatever changes on the way."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None:
            self._begin(frame)
        elif shape != self._shape:
            self._take(self._resampler.resample(None))
        if shape != self._shape:
            self._shape = shape
            self._resampler = AudioResampler("dbl", self._layout, self._rate)
        assert self._resampler is not None
        frame.pts = None  # what is measured is what was decoded, not the gaps
        self._take(self._resampler.resample(frame))

    def result(self) -> dict[str, Any]:
        """The fields of ``AudioRecord`` that content decides."""
        if self._resampler is None or self._samples is None or self._loudness is None:
            raise ValueError("nothing of it can be decoded")
        self._take(self._resampler.resample(None))
        self._loudness.push(None)
        seconds = self._samples.num_samples / self._rate
        return {
            "has_audio": True,
            "sample_rate": self._rate,
            "num_channels": self._num_channels,
            "audio_seconds": seconds,
            "audio_error_count": self._num_damaged,
            **self._loudness.result(seconds),
            **self._samples.result(),
        }

    def _begin(self, frame: av.AudioFrame) -> None:
        self._num_channels = frame.layout.nb_channels
        self._layout = frame.layout.name if self._num_channels <= MAX_CHANNELS else "stereo"
        self._rate = frame.sample_rate
        self._loudness = LoudnessGauge(self._layout, self._rate)
        self._samples = SampleGauge(self._rate)

    def _take(self, frames: list[av.AudioFrame]) -> None:
        assert self._loudness is not None
        assert self._samples is not None
        for frame in frames:
            self._loudness.push(frame)
            block_NC = frame.to_ndarray().astype(np.float64, copy=False).reshape(frame.samples, -1)
            self._samples.push(block_NC)
