"""What a video file says about itself, checked against its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av

from pfp.io.media.alpha import has_alpha
from pfp.io.media.clock import frame_rate
from pfp.io.media.colour import RANGE_FULL, is_hdr
from pfp.io.media.container import OpenVideo, RejectedVideo, open_video
from pfp.io.media.convert import orientation_of, shown_size
from pfp.io.media.decode import decode_frames
from pfp.io.media.length import Reach, promised_seconds
from pfp.io.media.reference import quarter_turns_of
from pfp.io.media.source import Source


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
    reference_turns: int  # quarter turns, clockwise, that decord and OpenCV give it
    width: int  # of the shown frame, square pixels
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
    with open_video(source) as video:
        first = next(decode_frames(video, lambda _: None), None)
        if first is None:
            message = f"{video.name} holds no frame that can be decoded"
            raise RejectedVideo("no_frames", message)
        return describe(video, first)


def describe(video: OpenVideo, first: av.VideoFrame, reach: Reach | None = None) -> Probe:
    """The ``Probe`` of an open video. ``first`` is the stream's first decoded frame.

    reach: of a file that was read to its end; then its length may tell the video's.
    """
    container, stream = video.container, video.stream
    orientation = orientation_of(first)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = shown_size(first.width, first.height, aspect, orientation)
    rate = frame_rate(stream)
    duration = promised_seconds(container, stream, reach)
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
        reference_turns=quarter_turns_of(first),
        width=width,
        height=height,
        fps=float(rate) if rate else None,
        duration_seconds=float(duration) if duration else None,
        num_frames=stream.frames or (round(duration * rate) if duration and rate else None),
        color_transfer=first.color_trc,
        color_matrix=first.colorspace,
        color_primaries=first.color_primaries,
        full_range=first.color_range == RANGE_FULL or first.format.name.startswith("yuvj"),
        is_hdr=is_hdr(first.color_trc),
        has_alpha=has_alpha(first.format),
        interlaced=first.interlaced_frame,
    )
