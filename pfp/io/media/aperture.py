"""How much of a coded picture its container hides: MP4's clean aperture, Matroska's PixelCrop.

FFmpeg reads both as side data of the stream, which PyAV does not hand on, and decodes the whole
picture. Players disagree: QuickTime hides what lies outside, most others show it.

Sources: ISO/IEC 14496-12, 12.1.4 (``clap``); RFC 9559, 5.1.4.1.28 (``PixelCrop...``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, Final

import av.container
import av.video.stream

from pfp.io.media.source import Source, open_binary

_MAX_BOXES: Final = 100_000  # of one level: no file that is whole has more

_CONTAINERS: Final = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_VIDEO_ENTRY_BYTES: Final = 78  # of a VisualSampleEntry before its boxes

_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_CLUSTER: Final = 0x1F43B675
_CROPS: Final = (0x54CC, 0x54DD, 0x54BB, 0x54AA)  # left, right, top, bottom
_VIDEO_TRACK: Final = 1


def hidden_fraction(
    source: Source,
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
) -> float:
    """The share of the coded area that the container hides, [0, 1]; 0 where it says nothing.

    source: the file of ``container``, which is opened once more.
    """
    format_name = container.format.name
    shown: Fraction | None = None
    with open_binary(source) as file:
        if "mp4" in format_name:
            shown = _shown_in_mp4(file, stream)
        elif "matroska" in format_name:
            number = [other.index for other in container.streams.video].index(stream.index)
            shown = _shown_in_matroska(file, stream, number)
    return 0.0 if shown is None else float(1 - shown)


def _shown_in_mp4(file: BinaryIO, stream: av.video.stream.VideoStream) -> Fraction | None:
    """The shown share of the track with the stream's id."""
    end = file.seek(0, 2)
    for kind, begin, stop in _boxes(file, 0, end):
        if kind != b"moov":
            continue
        for inner, inner_begin, inner_stop in _boxes(file, begin, stop):
            if inner == b"trak" and _track_id(file, inner_begin, inner_stop) == stream.id:
                return _aperture(file, inner_begin, inner_stop, stream.width * stream.height)
    return None


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """``(type, start of the content, end)`` of the boxes between two places."""
    for _ in range(_MAX_BOXES):
        file.seek(begin)
        head = file.read(16)
        if end - begin < 8 or len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        content = begin + 8
        if size == 1 and len(head) == 16:
            size, content = struct.unpack(">Q", head[8:])[0], begin + 16
        stop = end if size == 0 else begin + size
        if not content <= stop <= end:
            return
        yield kind, content, stop
        begin = stop


def _track_id(file: BinaryIO, begin: int, end: int) -> int | None:
    for kind, content, _ in _boxes(file, begin, end):
        if kind == b"tkhd":
            file.seek(content)
            head = file.read(24)
            at = 20 if head[:1] == b"\x01" else 12  # times take 64 bits in version 1
            return int.from_bytes(head[at : at + 4], "big")
    return None


def _aperture(file: BinaryIO, begin: int, end: int, area: int) -> Fraction | None:
    """The clean aperture's share of the area, from the first sample entry below a track."""
    for kind, content, stop in _boxes(file, begin, end):
        if kind in _CONTAINERS:
            found = _aperture(file, content, stop, area)
            if found is not None:
                return found
        elif kind == b"stsd":
            for _, entry, entry_stop in _boxes(file, content + 8, stop):
                for inner, at, _ in _boxes(file, entry + _VIDEO_ENTRY_BYTES, entry_stop):
                    if inner == b"clap":
                        file.seek(at)
                        return _share(file.read(16), area)
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
    file: BinaryIO, stream: av.video.stream.VideoStream, number: int
) -> Fraction | None:
    """The shown share of the ``number``-th video track."""
    end = file.seek(0, 2)
    for element, begin, stop in _elements(file, 0, end):
        if element != _SEGMENT:
            continue
        for inner, inner_begin, inner_stop in _elements(file, begin, stop):
            if inner == _CLUSTER:
                return None  # tracks come before the pictures
            if inner == _TRACKS:
                videos = list(_video_tracks(file, inner_begin, inner_stop))
                if number < len(videos):
                    return _uncropped(file, *videos[number], stream)
    return None


def _video_tracks(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the ``Video`` elements of the tracks of pictures are."""
    for element, at, stop in _elements(file, begin, end):
        if element != _TRACK:
            continue
        inner = {one: (one_at, one_stop) for one, one_at, one_stop in _elements(file, at, stop)}
        if _TYPE in inner and _number(file, *inner[_TYPE]) == _VIDEO_TRACK and _VIDEO in inner:
            yield inner[_VIDEO]


def _uncropped(
    file: BinaryIO, begin: int, end: int, stream: av.video.stream.VideoStream
) -> Fraction | None:
    crops = dict.fromkeys(_CROPS, 0)
    for element, at, stop in _elements(file, begin, end):
        if element in crops:
            crops[element] = _number(file, at, stop)
    left, right, top, bottom = crops.values()
    width, height = stream.width - left - right, stream.height - top - bottom
    if width <= 0 or height <= 0:
        return None  # nothing would be left: it cannot be meant
    return Fraction(width * height, stream.width * stream.height)


def _number(file: BinaryIO, begin: int, end: int) -> int:
    file.seek(begin)
    return int.from_bytes(file.read(min(8, end - begin)), "big")


def _elements(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """``(id, start of the content, end)`` of the EBML elements between two places (RFC 8794)."""
    for _ in range(_MAX_BOXES):
        file.seek(begin)
        head = file.read(12)
        id_bytes = _length(head[:1])
        size_bytes = _length(head[id_bytes : id_bytes + 1])
        content = begin + id_bytes + size_bytes
        if begin >= end or not id_bytes or not size_bytes or len(head) < id_bytes + size_bytes:
            return
        element = int.from_bytes(head[:id_bytes], "big")
        unknown = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & unknown
        stop = end if size == unknown else min(content + size, end)
        yield element, content, stop
        begin = stop


def _length(first: bytes) -> int:
    """The bytes of a variable-size integer: one more than its leading zero bits; 0 for none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
