"""The times of a stream's frames, also where the file's timestamps are missing or another order's.

Three cases:

- Timestamps of presentation, as nearly every file has them.
- Timestamps of decoding given out for those of presentation: AVI knows no others, and muxers that
  forget the difference write such MP4 and FLV files. Frames that were reordered then come with each
  other's times. A decoder tells for each frame when it was let go, which is in order.
- None at all: raw streams (``.h264``, ``.m2v``), whose frames follow one another at their rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, cast

import av
import av.codec
import av.video.stream
from av.video.codeccontext import VideoCodecContext

from pfp.io.media.container import OpenVideo

_NO_TIMESTAMPS: Final = 0x80  # AVFMT_NOTIMESTAMPS
# Packets among which a stream that reorders frames shows it: over two seconds of most videos.
HEAD_PACKETS: Final = 64
_EXACT_SECONDS: Final = Fraction(1, 10_000)  # for times that were floats on their way


def frame_rate(stream: av.video.stream.VideoStream) -> Fraction | None:
    """The stream's frame rate by FFmpeg's best guess; None when it has none."""
    return stream.guessed_rate or stream.average_rate or None


def mean_rate(video: OpenVideo) -> Fraction | None:
    """Frames over time; None when the file has neither.

    Of raw streams the rate that they are coded at: their mean FFmpeg makes up.
    """
    stream = video.stream
    if video.container.format.flags & _NO_TIMESTAMPS:
        return frame_rate(stream)
    return stream.average_rate or stream.guessed_rate or None


class Clock:
    """Times of successive frames, in seconds since the first.

    A frame without a timestamp follows on the one before.
    """

    def __init__(self, video: OpenVideo) -> None:
        stream = video.stream
        self._stream = stream
        self._counts = bool(video.container.format.flags & _NO_TIMESTAMPS)
        self._by_decoding = video.container.format.name == "avi"
        self._is_settled = self._counts or self._by_decoding
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._interval = 1 / (frame_rate(stream) or Fraction(25))
        self._first: Fraction | None = None
        self._next = Fraction(0)

    @property
    def tolerance(self) -> Fraction:
        """By how much a time may be late where the container rounds, as Matroska does.

        Half a tick for the frame's own rounding, and half for the first frame's unless that is
        zero. AVI's tick is a whole frame, and exact.
        """
        if (self._interval / self._time_base).denominator == 1:
            return min(self._time_base, _EXACT_SECONDS)
        return self._time_base if self._first else self._time_base / 2

    @property
    def wants_head(self) -> bool:
        """Whether the stream's first packets decide which timestamps count."""
        return not self._is_settled and self._stream.codec_context.has_b_frames

    @property
    def may_seek(self) -> bool:
        """Whether a time is a place in the file."""
        return not (self._counts or self._by_decoding)

    def look_at(self, head: Sequence[av.Packet[Any]]) -> None:
        """Decide by the stream's first ``HEAD_PACKETS`` packets, before any is decoded."""
        self._is_settled = True
        stamps = [packet.pts for packet in head if packet.pts is not None]
        if _is_rising(stamps):
            self._by_decoding = not _is_rising(_shown_stamps(self._stream, head))

    def time_of(self, frame: av.VideoFrame) -> Fraction:
        """Seconds from the first frame seen to this one; negative after a jump backwards.

        Ask once for each frame, in order.
        """
        if self._first is None and frame.pts is None and frame.dts is not None:
            self._by_decoding = True
        stamp = frame.dts if self._by_decoding else frame.pts
        if stamp is None or self._counts:
            absolute = self._next
        else:
            absolute = stamp * (frame.time_base or self._time_base)
        self._next = absolute + self.duration_of(frame)
        if self._first is None:
            self._first = absolute
        return absolute - self._first

    def duration_of(self, frame: av.VideoFrame) -> Fraction:
        """How long the frame is shown, from the file, else from the frame rate."""
        if frame.duration:
            return frame.duration * (frame.time_base or self._time_base)
        return self._interval

    def ticks(self, seconds: Fraction) -> int:
        """The stream timestamp ``seconds`` after the first frame, rounded down."""
        return int(((self._first or Fraction(0)) + seconds) // self._time_base)


def _is_rising(stamps: Iterable[int]) -> bool:
    return all(before <= after for before, after in pairwise(stamps))


def _shown_stamps(stream: av.video.stream.VideoStream, head: Sequence[av.Packet[Any]]) -> list[int]:
    """The timestamps of the first packets' frames in order of display, from a decoder of its own.

    They rise as the packets' do where nothing is reordered, or where the packets are not believed.
    """
    source = stream.codec_context
    context = cast("VideoCodecContext", av.codec.CodecContext.create(source.codec.name, "r"))
    context.extradata, context.options = source.extradata, source.options
    context.thread_count = 1
    stamps: list[int] = []
    for packet in head:
        try:
            frames = context.decode(packet)
        except av.error.FFmpegError:
            continue  # the damage is told when the packet is decoded in earnest
        stamps += [frame.pts for frame in frames if frame.pts is not None]
        if not _is_rising(stamps[-2 - len(frames) :]):
            break
    return stamps
