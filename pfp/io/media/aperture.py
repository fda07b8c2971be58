"""How much of a coded frame its container hides: MP4's clean aperture, Matroska's PixelCrop.

FFmpeg reads both as side data of the stream, which PyAV does not hand on, and decodes the whole
frame. Players disagree: QuickTime hides what lies outside, most others show it.

Sources: ISO/IEC 14496-12, 12.1.4 (``clap``); RFC 9559, 5.1.4.1.28 (``PixelCrop...``).
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Final

import av.container
import av.video.stream

from pfp.io.media.boxes import (
    Blocks,
    elements,
    sample_entry_boxes,
    track_in_mp4,
    tracks_in_matroska,
)

_TYPE, _VIDEO = 0x83, 0xE0
_CROPS: Final = (0x54CC, 0x54DD, 0x54BB, 0x54AA)  # left, right, top, bottom
_VIDEO_TRACK: Final = 1


def hidden_fraction(
    blocks: Blocks,
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
) -> float:
    """The share of the coded area that the container hides, [0, 1]; 0 where it says nothing.

    blocks: of the file of ``container``.
    """
    shown: Fraction | None = None
    if "mp4" in container.format.name:
        shown = _shown_in_mp4(blocks, stream)
    elif "matroska" in container.format.name:
        number = [other.index for other in container.streams.video].index(stream.index)
        shown = _shown_in_matroska(blocks, stream, number)
    return 0.0 if shown is None else float(1 - shown)


def _shown_in_mp4(blocks: Blocks, stream: av.video.stream.VideoStream) -> Fraction | None:
    """The shown share of the track with the stream's id."""
    track = track_in_mp4(blocks, stream.id)
    for kind, body, _ in sample_entry_boxes(blocks, track) if track is not None else ():
        if kind == b"clap":
            return _share(blocks.at(body, 16), stream.width * stream.height)
    return None


def _share(numbers: bytes, area: int) -> Fraction | None:
    """Width and height are fractions; one that is not positive says nothing."""
    if len(numbers) < 16:
        return None
    width, per_width, height, per_height = struct.unpack(">4I", numbers)
    if not (width and per_width and height and per_height and area):
        return None
    return min(Fraction(width, per_width) * Fraction(height, per_height) / area, Fraction(1))


def _shown_in_matroska(
    blocks: Blocks, stream: av.video.stream.VideoStream, number: int
) -> Fraction | None:
    """The shown share of the ``number``-th video track."""
    videos = []
    for track in tracks_in_matroska(blocks):
        inner = {kind: (start, end) for kind, start, end in elements(blocks, *track)}
        if _TYPE in inner and _number(blocks, *inner[_TYPE]) == _VIDEO_TRACK and _VIDEO in inner:
            videos.append(inner[_VIDEO])
    return _uncropped(blocks, *videos[number], stream) if number < len(videos) else None


def _uncropped(
    blocks: Blocks, start: int, end: int, stream: av.video.stream.VideoStream
) -> Fraction | None:
    crops = dict.fromkeys(_CROPS, 0)
    for element, *body in elements(blocks, start, end):
        if element in crops:
            crops[element] = _number(blocks, body[0], body[1])
    left, right, top, bottom = crops.values()
    width, height = stream.width - left - right, stream.height - top - bottom
    if width <= 0 or height <= 0:
        return None  # nothing would be left: it cannot be meant
    return Fraction(width * height, stream.width * stream.height)


def _number(blocks: Blocks, start: int, end: int) -> int:
    return int.from_bytes(blocks.at(start, min(8, end - start)), "big")
