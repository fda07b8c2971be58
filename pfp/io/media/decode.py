"""The one decoding loop: packets in, frames out, damage reported instead of hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

import av
import av.container
import av.video.stream

from pfp.io.media.alpha import alpha_decoder

_NO_TIMESTAMPS: Final = 0x80  # AVFMT_NOTIMESTAMPS


def decode_frames(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    on_damage: Callable[[str], None],
) -> Iterator[av.VideoFrame]:
    """Every frame that the decoder gives, in order of display.

    FFmpeg conceals damage: it skips packets, or paints over what is missing. Each packet that it
    refuses and each frame that it marks as corrupt is told to ``on_damage``, which may raise; the
    frame itself is yielded after that.
    """
    decoder = alpha_decoder(stream) or stream.codec_context
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            on_damage(f"the container is damaged ({error.strerror})")
            packet = None
        if packet is None:
            return
        try:
            frames = decoder.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            on_damage(f"a packet cannot be decoded ({error.strerror})")
            continue
        for frame in frames:
            if frame.is_corrupt:
                on_damage("a frame is corrupt")
            yield frame


def frame_rate(stream: av.video.stream.VideoStream) -> Fraction | None:
    """The stream's frame rate by FFmpeg's best guess; None when it has none."""
    return stream.guessed_rate or stream.average_rate or None


class Clock:
    """Times of successive frames, in seconds since the first.

    A frame without a timestamp follows on the one before. In raw streams (``.m2v``, ``.h264``),
    whose timestamps FFmpeg makes up, every frame does.
    """

    def __init__(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> None:
        self._counts = bool(container.format.flags & _NO_TIMESTAMPS)
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._interval = 1 / (frame_rate(stream) or Fraction(25))
        self._first: Fraction | None = None
        self._next = Fraction(0)

    @property
    def tolerance(self) -> Fraction:
        """Half a tick: containers round timestamps (Matroska to whole milliseconds)."""
        return self._time_base / 2

    def time_of(self, frame: av.VideoFrame) -> Fraction:
        """Seconds from the first frame seen to this one; negative after a jump backwards."""
        if frame.pts is None or self._counts:
            absolute = self._next
        else:
            absolute = frame.pts * (frame.time_base or self._time_base)
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
