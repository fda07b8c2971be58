"""A video's own length: what outlasts it says nothing, and a file that is cut off is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pfp.ingest.filters.missing import Missing
from pfp.ingest.measure import measure_video
from pfp.io.media import path_to_uri, probe
from pfp.schema import KEPT
from pfp.schema.measured import MeasuredRecord
from tests.media_files import HEIGHT, WIDTH, change, cut, numbered, video_packets, write

# container, video codec, sound codec
KINDS = [
    ("matroska", "libx264", "aac"),
    ("webm", "libvpx-vp9", "libopus"),
    ("flv", "libx264", "aac"),
    ("mp4", "libx264", "aac"),
    ("mov", "libx264", "aac"),
    ("avi", "mpeg4", "mp2"),
    ("mpegts", "libx264", "aac"),
    ("mpeg", "mpeg2video", "mp2"),
    ("nut", "mpeg4", "mp2"),
    ("ogg", "libvpx", "libopus"),
]


def draw(path: Path, kind: tuple[str, str, str], *, seconds: int, **options: Any) -> Path:
    """A file of that kind, with noise, so that most of its bytes are video."""
    container, codec, sound = kind
    rng = np.random.default_rng(3)
    frames = (rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(24 * seconds))
    return write(path, frames, container=container, codec=codec, sound_codec=sound, **options)


def missing(path: Path) -> tuple[float, float]:
    """``(seconds decoded, missing fraction)``, the latter as the filter ``missing`` sees it."""
    fields = measure_video(path_to_uri(path))
    record = MeasuredRecord(
        video_uri="file:///v", video_sha256=None, size_bytes=None, verdict=KEPT, **fields
    )
    (bound,) = Missing(max_fraction=0.1).bounds(MeasuredRecord.table([record]))
    lost = bound.value[0].as_py() if bound.is_asked(0) else 0.0
    return fields["duration_seconds"], lost


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
@pytest.mark.parametrize(("seconds", "sound_seconds"), [(2, 6), (1, 30), (3, 1)])
def test_sound_of_another_length_is_no_loss(
    tmp_path: Path, kind: tuple[str, str, str], seconds: int, sound_seconds: int
) -> None:
    """Whether it outlasts the video stream or the video stream outlasts it."""
    video = draw(tmp_path / "v", kind, seconds=seconds, sound_seconds=sound_seconds)

    decoded, lost = missing(video)

    assert seconds == pytest.approx(decoded, abs=0.01)
    assert 0.01 > lost


@pytest.mark.parametrize("kind", KINDS[:7], ids=lambda kind: kind[0])
def test_a_late_start_is_no_loss(tmp_path: Path, kind: tuple[str, str, str]) -> None:
    """A video stream that begins two seconds after the sound."""
    late = [48 + index for index in range(72)]

    video = draw(tmp_path / "v", kind, seconds=3, sound_seconds=6, pts=late)

    assert 0.01 > missing(video)[1]


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[2], KINDS[8]], ids=lambda kind: kind[0])
def test_a_late_start_of_the_video_stream_alone_is_no_loss(
    tmp_path: Path, kind: tuple[str, str, str]
) -> None:
    """The container counts its length from zero."""
    late = [48 + index for index in range(72)]

    video = draw(tmp_path / "v", kind, seconds=3, pts=late)
    if kind[0] == "matroska":
        change(video, b"DURATION", b"XURATION")

    assert 0.01 > missing(video)[1]


def test_without_tags_matroska_tells_nothing_about_the_video_stream(tmp_path: Path) -> None:
    """Browsers and cameras write no DURATION tag; then what sound there is explains the length."""
    video = draw(tmp_path / "v", KINDS[0], seconds=2, sound_seconds=6)
    change(video, b"DURATION", b"XURATION")

    assert measure_video(path_to_uri(video))["promised_seconds"] is None
    assert probe(video).duration_seconds is None


def test_a_tag_left_over_from_a_longer_file_does_not_count(tmp_path: Path) -> None:
    """No stream can be longer than the file."""
    video = draw(tmp_path / "v", KINDS[0], seconds=2, sound_seconds=6)
    change(video, b"00:00:02.0", b"01:00:02.0")

    assert 0.01 > missing(video)[1]


def test_a_cover_is_no_other_stream(tmp_path: Path) -> None:
    """Beside a cover image a video is alone: the container's length is its own."""
    video = tmp_path / "v"
    with av.open(str(video), "w", format="matroska") as container:
        packets = video_packets(container, (numbered(index) for index in range(48)))
        container.add_attachment("cover.jpg", "image/jpeg", b"\xff\xd8\xff\xe0" + bytes(100))
        for packet in packets:
            container.mux(packet)
    change(video, b"DURATION", b"XURATION")

    assert 2.0 == pytest.approx(probe(video).duration_seconds or 0, abs=0.01)


# AVI, MP4 and Matroska promise; MPEG and Ogg promise nothing, their length is read off the packets.
CUT = [kind for kind in KINDS if kind[0] in {"matroska", "webm", "flv", "avi"}]


@pytest.mark.parametrize("kind", CUT, ids=lambda kind: kind[0])
@pytest.mark.parametrize("sound_seconds", [0, 4, 6])
@pytest.mark.parametrize("tagged", [True, False])
def test_a_file_that_is_cut_off_misses_frames(
    tmp_path: Path,
    kind: tuple[str, str, str],
    sound_seconds: int,
    tagged: bool,  # noqa: FBT001
) -> None:
    """Sound as long as the video stream, longer, or none; with Matroska's tags or without."""
    video = draw(tmp_path / "v", kind, seconds=4, sound_seconds=sound_seconds)
    if not tagged and kind[0] in {"matroska", "webm"}:
        change(video, b"DURATION", b"XURATION")
    cut(video, 0.5)

    assert 0.1 < missing(video)[1]


def test_mp4_that_is_cut_off_misses_frames(tmp_path: Path) -> None:
    """Its tables come first and list what is not there."""
    options = {"movflags": "faststart"}
    video = draw(tmp_path / "v", KINDS[3], seconds=4, sound_seconds=6, container_options=options)
    cut(video, 0.6)

    assert 0.1 < missing(video)[1]


@pytest.mark.parametrize("name", [b"mdhd", b"tkhd", b"mvhd", b"elst"])
def test_headers_of_mp4_that_tell_the_sounds_length_do_not_count(
    tmp_path: Path, name: bytes
) -> None:
    """Some muxers write the film's length into every header; the sample tables know better."""
    video = draw(tmp_path / "v", KINDS[3], seconds=2, sound_seconds=6)
    content = bytearray(video.read_bytes())
    at = content.index(name) + 4
    # Version and flags; then two times and a scale (mdhd, mvhd), two times and ids, or a count.
    at += {b"mdhd": 16, b"mvhd": 16, b"tkhd": 20, b"elst": 8}[name]
    told = int.from_bytes(content[at : at + 4], "big")
    content[at : at + 4] = (told * 3).to_bytes(4, "big")
    video.write_bytes(content)

    assert 0.01 > missing(video)[1]


def test_an_edit_list_that_shows_a_part_is_no_loss(tmp_path: Path) -> None:
    """A cut without recoding keeps the frames before it, hidden: they were never promised."""
    video = draw(tmp_path / "v", KINDS[3], seconds=4, options={"g": "100", "bf": "0"})
    content = bytearray(video.read_bytes())
    at = content.index(b"elst") + 12  # one edit: its length in 1/1000 s, its start in ticks
    assert 4000 == int.from_bytes(content[at : at + 4], "big")
    content[at : at + 4] = (1000).to_bytes(4, "big")
    start = int.from_bytes(content[at + 4 : at + 8], "big")
    content[at + 4 : at + 8] = (start + 2 * 12288).to_bytes(4, "big")
    video.write_bytes(content)

    decoded, lost = missing(video)

    assert 1.0 == pytest.approx(decoded, abs=0.1)
    assert 0.01 > lost
