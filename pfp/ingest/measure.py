"""Measure one video file: decode it once, whole, at a reduced size, and look at every frame.

``measure_video`` runs inside the killable child of a ``Guard``; ``measure`` is the caller's side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, PermanentError, RetryableError, RowError
from pfp.ingest.combing import CombGauge
from pfp.ingest.details import DetailGauge
from pfp.ingest.frame_measures import SIDE, FrameGauge
from pfp.ingest.seconds import MAX_SECONDS
from pfp.ingest.shots import ShotDetector
from pfp.ingest.track import second_measures
from pfp.io.media import Guard, RejectedVideo
from pfp.io.media.clock import Clock
from pfp.io.media.colour import transfer_name
from pfp.io.media.container import OpenVideo, open_video
from pfp.io.media.convert import Converter, Orientation, orientation_of
from pfp.io.media.decode import decode_frames
from pfp.io.media.length import Reach
from pfp.io.media.probe import describe
from pfp.io.media.source import missing_link, shown_name
from pfp.io.media.views import projection_of, stereo_layout_of
from pfp.io.unchanged import file_state, sha256_of
from pfp.limits import MAX_FILE_BYTES
from pfp.schema.measured import MeasuredRecord, SecondMeasures
from pfp.schema.record import failed_verdict
from pfp.schema.verdict import KEPT, Dropped, Failed, Verdict

# Part of the fingerprint of measured rows: raise it when the same file would give other numbers.
MEASURE_VERSION: Final = 4

# Small frames are looked at so many at once: numpy costs less by the block, and the processor's
# caches hold the decoder meanwhile.
BLOCK_FRAMES: Final = 32

Shape: TypeAlias = tuple[int, int, Fraction, Orientation]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSettings:
    """Limits on what one file may cost. They change no number, only what fails."""

    timeout_seconds: float = 120.0
    timeout_seconds_per_mib: float = 1.0  # on top, for long videos
    idle_seconds: float = 20.0  # in which a decode takes hardly any CPU time
    memory_bytes: int = 2 << 30
    recycle_after: int = 100

    def __post_init__(self) -> None:
        """Refuses limits under which nothing could be measured."""
        positive = (
            *(self.timeout_seconds, self.idle_seconds),
            *(self.memory_bytes, self.recycle_after),
        )
        if min(positive) <= 0 or self.timeout_seconds_per_mib < 0:
            message = f"{self} has a limit that is not positive; give numbers above 0"
            raise ConfigError(message)

    def timeout_for(self, size_bytes: int | None) -> float:
        """Seconds that a call about a file of that size may take; None counts as small."""
        return self.timeout_seconds + self.timeout_seconds_per_mib * (size_bytes or 0) / (1 << 20)

    def guard(self) -> Guard:
        """A ``Guard`` with these limits."""
        return Guard(self.timeout_seconds, self.memory_bytes, self.recycle_after, self.idle_seconds)


def measure(
    video_uri: str, size_bytes: int | None, guard: Guard, settings: MeasureSettings
) -> MeasuredRecord:
    """The record of one file: measured, dropped as no video, or failed.

    ``size_bytes`` is as listed; None where that was not known.

    Never raises for what the file's content does. Raises ``InputError`` when the file is gone or
    is none, but a pipe, ``RetryableError`` when it is written to meanwhile.
    """
    link = missing_link(video_uri)
    if link is not None:
        return _unread_record(video_uri, None, Dropped(reason="link_without_target", detail=link))
    state = file_state(video_uri)
    size_bytes = size_bytes or state.size_bytes or 0
    if size_bytes > MAX_FILE_BYTES:
        return _too_large(video_uri, size_bytes)
    timeout = settings.timeout_for(size_bytes)
    digest: str | None = None
    fields: dict[str, Any] = {}
    verdict: Verdict = KEPT
    try:
        digest = guard.call_within(timeout, sha256_of, video_uri)
        fields = guard.call_within(timeout, measure_video, video_uri)
    except RejectedVideo as error:
        verdict = Dropped(reason=error.reason, detail=error.message)
    except RowError as error:
        verdict = failed_verdict(error, retryable=not isinstance(error, PermanentError))
    if file_state(video_uri) != state:
        message = f"{shown_name(video_uri)} was written to while it was measured; run ingest again"
        raise RetryableError(message)
    return MeasuredRecord(
        video_uri=video_uri,
        video_sha256=digest,
        size_bytes=state.size_bytes,
        changed_ns=state.changed_ns,
        verdict=verdict,
        **fields,
    )


def check_size(video_uri: str, size_bytes: int | None) -> None:
    """Raise ``RetryableError`` for a file that has another size than when it was measured."""
    if file_state(video_uri).size_bytes != size_bytes:
        message = f"{shown_name(video_uri)} was written to since it was measured; run ingest again"
        raise RetryableError(message)


def _too_large(video_uri: str, size_bytes: int) -> MeasuredRecord:
    """The record of a file that nobody reads whole; it may be of holes alone."""
    verdict = Dropped(
        reason="bytes_above_max",
        detail=f"the file has {size_bytes} bytes; cut it into parts of up to {MAX_FILE_BYTES}",
        score=float(size_bytes),
        threshold=float(MAX_FILE_BYTES),
    )
    return _unread_record(video_uri, size_bytes, verdict)


def failed_record(video_uri: str, size_bytes: int | None, verdict: Failed) -> MeasuredRecord:
    """The record of a file that could not even be read."""
    return _unread_record(video_uri, size_bytes, verdict)


def _unread_record(video_uri: str, size_bytes: int | None, verdict: Verdict) -> MeasuredRecord:
    return MeasuredRecord(
        video_uri=video_uri, video_sha256=None, size_bytes=size_bytes, verdict=verdict
    )


def measure_video(video_uri: str) -> dict[str, Any]:
    """The measured fields of ``MeasuredRecord``, by name. Decodes every frame once.

    Raises ``RejectedVideo`` and ``PermanentError`` as ``media.probe`` does.
    """
    with open_video(video_uri) as video:
        walk = _Walk(video)
        for frame in decode_frames(video, walk.on_damage, clock=walk.clock, reach=walk.reach):
            walk.push(frame)
        if walk.first is None:
            message = f"{video.name} holds no frame that can be decoded"
            raise RejectedVideo("no_frames", message)
        return walk.result() | {"hidden_fraction": video.hidden_fraction}


class _Walk:
    """What is gathered on the way through a video's frames."""

    def __init__(self, video: OpenVideo) -> None:
        self.first: av.VideoFrame | None = None
        self.clock, self.reach = Clock(video), Reach(video.stream)
        self._video = video
        self._transfer = "sdr"  # of the first frame that is anything else
        self._gauge, self._shots, self._combs = FrameGauge(), ShotDetector(), CombGauge()
        self._converter: Converter | None = None
        self._details: DetailGauge | None = None
        self._block: list[tuple[float, npt.NDArray[np.uint8]]] = []  # times and small frames
        self._shape: Shape = (0, 0, Fraction(1), Orientation())
        self._stereo_layout, self._projection = "mono", "flat"
        self._last = self._end = Fraction(0)
        self._max_gap = Fraction(0)
        self._num_frames = self._num_interlaced = self._num_damaged = 0
        self._num_jumps = self._num_size_changes = 0
        self._num_told = 0  # of the damaged ones, since the last frame
        self._damaged: Counter[int] = Counter()  # by second

    def on_damage(self, _what: str) -> None:
        """Count a packet refused or a frame marked as corrupt. It is told before the next frame."""
        self._num_damaged += 1
        self._num_told += 1

    def push(self, frame: av.VideoFrame) -> None:
        """Look at one frame; they come in order of display."""
        seconds = self.clock.time_of(frame)
        if self.first is None:
            self._begin(frame)
        self._num_frames += 1
        self._place_damage(seconds)
        if self._transfer == "sdr":
            self._transfer = transfer_name(frame.color_trc)
        self._num_interlaced += frame.interlaced_frame
        self._combs.push(frame)
        if frame.key_frame or (frame.width, frame.height) != self._shape[:2]:
            self._look_at_shape(frame)
        self._end = max(self._end, seconds + self.clock.duration_of(frame))
        if seconds < self._last:
            self._num_jumps += 1
        else:
            self._max_gap = max(self._max_gap, seconds - self._last)
            self._look(frame, float(seconds))
        self._last = seconds

    def _place_damage(self, seconds: Fraction) -> None:
        """Let what was damaged since the last frame lie in the second of this one."""
        second = max(0, int(seconds))
        if self._num_told and second < MAX_SECONDS:
            self._damaged[second] += self._num_told
        self._num_told = 0

    def _track(self, duration_seconds: float) -> list[SecondMeasures]:
        self._place_damage(self._last)
        assert self._details is not None
        columns = self._gauge.track(duration_seconds) | self._details.result(duration_seconds)
        return second_measures(columns, self._damaged)

    def _look_at_shape(self, frame: av.VideoFrame) -> None:
        """What streams say at key frames only."""
        shape = _shape_of(frame, self._video.stream)
        self._num_size_changes += shape != self._shape
        self._shape = shape
        self._stereo_layout = stereo_layout_of(frame) or self._stereo_layout
        self._projection = projection_of(frame) or self._projection

    def result(self) -> dict[str, Any]:
        """The fields of ``MeasuredRecord`` that content decides."""
        assert self.first is not None
        self._look_at_block()
        header = describe(self._video, self.first, self.reach)
        duration = float(self._end)
        measures = self._gauge.result(duration) if self._transfer == "sdr" else None
        return {
            "container": header.container,
            "codec": header.codec,
            "pixel_format": header.pixel_format,
            "bit_depth": header.bit_depth,
            "width": header.width,
            "height": header.height,
            "rotation_degrees": header.rotation_degrees,
            "orientation": header.orientation,
            "duration_seconds": duration,
            "promised_seconds": header.duration_seconds,
            "fps": self._num_frames / duration if duration else None,
            "num_frames": self._num_frames,
            "promised_num_frames": header.num_frames,
            "max_gap_seconds": float(self._max_gap),
            "num_timestamp_jumps": self._num_jumps,
            "num_size_changes": self._num_size_changes,
            "decode_error_count": self._num_damaged,
            "interlaced_fraction": self._num_interlaced / self._num_frames,
            "combed_fraction": self._combs.result(),
            "stereo_layout": self._stereo_layout,
            "projection": self._projection,
            "transfer": self._transfer,
            "shots": self._shots.shots(duration) if measures is not None else [],
            "track": self._track(duration) if measures is not None else [],
            **(asdict(measures) if measures is not None else {}),
        }

    def _begin(self, frame: av.VideoFrame) -> None:
        self.first = frame
        self._shape = _shape_of(frame, self._video.stream)
        aspect = self._video.stream.sample_aspect_ratio
        self._converter = Converter(orientation_of(frame), aspect)
        grey = Converter(orientation_of(frame), aspect, pixel_format="gray")
        self._details = DetailGauge(grey)

    def _look(self, frame: av.VideoFrame, seconds: float) -> None:
        if self._converter is None or self._details is None or self._transfer != "sdr":
            return
        self._details.push(seconds, frame)
        self._block.append((seconds, self._converter.scale(frame, SIDE, SIDE)))
        if len(self._block) == BLOCK_FRAMES:
            self._look_at_block()

    def _look_at_block(self) -> None:
        if not self._block:
            return
        seconds_T = [seconds for seconds, _ in self._block]
        frames_THWC = np.stack([frame_HWC for _, frame_HWC in self._block])
        self._block.clear()
        self._shots.push_block(seconds_T, frames_THWC)
        self._gauge.push_block(seconds_T, frames_THWC)


def _shape_of(frame: av.VideoFrame, stream: av.video.stream.VideoStream) -> Shape:
    """What must not change on the way. The decoder's aspect is that of the frames of now."""
    aspect = stream.codec_context.sample_aspect_ratio or Fraction(1)
    return frame.width, frame.height, aspect, orientation_of(frame)
