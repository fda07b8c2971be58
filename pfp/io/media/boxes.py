"""The boxes of an MP4 file and the EBML elements of a Matroska file, read from the file itself.

For what FFmpeg reads of them and PyAV does not pass on.

Sources: ISO/IEC 14496-12, 4.2 (boxes) and 8.3.2 (``tkhd``); RFC 8794 (EBML); RFC 9559 (Matroska).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

# Of one level; bounds what a hostile file can cost. No whole file has more.
_MAX_BOXES: Final = 10_000
_BLOCK_BYTES: Final = 1 << 16

VISUAL_SAMPLE_ENTRY_BYTES: Final = 78  # before its boxes

SEGMENT, TRACKS, TRACK_ENTRY, CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x1F43B675


class Blocks:
    """Random access by few reads, which cost a request each where the file is far away."""

    def __init__(self, file: BinaryIO) -> None:
        """file: seekable; its position moves."""
        self._file = file
        self._start, self._block = 0, b""
        self.size_bytes = file.seek(0, 2)

    def at(self, position: int, size: int) -> bytes:
        """``size`` bytes from a position on; fewer at the end of the file."""
        offset = position - self._start
        if not 0 <= offset <= len(self._block) - size:
            self._file.seek(position)
            self._start, self._block = position, self._file.read(max(size, _BLOCK_BYTES))
            offset = 0
        return self._block[offset : offset + size]


def boxes(
    blocks: Blocks, start: int, end: int, name: bytes | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """``(type, start of the body, end)`` of the boxes between two positions, of that type or all.

    The first one that does not fit where it lies ends them.
    """
    for _ in range(_MAX_BOXES):
        if end - start < 8:
            return
        header = blocks.at(start, 16)
        size, kind, body = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if size == 1:
            size, body = int.from_bytes(header[8:16], "big"), start + 16
        stop = end if size == 0 else start + size
        if stop < body or stop > end:
            return
        if name in {None, kind}:
            yield kind, body, stop
        start = stop


def track_in_mp4(blocks: Blocks, track_id: int) -> tuple[int, int] | None:
    """Start and end of the body of the first track (``trak``) with that id."""
    for _, *movie in boxes(blocks, 0, blocks.size_bytes, b"moov"):
        for _, start, end in boxes(blocks, movie[0], movie[1], b"trak"):
            if _track_id(blocks, start, end) == track_id:
                return start, end
    return None


def _track_id(blocks: Blocks, start: int, end: int) -> int | None:
    for _, body, _ in boxes(blocks, start, end, b"tkhd"):
        header = blocks.at(body, 24)
        at = 20 if header[:1] == b"\x01" else 12  # times take 64 bits in version 1
        return int.from_bytes(header[at : at + 4], "big")
    return None


def sample_entry_boxes(blocks: Blocks, track: tuple[int, int]) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of the visual sample entries of a track."""
    spans = [track]
    for name in (b"mdia", b"minf", b"stbl", b"stsd"):
        inner = (boxes(blocks, *span, name) for span in spans)
        spans = [(body, stop) for found in inner for _, body, stop in found]
    for start, end in spans:
        for _, entry, end_entry in boxes(blocks, start + 8, end):
            yield from boxes(blocks, entry + VISUAL_SAMPLE_ENTRY_BYTES, end_entry)


def elements(blocks: Blocks, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """``(id, start of the body, end)`` of the EBML elements between two positions."""
    for _ in range(_MAX_BOXES):
        if end - start < 2:
            return
        header = blocks.at(start, 12)
        id_bytes = _vint_bytes(header[:1])
        size_bytes = _vint_bytes(header[id_bytes : id_bytes + 1])
        body = start + id_bytes + size_bytes
        if not 1 <= id_bytes <= 4 or not size_bytes or body > blocks.size_bytes:
            return
        unknown = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(header[id_bytes : id_bytes + size_bytes], "big") & unknown
        # All ones: of unknown length, as live streams are; it ends with what it lies in.
        stop = end if size == unknown else min(end, body + size)
        yield int.from_bytes(header[:id_bytes], "big"), body, stop
        start = stop


def _vint_bytes(first: bytes) -> int:
    """The bytes of a variable-size integer: one more than its leading zero bits; 0 for none."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def tracks_in_matroska(blocks: Blocks) -> Iterator[tuple[int, int]]:
    """Start and end of the body of each track entry; tracks that follow the frames are not seen."""
    for kind, *segment in elements(blocks, 0, blocks.size_bytes):
        if kind != SEGMENT:
            continue
        for inner, start, end in elements(blocks, segment[0], segment[1]):
            if inner == CLUSTER:
                return
            if inner == TRACKS:
                for entry, body, stop in elements(blocks, start, end):
                    if entry == TRACK_ENTRY:
                        yield body, stop
                return
