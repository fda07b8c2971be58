"""Dolby Vision by its configuration: what a player shows that does not know it decides."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pfp.errors import PermanentError
from pfp.ingest.measure import measure_video
from pfp.io.media import path_to_uri
from pfp.io.media.boxes import Blocks
from pfp.io.media.dolby_vision import base_transfer
from tests.media_files import add_to_sample_entry, box, change, copy, numbered, write

PQ, HLG, SDR = 16, 18, 1

# profile, compatibility id, what the base layer is
PROFILES = [
    (4, 2, "sdr"),
    (5, 0, "pq"),
    (7, 6, "pq"),
    (8, 1, "pq"),
    (8, 2, "sdr"),
    (8, 4, "hlg"),
    (9, 2, "sdr"),
    (10, 0, "pq"),
    (20, 0, "pq"),
]


def record(profile: int, compatibility: int) -> bytes:
    """A configuration of 24 bytes: level 3, a base layer, no enhancement."""
    flags = profile << 9 | 3 << 3 | 0b101
    return bytes([1, 0]) + flags.to_bytes(2, "big") + bytes([compatibility << 4]) + bytes(19)


def draw(path: Path, codec: str = "libx265") -> Path:
    """Half a second in MP4 that says nothing about its colour."""
    return write(path, (numbered(index) for index in range(12)), codec=codec)


def transfer_of(path: Path) -> str:
    """What ingest measures."""
    return str(measure_video(path_to_uri(path))["transfer"])


@pytest.mark.parametrize(("profile", "compatibility", "transfer"), PROFILES)
@pytest.mark.parametrize("name", [b"dvcC", b"dvvC", b"dvwC"])
def test_a_configuration_in_mp4_tells_the_base_layer(
    tmp_path: Path, profile: int, compatibility: int, transfer: str, name: bytes
) -> None:
    """Though the sample entry says plain H.265 and nothing else tells any colour."""
    video = draw(tmp_path / "v")
    add_to_sample_entry(video, b"hev1", box(name, record(profile, compatibility)))

    assert transfer == transfer_of(video)


@pytest.mark.parametrize(
    ("codec", "entry", "tag"),
    [
        ("libx265", b"hev1", b"dvhe"),
        ("libx265", b"hev1", b"dvh1"),
        ("libx264", b"avc1", b"dva1"),
        ("libx264", b"avc1", b"dvav"),
    ],
)
def test_a_sample_entry_of_its_own_is_enough(
    tmp_path: Path, codec: str, entry: bytes, tag: bytes
) -> None:
    """These names are for streams that only Dolby Vision can show."""
    video = draw(tmp_path / "v", codec)
    change(video, entry, tag)

    assert "pq" == transfer_of(video)


def test_its_own_name_over_an_sdr_base_is_sdr(tmp_path: Path) -> None:
    """The configuration knows more than the name."""
    video = draw(tmp_path / "v")
    add_to_sample_entry(video, b"hev1", box(b"dvvC", record(8, 2)))
    change(video, b"hev1", b"dvhe")

    assert "sdr" == transfer_of(video)


@pytest.mark.parametrize(("profile", "compatibility", "transfer"), PROFILES[:-1])
def test_a_configuration_in_matroska_tells_the_base_layer(
    tmp_path: Path, profile: int, compatibility: int, transfer: str
) -> None:
    """It lies in a block addition mapping of the track."""
    plain = draw(tmp_path / "plain")
    add_to_sample_entry(plain, b"hev1", box(b"dvvC", record(profile, compatibility)))

    video = copy(plain, tmp_path / "v", "matroska", container_options={"strict": "unofficial"})

    assert (b"dvcC" in video.read_bytes()) or (b"dvvC" in video.read_bytes())
    assert transfer == transfer_of(video)


def ts_packet(pid: int, section: bytes) -> bytes:
    """A packet of MPEG-TS that begins a table."""
    header = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10, 0])
    return (header + section).ljust(188, b"\xff")


def table(number: int, body: bytes) -> bytes:
    """A table with its checksum, which nobody checks."""
    length = 0xB000 | len(body) + 4
    return bytes([number]) + length.to_bytes(2, "big") + body + bytes(4)


def transport_stream(descriptors: bytes) -> bytes:
    """A program of one H.265 stream with these descriptors."""
    associations = table(0, bytes(5) + (1).to_bytes(2, "big") + (0xE100).to_bytes(2, "big"))
    stream = bytes([0x24, 0xE1, 0x01]) + (0xF000 | len(descriptors)).to_bytes(2, "big")
    program = table(2, bytes(5) + b"\xe1\x01\xf0\x00" + stream + descriptors)
    return ts_packet(0, associations) + ts_packet(0x100, program) + ts_packet(0x1FFF, b"")


@pytest.mark.parametrize(("compatibility", "transfer"), [(0, PQ), (1, PQ), (2, SDR), (4, HLG)])
@pytest.mark.parametrize("has_base", [True, False])
def test_a_descriptor_in_ts_tells_the_base_layer(
    compatibility: int,
    transfer: int,
    has_base: bool,  # noqa: FBT001
) -> None:
    """Without a base layer of its own, the stream that it builds on is named in between."""
    flags = (8 << 9 | 3 << 3 | 0b100 | has_base).to_bytes(2, "big")
    between = b"" if has_base else b"\x1f\xff"
    body = bytes([1, 0]) + flags + between + bytes([compatibility << 4])
    descriptors = b"\x05\x04DOVI" + bytes([0xB0, len(body)]) + body
    content = transport_stream(descriptors)

    assert transfer == base_transfer(Blocks(io.BytesIO(content)), 0, "HEVC")
    assert base_transfer(Blocks(io.BytesIO(transport_stream(b"\x05\x04HEVC"))), 0, "HEVC") is None


def checksum(content: bytes) -> bytes:
    """The CRC of MPEG-2 tables (ISO/IEC 13818-1, annex A)."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register >> 31 else 0)) & 0xFFFFFFFF
    return register.to_bytes(4, "big")


def test_a_tag_that_is_no_text_is_no_dolby_vision(tmp_path: Path) -> None:
    """VC-1 in MPEG-TS is number 0xEA; these frames are no VC-1, so none comes."""
    frames = [numbered(index) for index in range(12)]
    video = write(tmp_path / "v", frames, container="mpegts", codec="mpeg2video")
    content = video.read_bytes()
    at = content.index(b"\x02\xb0", 188)  # the program map
    end = at + 3 + (int.from_bytes(content[at + 1 : at + 3], "big") & 0xFFF)
    before = content[at:end]
    entry = before.index(b"\x02\xe1\x00")
    after = before[:entry] + b"\xea" + before[entry + 1 : -4]
    change(video, before, after + checksum(after))

    with pytest.raises(PermanentError):
        measure_video(path_to_uri(video))


def test_the_chosen_track_counts(tmp_path: Path) -> None:
    """A configuration of another track says nothing about this one."""
    video = draw(tmp_path / "v")
    add_to_sample_entry(video, b"hev1", box(b"dvcC", record(5, 0)))
    content = Blocks(io.BytesIO(video.read_bytes()))

    assert PQ == base_transfer(content, 1, "hev1")
    assert base_transfer(content, 2, "hev1") is None


HEADS = (
    b"\0\0\0\x10ftypisom\0\0\0\0",
    b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\x16\x54\xae\x6b\x90\xae\x8e\x41\xe4\x8b",
    transport_stream(b"\xb0\x05\x01\0"),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=600))
@example(b"G" * 188, b"G" * 400)
@example(HEADS[0], (1).to_bytes(4, "big") + b"moov" + (1 << 62).to_bytes(8, "big"))
@example(HEADS[0], bytes(4) + b"moov" + bytes(4) + b"trak" + b"\0\0\0\x08tkhd")
def test_no_bytes_break_it(head: bytes, rest: bytes) -> None:
    """Whatever lies in a file, it is read without an error."""
    blocks = Blocks(io.BytesIO(head + rest))

    assert base_transfer(blocks, 1, "hvc1") in {None, PQ, HLG, SDR}
