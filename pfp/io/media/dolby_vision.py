"""The Dolby Vision configuration of a file, which FFmpeg reads and PyAV does not pass on.

Sources: "Dolby Vision Streams Within the ISO Base Media File Format" 2.1.2 (``dvcC``, ``dvvC``),
"... Within the MPEG-2 Transport Stream Format" 1.2 (descriptor 0xB0), Matroska's block addition
mappings. The compatibility id says what a player sees that does not know Dolby Vision: 1 and 6
HDR10, 2 SDR, 4 HLG, 0 nothing that it could show (profile 5: IPT colours).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from pfp.io.media.colour import TRANSFER_BT709, TRANSFER_HLG, TRANSFER_PQ

# By compatibility id; whatever else may come is not SDR.
_TRANSFERS: Final = {2: TRANSFER_BT709, 4: TRANSFER_HLG}
_TAGS: Final = frozenset({"dvh1", "dvhe", "dvav", "dva1", "dav1"})  # sample entries
_RECORDS: Final = (b"dvcC", b"dvvC", b"dvwC")

# Bounds on what a hostile file can cost.
_MAX_BOXES: Final = 10_000
_BLOCK_BYTES: Final = 1 << 16
_TS_BYTES: Final = 1 << 18

_MP4: Final = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK_ENTRY, _MAPPING, _ADD_TYPE, _ADD_DATA = 0xAE, 0x41E4, 0x41E7, 0x41ED

_TS_PACKET, _TS_SYNC = 188, 0x47
_DOVI_DESCRIPTOR: Final = 0xB0


def base_transfer(file: BinaryIO, track_id: int, codec_tag: str) -> int | None:
    """The transfer characteristic of the base layer; None where the file has no Dolby Vision.

    file: an MP4, Matroska or MPEG-TS file; its position is kept.
    track_id: the chosen track of an MP4 file; of other containers the first that tells counts.
    codec_tag: of the stream; five of them mean Dolby Vision even without a configuration.
    """
    position = file.tell()
    try:
        record = _record(_Blocks(file), track_id)
    finally:
        file.seek(position)
    if record is None and codec_tag not in _TAGS:
        return None
    # Version (2 bytes), profile (7 bits), level (6), three flags, compatibility id (4), reserved.
    compatibility = record[4] >> 4 if record is not None and len(record) > 4 else 0
    return _TRANSFERS.get(compatibility, TRANSFER_PQ)


class _Blocks:
    """Random access by few reads, which cost a request each where the file is far away."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start, self._block = 0, b""
        self.size = file.seek(0, 2)

    def at(self, position: int, size: int) -> bytes:
        """``size`` bytes from a position on, at most 64 KiB; fewer at the end of the file."""
        offset = position - self._start
        if not 0 <= offset <= len(self._block) - size:
            self._file.seek(position)
            self._start, self._block = position, self._file.read(max(size, _BLOCK_BYTES))
            offset = 0
        return self._block[offset : offset + size]


def _record(blocks: _Blocks, track_id: int) -> bytes | None:
    head = blocks.at(0, 8)
    if head[4:8] in _MP4:
        return _record_in_mp4(blocks, track_id)
    if head.startswith(_EBML):
        return _record_in_matroska(blocks)
    return _record_in_ts(blocks.at(0, _TS_BYTES)) if head[:1] == b"G" else None


def _record_in_mp4(blocks: _Blocks, track_id: int) -> bytes | None:
    for _, *moov in _boxes(blocks, 0, blocks.size, b"moov"):
        for _, start, end in _boxes(blocks, moov[0], moov[1], b"trak"):
            if _track_id(blocks, start, end) == track_id:
                return _record_of_track(blocks, start, end)
    return None


def _track_id(blocks: _Blocks, start: int, end: int) -> int | None:
    for _, body, _ in _boxes(blocks, start, end, b"tkhd"):
        header = blocks.at(body, 24)
        at = 20 if header[:1] == b"\x01" else 12
        return int.from_bytes(header[at : at + 4], "big")
    return None


def _record_of_track(blocks: _Blocks, start: int, end: int) -> bytes | None:
    spans = [(start, end)]
    for name in (b"mdia", b"minf", b"stbl", b"stsd"):
        inner = (_boxes(blocks, *span, name) for span in spans)
        spans = [(body, stop) for found in inner for _, body, stop in found]
    for start_stsd, end_stsd in spans:
        for _, entry, end_entry in _boxes(blocks, start_stsd + 8, end_stsd):
            for kind, body, _ in _boxes(blocks, entry + 78, end_entry):
                if kind in _RECORDS:
                    return blocks.at(body, 24)
    return None


def _boxes(
    blocks: _Blocks, start: int, end: int, name: bytes | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """``(type, start of the body, end)`` of the boxes between two positions."""
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


def _record_in_matroska(blocks: _Blocks) -> bytes | None:
    for kind, body, stop in _elements(blocks, 0, blocks.size):
        if kind != _SEGMENT:
            continue
        for inner, inner_body, inner_stop in _elements(blocks, body, stop):
            if inner == _CLUSTER:
                return None
            if inner == _TRACKS:
                return _record_in_tracks(blocks, inner_body, inner_stop)
    return None


def _record_in_tracks(blocks: _Blocks, start: int, end: int) -> bytes | None:
    for kind, body, stop in _elements(blocks, start, end):
        if kind != _TRACK_ENTRY:
            continue
        for inner, inner_body, inner_stop in _elements(blocks, body, stop):
            if inner != _MAPPING:
                continue
            found = {}
            for name, at, to in _elements(blocks, inner_body, inner_stop):
                found[name] = blocks.at(at, min(to - at, 64))
            if found.get(_ADD_TYPE, b"").lstrip(b"\0") in _RECORDS:
                return found.get(_ADD_DATA)
    return None


def _elements(blocks: _Blocks, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """``(id, start of the body, end)`` of the EBML elements between two positions."""
    for _ in range(_MAX_BOXES):
        if end - start < 2:
            return
        header = blocks.at(start, 12)
        id_length = 9 - header[0].bit_length()
        size_at = header[id_length : id_length + 1]
        if id_length > 4 or not size_at or not size_at[0]:
            return
        size_length = 9 - size_at[0].bit_length()
        body = start + id_length + size_length
        coded = int.from_bytes(header[id_length : id_length + size_length], "big")
        mask = (1 << 7 * size_length) - 1
        # All ones: of unknown length, as live streams are; it ends with what it lies in.
        stop = end if coded & mask == mask else min(end, body + (coded & mask))
        yield int.from_bytes(header[:id_length], "big"), body, stop
        start = stop


def _record_in_ts(content: bytes) -> bytes | None:
    """From a program map; its descriptor is the record without the field of a missing base."""
    tables = {0}
    for at in range(_first_sync(content), len(content) - _TS_PACKET + 1, _TS_PACKET):
        packet = content[at : at + _TS_PACKET]
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if packet[0] != _TS_SYNC or pid not in tables or not packet[1] & 0x40:
            continue
        skipped = 4 + (packet[4] + 1 if packet[3] & 0x20 else 0)
        section = packet[skipped + 1 + packet[skipped] :] if skipped < _TS_PACKET else b""
        if pid == 0:
            tables |= set(_program_maps(section))
        elif (found := _descriptor_in(section)) is not None:
            return found
    return None


def _first_sync(content: bytes) -> int:
    for at in range(min(len(content), _TS_PACKET)):
        if all(content[at + n * _TS_PACKET : at + n * _TS_PACKET + 1] == b"G" for n in range(3)):
            return at
    return len(content)


def _program_maps(section: bytes) -> Iterator[int]:
    end = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF) - 4
    for at in range(8, min(end, len(section) - 3), 4):
        yield int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF


def _descriptor_in(section: bytes) -> bytes | None:
    if len(section) < 12 or section[0] != 2:
        return None
    end = min(len(section), 3 + (int.from_bytes(section[1:3], "big") & 0xFFF) - 4)
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while at + 5 <= end:
        stop = at + 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
        at += 5
        while at + 2 <= min(stop, end):
            body = section[at + 2 : at + 2 + section[at + 1]]
            if section[at] == _DOVI_DESCRIPTOR:
                has_base = len(body) > 3 and body[3] & 1
                return body if has_base else body[:4] + body[6:]
            at += 2 + section[at + 1]
        at = stop
    return None
