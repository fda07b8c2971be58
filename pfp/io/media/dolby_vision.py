"""The Dolby Vision configuration of a file, which FFmpeg reads and PyAV does not pass on.

Sources: "Dolby Vision Streams Within the ISO Base Media File Format" 2.1.2 (``dvcC``, ``dvvC``),
"... Within the MPEG-2 Transport Stream Format" 1.2 (descriptor 0xB0), Matroska's block addition
mappings. The compatibility id says what a player sees that does not know Dolby Vision: 1 and 6
HDR10, 2 SDR, 4 HLG, 0 nothing that it could show (profile 5: IPT colours).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pfp.io.media.boxes import (
    Blocks,
    elements,
    sample_entry_boxes,
    track_in_mp4,
    tracks_in_matroska,
)
from pfp.io.media.colour import TRANSFER_BT709, TRANSFER_HLG, TRANSFER_PQ

# By compatibility id; whatever else may come is not SDR.
_TRANSFERS: Final = {2: TRANSFER_BT709, 4: TRANSFER_HLG}
_TAGS: Final = frozenset({"dvh1", "dvhe", "dvav", "dva1", "dav1"})  # sample entries
_RECORDS: Final = (b"dvcC", b"dvvC", b"dvwC")

_TS_BYTES: Final = 1 << 18  # that are searched for a program map

_MP4: Final = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_MAPPING, _ADD_TYPE, _ADD_DATA = 0x41E4, 0x41E7, 0x41ED

_TS_PACKET, _TS_SYNC = 188, 0x47
_DOVI_DESCRIPTOR: Final = 0xB0


def base_transfer(blocks: Blocks, track_id: int, codec_tag: str) -> int | None:
    """The transfer characteristic of the base layer; None where the file has no Dolby Vision.

    blocks: of an MP4, Matroska or MPEG-TS file.
    track_id: the chosen track of an MP4 file; of other containers the first that tells counts.
    codec_tag: of the stream; five of them mean Dolby Vision even without a configuration.
    """
    record = _record(blocks, track_id)
    if record is None and codec_tag not in _TAGS:
        return None
    # Version (2 bytes), profile (7 bits), level (6), three flags, compatibility id (4), reserved.
    compatibility = record[4] >> 4 if record is not None and len(record) > 4 else 0
    return _TRANSFERS.get(compatibility, TRANSFER_PQ)


def _record(blocks: Blocks, track_id: int) -> bytes | None:
    head = blocks.at(0, 8)
    if head[4:8] in _MP4:
        return _record_in_mp4(blocks, track_id)
    if head.startswith(_EBML):
        return _record_in_matroska(blocks)
    return _record_in_ts(blocks.at(0, _TS_BYTES)) if head[:1] == b"G" else None


def _record_in_mp4(blocks: Blocks, track_id: int) -> bytes | None:
    track = track_in_mp4(blocks, track_id)
    for kind, body, _ in sample_entry_boxes(blocks, track) if track is not None else ():
        if kind in _RECORDS:
            return blocks.at(body, 24)
    return None


def _record_in_matroska(blocks: Blocks) -> bytes | None:
    for track in tracks_in_matroska(blocks):
        for kind, *mapping in elements(blocks, *track):
            if kind != _MAPPING:
                continue
            found = {}
            for name, start, end in elements(blocks, mapping[0], mapping[1]):
                found[name] = blocks.at(start, min(end - start, 64))
            if found.get(_ADD_TYPE, b"").lstrip(b"\0") in _RECORDS:
                return found.get(_ADD_DATA)
    return None


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
