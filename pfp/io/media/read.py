"""Frames of a video as RGB arrays, resampled by timestamp.

Axes: T time, H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from pfp.errors import PermanentError
from pfp.io.media.clock import Clock
from pfp.io.media.container import OpenVideo, open_video
from pfp.io.media.convert import Converter
from pfp.io.media.decode import decode_frames
from pfp.io.media.source import Source, shown_name
from pfp.io.media.stored import SteadyAspect, no_frames, refuse_damage, upright_converter

# Decoding this much is cheaper than the risk and the cost of a seek.
_SEEK_FROM_SECONDS: Final = 4
# Containers with an index; elsewhere a seek may land anywhere.
_SEEKABLE: Final = ("mov", "matroska")


def read_frames(
    source: Source,
    *,
    fps: float,
    height: int,
    width: int,
    start_seconds: float = 0.0,
    num_frames: int | None = None,
    end_seconds: float | None = None,
) -> npt.NDArray[np.uint8]:
    """The frames that ``iter_frames`` yields, as one array ``(T, height, width, 3)``.

    Raises ``PermanentError`` also when the span holds no frame, or fewer than ``num_frames``.
    """
    frames = list(
        iter_frames(
            source,
            fps=fps,
            height=height,
            width=width,
            start_seconds=start_seconds,
            num_frames=num_frames,
            end_seconds=end_seconds,
        )
    )
    if not frames:
        message = f"{shown_name(source)} has no frame from {start_seconds} s; start earlier"
        raise PermanentError(message)
    return np.stack(frames)


def iter_frames(
    source: Source,
    *,
    fps: float,
    height: int,
    width: int,
    start_seconds: float = 0.0,
    num_frames: int | None = None,
    end_seconds: float | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames at ``fps``, one after the other, uint8 RGB ``(height, width, 3)``.

    Frame ``i`` is the frame shown at ``start_seconds + i / fps`` after the video's first frame:
    the last one whose timestamp is not later (by more than a tick of the container's clock).
    The span is ``[start_seconds, end_seconds)``, by default to where the last frame stops being
    shown; with ``num_frames`` exactly that many come.

    Frames are upright, in square pixels, full-range RGB, scaled to cover the asked size with
    antialiasing and cropped around the centre. Memory does not grow with the video's length.

    Raises ``PermanentError`` for what cannot be decoded, is damaged within the span, is HDR, has
    timestamps that jump back, or ends before ``num_frames``; ``ValueError`` for a size, rate or
    span that is not positive.
    """
    if fps <= 0 or height <= 0 or width <= 0 or start_seconds < 0:
        message = f"fps {fps}, size {width}x{height}, start {start_seconds}: give positive numbers"
        raise ValueError(message)
    step, start = 1 / _exact(fps), _exact(start_seconds)
    end = None if end_seconds is None else _exact(end_seconds)
    count = 0
    for frame in _frames_at(source, start, step, height=height, width=width):
        if count == num_frames or (end is not None and start + count * step >= end):
            return
        yield frame
        count += 1
    if num_frames is not None and count < num_frames and end is None:
        message = (
            f"{shown_name(source)} ends after {count} of the {num_frames} frames asked for at "
            f"{fps} fps from {start_seconds} s; ask for a shorter span"
        )
        raise PermanentError(message)


def _frames_at(
    source: Source, start: Fraction, step: Fraction, *, height: int, width: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frame shown at ``start``, ``start + step``, ... until the video ends."""
    with open_video(source) as video:
        clock = Clock(video)
        converter: Converter | None = None
        time = start
        aspect = SteadyAspect(video.stream, video.name)
        for end, frame in _shown_frames(video, clock, start):
            converter = converter or upright_converter(frame, video.stream)
            aspect.check()
            frame_HWC: npt.NDArray[np.uint8] | None = None
            while time < end - clock.tolerance:
                if frame_HWC is None:
                    frame_HWC = converter.cover(frame, width, height)
                # A copy each time: what the caller does to one frame must not reach the next.
                yield frame_HWC.copy()
                time += step


def _shown_frames(
    video: OpenVideo, clock: Clock, start: Fraction
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """``(end, frame)`` in order, from the frame shown at ``start`` or one before it.

    A frame is shown until the next one's time; the last one for its own duration.
    """
    held: av.VideoFrame | None = None
    held_time = Fraction(0)
    for time, frame in _timed_from(video, clock, start):
        if held is not None and time < held_time:
            message = (
                f"{video.name}: timestamps jump back from {float(held_time):.3f} s to "
                f"{float(time):.3f} s; split the file there"
            )
            raise PermanentError(message)
        if held is not None:
            yield time, held
        held, held_time = frame, time
    if held is None:
        raise no_frames(video.name)
    yield held_time + clock.duration_of(held), held


def _timed_from(
    video: OpenVideo, clock: Clock, start: Fraction
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """``(time, frame)`` from the first, or from a keyframe at or before ``start`` to save decoding.

    A frame's time is asked for once: where the file has no timestamps the clock counts.
    """
    frames = _timed(decode_frames(video, refuse_damage(video.name), clock=clock), clock)
    first = next(frames, None)
    if first is None:
        return
    seekable = clock.may_seek and video.container.format.name.startswith(_SEEKABLE)
    if start < _SEEK_FROM_SECONDS or not seekable:
        yield first
        yield from frames
        return
    frames = _timed(_after_seek(video, clock.ticks(start)), clock)
    landed = next(frames, None)
    if landed is not None and landed[0] <= start:
        yield landed
        yield from frames
        return
    yield from _timed(_after_seek(video, clock.ticks(Fraction(0))), clock)


def _timed(
    frames: Iterator[av.VideoFrame], clock: Clock
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    return ((clock.time_of(frame), frame) for frame in frames)


def _after_seek(video: OpenVideo, ticks: int) -> Iterator[av.VideoFrame]:
    """Frames from the first keyframe that comes after a jump to ``ticks``.

    Before it come the leading frames of an open group: they lack references after a seek, are
    shown earlier than the keyframe, and their damage is no fault of the file.
    """
    settled = False
    refuse = refuse_damage(video.name)

    def on_damage(what: str) -> None:
        if settled:
            refuse(what)

    video.container.seek(ticks, stream=video.stream, backward=True)
    for frame in decode_frames(video, on_damage):
        settled = settled or frame.key_frame
        if settled:
            yield frame


def _exact(value: float) -> Fraction:
    """The simplest fraction near a rate or a time: 29.97002997 becomes 30000/1001."""
    return Fraction(value).limit_denominator(1_000_000)
