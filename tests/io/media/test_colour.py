"""Colour told by bitstream, by container, by both, by none: four patches come out as drawn."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.errors import PermanentError
from pfp.ingest.measure import measure_video
from pfp.io.media import iter_stored, path_to_uri, probe, read_frames
from pfp.io.media.decord_backend import iter_stored_decord
from tests.media_files import (
    HEIGHT,
    PATCHES,
    WIDTH,
    add_to_sample_entry,
    box,
    copy,
    patches,
    shown_patches,
    write,
)

LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {"x265-params": "log-level=none:lossless=1"},
    "libvpx": {"crf": "4", "b": "5M"},
    "libvpx-vp9": {"lossless": "1"},
    "libsvtav1": {"crf": "1", "preset": "12"},
    "mpeg4": {"qscale": "1"},
}
SWSCALE = {1: 1, 5: 5, 6: 5, 9: 9}  # H.273 matrices as swscale numbers them
CODECS = {
    "libx264": ("mp4", "matroska"),
    "libx265": ("mp4", "matroska"),
    "libvpx": ("matroska", "webm"),
    "libvpx-vp9": ("mp4", "matroska", "webm"),
    "libsvtav1": ("mp4", "matroska"),
    "mpeg4": ("mp4", "matroska"),
    "ffv1": ("matroska",),
}
CASES = [(codec, container) for codec, all_of in CODECS.items() for container in all_of]


def draw(path: Path, *, codec: str = "libx264", matrix: int = 1, **more: Any) -> Path:
    """Four patches over half a second, in MP4 unless said otherwise; the matrix is not told."""
    options = LOSSLESS.get(codec, {})
    frames = [patches()] * 12
    return write(path, frames, codec=codec, matrix=SWSCALE[matrix], options=options, **more)


def told_by_container(
    tmp_path: Path, codec: str, container: str, told: dict[str, int], **drawn: Any
) -> Path:
    """A file whose container alone tells its colour."""
    between = "mp4" if codec not in {"libvpx", "ffv1"} else "nut"
    plain = draw(tmp_path / "plain", codec=codec, container=between, **drawn)
    return copy(plain, tmp_path / "v", container, **told)


def assert_patches(path: Path, tolerance: int = 6) -> None:
    """Both readers give the drawn colours."""
    stored = next(iter_stored(path))
    read = read_frames(path, fps=24, height=HEIGHT, width=WIDTH, num_frames=1)[0]
    for frame_HWC in (stored, read):
        assert tolerance >= np.abs(shown_patches(frame_HWC) - np.array(PATCHES)).max()


@pytest.mark.parametrize(("codec", "container"), CASES)
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_the_containers_matrix_counts(
    tmp_path: Path, codec: str, container: str, matrix: int
) -> None:
    """BT.709 and BT.2020 of a small frame, which would be guessed to be BT.601."""
    told = {"colorspace": matrix, "color_primaries": matrix, "color_trc": 1}

    assert_patches(told_by_container(tmp_path, codec, container, told, matrix=matrix))


@pytest.mark.parametrize(("codec", "container"), CASES)
def test_the_containers_full_range_counts(tmp_path: Path, codec: str, container: str) -> None:
    """Range and matrix together, as the colr box and Matroska's Colour element tell them."""
    told = {"colorspace": 1, "color_range": 2, "color_primaries": 1, "color_trc": 1}

    video = told_by_container(tmp_path, codec, container, told, matrix=1, full_range=True)

    assert_patches(video)
    assert probe(video).full_range


@pytest.mark.parametrize(("codec", "container"), CASES)
@pytest.mark.parametrize(("transfer", "name"), [(16, "pq"), (18, "hlg")])
def test_the_containers_hdr_counts(
    tmp_path: Path, codec: str, container: str, transfer: int, name: str
) -> None:
    """Every reader refuses it, and ingest tells which."""
    told = {"color_trc": transfer, "colorspace": 9, "color_primaries": 9}

    video = told_by_container(tmp_path, codec, container, told)

    for read in (iter_stored, lambda path: iter([read_frames(path, fps=24, height=8, width=8)])):
        with pytest.raises(PermanentError, match="tone-map"):
            next(read(video))
    assert probe(video).is_hdr
    fields = measure_video(path_to_uri(video))
    assert (name, []) == (fields["transfer"], fields["shots"])
    assert "frozen_fraction" not in fields


@pytest.mark.parametrize("transfer", [1, 6, 13, 14, 15])
def test_bt2020_with_an_sdr_transfer_is_sdr(tmp_path: Path, transfer: int) -> None:
    """Wide primaries are no HDR; they are taken as they are."""
    told = {"color_trc": transfer, "colorspace": 9, "color_primaries": 9}

    video = told_by_container(tmp_path, "libx265", "mp4", told, matrix=9)

    assert_patches(video)
    assert "sdr" == measure_video(path_to_uri(video))["transfer"]


@pytest.mark.parametrize(("transfer", "name"), [(8, "linear"), (9, "log"), (17, "smpte428")])
def test_levels_that_are_not_for_the_eye_are_refused(
    tmp_path: Path, transfer: int, name: str
) -> None:
    """Linear light, logarithms of it and cinema's XYZ."""
    told = {"color_trc": transfer, "colorspace": 1, "color_primaries": 1}
    video = told_by_container(tmp_path, "libx265", "mp4", told)

    with pytest.raises(PermanentError, match=f"{name}.*convert it to BT.709"):
        next(iter_stored(video))
    assert name == measure_video(path_to_uri(video))["transfer"]


@pytest.mark.parametrize("matrix", [8, 14])
def test_matrices_that_cannot_be_undone_are_refused(tmp_path: Path, matrix: int) -> None:
    """YCgCo and ICtCp read with a guessed matrix would be colours that nobody drew."""
    video = told_by_container(tmp_path, "libx264", "matroska", {"colorspace": matrix})

    with pytest.raises(PermanentError, match="which pfp does not convert") as caught:
        next(iter_stored(video))
    assert "colour_matrix" == getattr(caught.value, "reason", None)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_a_bitstream_that_speaks_is_believed(tmp_path: Path, codec: str) -> None:
    """As browsers and FFmpeg do: the container says BT.2020, the bitstream BT.709."""
    spoken = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
    plain = draw(tmp_path / "plain", codec=codec, matrix=1, **spoken)

    assert_patches(copy(plain, tmp_path / "v", "matroska", colorspace=9, color_primaries=9))


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_vp8_and_vp9_cannot_tell_all(tmp_path: Path, codec: str) -> None:
    """As browsers do: their bitstream says BT.601, the container BT.709."""
    spoken = {"colorspace": 5, "color_range": 1}
    plain = draw(tmp_path / "plain", codec=codec, container="webm", matrix=1, **spoken)

    assert_patches(copy(plain, tmp_path / "v", "webm", colorspace=1))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_full_range_of_the_bitstream_survives_the_container(tmp_path: Path, codec: str) -> None:
    """Muxers write "limited" where they know nothing."""
    spoken = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2}
    plain = draw(tmp_path / "plain", codec=codec, matrix=1, full_range=True, **spoken)

    assert_patches(copy(plain, tmp_path / "v", "mp4", color_range=1))


def test_quicktimes_older_box_counts(tmp_path: Path) -> None:
    """``nclc`` has no range: three numbers only."""
    video = draw(tmp_path / "v", matrix=1)
    add_to_sample_entry(video, b"avc1", box(b"colr", b"nclc", struct.pack(">3H", 1, 1, 1)))

    assert_patches(video)


def test_ingest_measures_the_colours_that_are_shown(tmp_path: Path) -> None:
    """A full range that only the container tells measures as one that the bitstream tells."""
    spoken = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2}
    told = told_by_container(tmp_path, "libx265", "mp4", spoken, matrix=1, full_range=True)
    coded = draw(tmp_path / "coded", codec="libx265", matrix=1, full_range=True, **spoken)

    wanted, found = (measure_video(path_to_uri(video)) for video in (coded, told))

    assert (wanted["luma_mean"], wanted["luma_std"]) == (found["luma_mean"], found["luma_std"])


def test_decord_refuses_hdr_of_the_container(tmp_path: Path) -> None:
    """It would read it as SDR."""
    told = {"color_trc": 16, "colorspace": 9, "color_primaries": 9}
    video = told_by_container(tmp_path, "libx264", "mp4", told)

    with pytest.raises(PermanentError, match="HDR"):
        next(iter_stored_decord(video))


def test_what_nobody_tells_follows_the_size(tmp_path: Path) -> None:
    """BT.601 below 720p, BT.709 from there on."""
    small = draw(tmp_path / "small", matrix=6)
    large = write(
        tmp_path / "large", [patches(720, 1280)] * 3, matrix=1, options=LOSSLESS["libx264"]
    )

    assert_patches(small)
    assert 6 >= np.abs(shown_patches(next(iter_stored(large))) - np.array(PATCHES)).max()


def light_levels() -> list[bytes]:
    """MP4's boxes of a mastering display of 1000 nits and of content light levels."""
    display = struct.pack(
        ">8H2I", *(13250, 34500, 7500, 3000, 34000, 16000), 15635, 16450, 10**7, 1
    )
    return [box(b"mdcv", display), box(b"clli", struct.pack(">2H", 1000, 400))]


@pytest.mark.parametrize("which", [0, 1])
def test_hdr_metadata_without_a_transfer_is_hdr(tmp_path: Path, which: int) -> None:
    """Nobody describes the mastering display of SDR."""
    video = draw(tmp_path / "v", codec="libx265")
    add_to_sample_entry(video, b"hev1", light_levels()[which])

    assert probe(video).is_hdr
    assert "pq" == measure_video(path_to_uri(video))["transfer"]


def test_hdr_metadata_of_matroska_counts_too(tmp_path: Path) -> None:
    """Its MasteringMetadata, read from the middle of the file as well."""
    plain = draw(tmp_path / "plain", codec="libx265")
    add_to_sample_entry(plain, b"hev1", light_levels()[0])

    video = copy(plain, tmp_path / "v", "matroska")

    assert probe(video).is_hdr
    with pytest.raises(PermanentError, match="tone-map"):
        read_frames(video, fps=24, height=8, width=8, start_seconds=0.4)


def test_hdr_metadata_beside_an_sdr_transfer_is_left_over(tmp_path: Path) -> None:
    """Of a film that was tone-mapped: the transfer is told, and it counts."""
    told = {"color_trc": 1, "colorspace": 1, "color_primaries": 1}
    video = told_by_container(tmp_path, "libx265", "mp4", told)
    add_to_sample_entry(video, b"hev1", light_levels()[0])

    assert "sdr" == measure_video(path_to_uri(video))["transfer"]


@pytest.mark.parametrize("order", [(1, 16), (16, 1), (2, 18)])
def test_sdr_that_becomes_hdr_is_hdr(tmp_path: Path, order: tuple[int, int]) -> None:
    """Two recordings in one stream, either way round; it is no frozen frame."""
    parts = [
        draw(tmp_path / f"{index}", codec="libx265", container="mpegts", color_trc=transfer)
        for index, transfer in enumerate(order)
    ]
    video = tmp_path / "v.ts"
    video.write_bytes(b"".join(part.read_bytes() for part in parts))

    fields = measure_video(path_to_uri(video))

    assert {16: "pq", 18: "hlg"}[max(order)] == fields["transfer"]
    assert "frozen_fraction" not in fields
    with pytest.raises(PermanentError, match="tone-map"):
        list(iter_stored(video))


def test_frames_keep_what_they_tell(tmp_path: Path) -> None:
    """RGB in a container that tells a matrix stays RGB."""
    plain = write(
        tmp_path / "plain",
        [patches()] * 3,
        codec="libx264rgb",
        pixel_format="rgb24",
        options={"qp": "0"},
    )

    assert_patches(copy(plain, tmp_path / "v", "matroska", colorspace=1), tolerance=0)
