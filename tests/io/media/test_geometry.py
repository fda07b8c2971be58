"""What containers and streams say about the shape of frames, edited into small files."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pfp.errors import PermanentError
from pfp.ingest.measure import measure_video
from pfp.io.media import iter_stored, path_to_uri, read_frames
from tests.hostile_files import HostileFile

CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def drawn(path: Path) -> Path:
    """A short video of a moving stripe, in the container that its suffix names."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            frame_HWC = np.zeros((48, 64, 3), np.uint8)
            frame_HWC[:, 4 * number : 4 * number + 8] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC)))
        container.mux(stream.encode(None))
    return path


def box(kind: bytes, content: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def clap(width: Fraction | int, height: Fraction | int) -> bytes:
    """A clean aperture around the middle."""
    sizes = [number for side in (width, height) for number in Fraction(side).as_integer_ratio()]
    return box(b"clap", struct.pack(">8I", *sizes, 0, 1, 0, 1))


def with_box(path: Path, added: bytes) -> Path:
    """The MP4 with a box in the first track's sample entry; its index lies behind its frames."""
    content = bytearray(path.read_bytes())
    assert content.index(b"mdat") < content.index(b"moov")
    at, grown = 0, []
    for kind in CONTAINERS:
        at = content.index(kind, at)
        grown.append(at - 4)
        at += 4
    entry = at + 8  # after version, flags and the number of entries
    size = int.from_bytes(content[entry : entry + 4], "big")
    for place in (*grown, entry):
        was = int.from_bytes(content[place : place + 4], "big")
        content[place : place + 4] = (was + len(added)).to_bytes(4, "big")
    content[entry + size : entry + size] = added
    path.write_bytes(content)
    return path


def element(name: int, content: bytes) -> bytes:
    """An EBML element with a length of eight bytes."""
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (
        (1 << 56 | len(content)).to_bytes(8, "big") + content
    )


def with_element(path: Path, added: bytes) -> Path:
    """The Matroska file with an element at the end of its first track's Video."""
    content = bytearray(path.read_bytes())
    begin, end, sizes = 0, len(content), []
    for name in (0x18538067, 0x1654AE6B, 0xAE, 0xE0):
        begin, end, place = child(content, begin, end, name)
        sizes.append(place)
    for place in sizes:
        num = 9 - content[place].bit_length()
        grown = int.from_bytes(content[place : place + num], "big") + len(added)
        content[place : place + num] = grown.to_bytes(num, "big")
    content[end:end] = added
    path.write_bytes(content)
    return path


def child(content: bytes, begin: int, end: int, name: int) -> tuple[int, int, int]:
    """Begin and end of the first element of that name, and where its size stands."""
    while begin < end:
        place = begin + 9 - content[begin].bit_length()
        inside = place + 9 - content[place].bit_length()
        size = int.from_bytes(content[place:inside], "big") - (1 << 7 * (inside - place))
        if int.from_bytes(content[begin:place], "big") == name:
            return inside, inside + size, place
        begin = inside + size
    raise AssertionError(name)


def measured(path: Path, name: str) -> object:
    """One measure of a video."""
    return measure_video(path_to_uri(path))[name]


@pytest.mark.parametrize(
    ("width", "height", "hidden"),
    [(64, 48, 0.0), (48, 48, 0.25), (64, 24, 0.5), (Fraction(95, 2), 48, 1 - 47.5 / 64)],
)
def test_a_clean_aperture_hides_a_share(
    tmp_path: Path, width: Fraction | int, height: Fraction | int, hidden: float
) -> None:
    """None where it is the whole frame, as editing programs write it."""
    path = with_box(drawn(tmp_path / "a.mp4"), clap(width, height))

    assert hidden == pytest.approx(measured(path, "hidden_fraction"))


@pytest.mark.parametrize("numbers", [(0, 1, 48, 1), (64, 0, 48, 1), (999, 1, 999, 1)])
def test_a_clean_aperture_without_sense_hides_nothing(
    tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    """Zeros, or more than there is."""
    path = with_box(
        drawn(tmp_path / "a.mp4"), box(b"clap", struct.pack(">8I", *numbers, 0, 1, 0, 1))
    )

    assert 0 == measured(path, "hidden_fraction")


def test_a_file_without_an_aperture_hides_nothing(tmp_path: Path) -> None:
    """Neither container."""
    assert 0 == measured(drawn(tmp_path / "a.mp4"), "hidden_fraction")
    assert 0 == measured(drawn(tmp_path / "a.mkv"), "hidden_fraction")


def test_a_matroska_crop_hides_a_share(tmp_path: Path) -> None:
    """16 of 64 columns and 12 of 48 lines."""
    crop = element(0x54CC, b"\x10") + element(0x54BB, b"\x04") + element(0x54AA, b"\x00\x08")
    path = with_element(drawn(tmp_path / "a.mkv"), crop)

    assert measured(path, "hidden_fraction") == pytest.approx(1 - 0.75 * 0.75)


@pytest.mark.parametrize(
    ("mode", "layout"),
    [(0, "mono"), (1, "top_bottom"), (2, "side_by_side"), (5, "mono")],
)
def test_mp4_tells_its_stereo_layout(tmp_path: Path, mode: int, layout: str) -> None:
    """The st3d box; what packs nothing into one frame (5) is plain."""
    path = with_box(drawn(tmp_path / "a.mp4"), box(b"st3d", struct.pack(">IB", 0, mode)))

    assert layout == measured(path, "stereo_layout")


@pytest.mark.parametrize(
    ("mode", "layout"), [(0, "mono"), (1, "side_by_side"), (3, "top_bottom"), (11, "side_by_side")]
)
def test_matroska_tells_its_stereo_layout(tmp_path: Path, mode: int, layout: str) -> None:
    """StereoMode, either eye first."""
    path = with_element(drawn(tmp_path / "a.mkv"), element(0x53B8, bytes([mode])))

    assert layout == measured(path, "stereo_layout")


def test_a_frame_packing_message_is_read(hostile_file: HostileFile) -> None:
    """It stands in the stream, and only at some frames."""
    path = hostile_file("side_by_side.mp4")

    assert "side_by_side" == measured(path, "stereo_layout")


@pytest.mark.parametrize(("kind", "name"), [(b"equi", "equirectangular"), (b"cbmp", "cubemap")])
def test_mp4_tells_its_projection(tmp_path: Path, kind: bytes, name: str) -> None:
    """The sv3d box of spherical video, version 2."""
    heading = box(b"prhd", bytes(16))
    details = box(kind, bytes(20 if kind == b"equi" else 12))
    spherical = box(b"svhd", bytes(4) + b"maker\0") + box(b"proj", heading + details)
    path = with_box(drawn(tmp_path / "a.mp4"), box(b"sv3d", spherical))

    assert name == measured(path, "projection")


def test_matroska_tells_its_projection(tmp_path: Path) -> None:
    """Its Projection element."""
    path = with_element(drawn(tmp_path / "a.mkv"), element(0x7670, element(0x7671, b"\x01")))

    assert "equirectangular" == measured(path, "projection")


def test_plain_files_are_flat_and_mono(tmp_path: Path) -> None:
    """None of both."""
    path = drawn(tmp_path / "a.mp4")

    assert ["flat", "mono"] == [measured(path, name) for name in ("projection", "stereo_layout")]


def of_two_aspects(path: Path, first: Fraction, second: Fraction) -> Path:
    """A transport stream whose pixels change their shape after a second."""
    content = b""
    for number, aspect in enumerate((first, second)):
        part = path.with_suffix(f".{number}.m2v")
        with av.open(part, "w") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv420p"
            stream.codec_context.sample_aspect_ratio = aspect
            for index in range(25):
                frame_HWC = np.full((288, 352, 3), 40 + index, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC)))
            container.mux(stream.encode(None))
        content += part.read_bytes()
    path.write_bytes(content)
    return path


def test_pixels_that_change_their_shape_are_a_change(tmp_path: Path) -> None:
    """4:3 and then 16:9; the same twice is none."""
    narrow, wide = Fraction(12, 11), Fraction(16, 11)

    assert 1 == measured(of_two_aspects(tmp_path / "a.m2v", narrow, wide), "num_size_changes")
    assert 0 == measured(of_two_aspects(tmp_path / "b.m2v", wide, wide), "num_size_changes")


def test_readers_refuse_pixels_that_change_their_shape(hostile_file: HostileFile) -> None:
    """Nobody gets two shapes as one; what lies before the change can be read."""
    path = hostile_file("aspect_changes.ts")

    before = read_frames(path, fps=5, height=72, width=96, end_seconds=2.0)

    assert (10, 72, 96, 3) == before.shape
    for read in (
        lambda: list(iter_stored(path)),
        lambda: read_frames(path, fps=5, height=72, width=96),
    ):
        with pytest.raises(PermanentError, match="pixels' aspect from 12/11 to 16/11 on the way"):
            read()


def test_the_coded_frames_of_such_a_stream_can_be_read(
    hostile_file: HostileFile,
) -> None:
    """They have one size; what shape their pixels have is not asked."""
    path = hostile_file("aspect_changes.ts")

    assert {(144, 176, 3)} == {frame.shape for frame in iter_stored(path, reading="reference")}
