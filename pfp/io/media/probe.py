"""What a video file says about itself, checked against its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import av.container
import av.video.stream

from pfp.io.media.alpha import has_alpha
from pfp.io.media.container import RejectedVideo, open_video
from pfp.io.media.decode import decode_frames, frame_rate
from pfp.io.media.picture import is_hdr, orientation_of, shown_size
from pfp.io.media.source import Source, shown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The chosen video stream of a file. What the file does not tell is None.

    The header's promises (``duration_seconds``, ``num_frames``, ``fps``) are just that: only a full
    decode tells what is there.
    """

    container: str  # FFmpeg's name, from the content: "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
    codec: str
    pixel_format: str
    bit_depth: int
    stream_index: int
    coded_width: int  # pixels as stored
    coded_height: int
    sample_aspect: Fraction  # width over height of a stored pixel
    rotation_degrees: int  # clockwise turn that shows it upright
    width: int  # of the shown picture, square pixels
    height: int
    fps: float | None
    duration_seconds: float | None
    num_frames: int | None  # promised by the header
    color_transfer: int  # ITU-T H.273 code points; 2 is "not told"
    color_matrix: int
    color_primaries: int
    full_range: bool
    is_hdr: bool
    has_alpha: bool  # frames can be transparent; they are read over black
    interlaced: bool

    @property
    def orientation(self) -> str:
        """``landscape``, ``portrait`` or ``square``, as shown."""
        if self.width == self.height:
            return "square"
        return "landscape" if self.width > self.height else "portrait"


def probe(source: Source) -> Probe:
    """Open a video, choose its stream and decode its first frame.

    Raises ``RejectedVideo`` (a ``PermanentError``) when the content is not a video, has no video
    stream, no frame, or frames too large to decode; ``PermanentError`` when it is damaged.
    """
    with open_video(source) as (container, stream):
        first = next(decode_frames(container, stream, lambda _: None), None)
        if first is None:
            message = f"{shown_name(source)} holds no frame that can be decoded"
            raise RejectedVideo("no_frames", message)
        return describe(container, stream, first)


def describe(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    first: av.VideoFrame,
) -> Probe:
    """The ``Probe`` of an open container. ``first`` is the stream's first decoded frame.

    Colour comes from the frame: a container's header may contradict the coded stream.
    """
    orientation = orientation_of(first)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = shown_size(first.width, first.height, aspect, orientation)
    rate = frame_rate(stream)
    duration = _duration(container, stream)
    return Probe(
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
        bit_depth=max(component.bits for component in first.format.components),
        stream_index=stream.index,
        coded_width=first.width,
        coded_height=first.height,
        sample_aspect=aspect,
        rotation_degrees=orientation.rotation_degrees,
        width=width,
        height=height,
        fps=float(rate) if rate else None,
        duration_seconds=float(duration) if duration else None,
        num_frames=stream.frames or (round(duration * rate) if duration and rate else None),
        color_transfer=first.color_trc,
        color_matrix=first.colorspace,
        color_primaries=first.color_primaries,
        full_range=first.color_range == 2 or first.format.name.startswith("yuvj"),
        is_hdr=is_hdr(first.color_trc),
        has_alpha=has_alpha(first.format),
        interlaced=first.interlaced_frame,
    )


def _duration(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Fraction | None:
    """The stream's duration in seconds; the container's when the stream has none."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration else None
