"""Reading: time, geometry and colour, against numpy and the standards' own formulas."""

from __future__ import annotations

import io
import math
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pfp.errors import InputError, PermanentError
from pfp.ingest.measure import measure_video
from pfp.io.media import (
    RejectedVideo,
    iter_frames,
    path_to_uri,
    probe,
    read_frames,
    read_video,
    uri_to_path,
    write_video,
)
from tests.hostile_files import HostileFile

Frames = npt.NDArray[np.uint8]


def encode(path: Path, frames_THWC: Frames, **options: object) -> Path:
    """Write lossless RGB with control over pts (in 1/24 s), sample aspect, rotation or transfer."""
    pts = options.get("pts") or range(len(frames_THWC))
    with av.open(str(path), "w", format=str(options.get("container", "mp4"))) as container:
        stream = container.add_stream("libx264rgb", rate=24)
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt = "rgb24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 24)
        stream.codec_context.options = {"qp": "0", "g": str(options.get("gop", 12))}
        if "aspect" in options:
            stream.sample_aspect_ratio = options["aspect"]
        if "transfer" in options:
            stream.codec_context.color_trc = options["transfer"]
        if "turn" in options:
            degrees, hflip, vflip = options["turn"]  # type: ignore[misc]
            stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for frame_HWC, ticks in zip(frames_THWC, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def encode_yuv(path: Path, yuv: tuple[int, int, int], *, matrix: int, full_range: bool) -> Path:
    """Write 12 frames of one YUV colour, losslessly and with its tags."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv444p"
        stream.codec_context.options = {"qp": "0", "profile": "high444"}
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full_range else 1
        planes = np.stack([np.full((32, 32), value, np.uint8) for value in yuv])
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
            frame.pts = index
            frame.color_range = 2 if full_range else 1
            frame.colorspace = matrix
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbered(num_frames: int, height: int = 16, width: int = 32) -> Frames:
    """Frames whose every pixel is their own number, so that a frame tells which one it is."""
    values = np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(values, (num_frames, height, width, 3)).copy()


def numbers_in(frames_THWC: Frames) -> list[int]:
    """Which frame each one is."""
    return [round(float(frame.mean())) for frame in frames_THWC]


def smooth(height: int = 24, width: int = 40) -> Frames:
    """One frame without any symmetry, three times."""
    rng = np.random.default_rng(5)
    return np.repeat(rng.integers(0, 256, (1, height, width, 3), np.uint8), 3, axis=0)


@pytest.mark.parametrize("fps", [6.0, 10.0, 12.0, 23.976, 24.0, 29.97002997, 60.0])
def test_frames_are_those_shown_at_their_times(tmp_path: Path, fps: float) -> None:
    """Frame i is the one shown i / fps seconds after the first, for slower and faster rates."""
    video = encode(tmp_path / "v.mp4", numbered(48))

    frames = read_frames(video, fps=fps, height=16, width=32)

    count = math.ceil(round(2.0 * fps, 6))
    assert [int(i * 24 / fps + 1e-4) for i in range(count)] == numbers_in(frames)


def test_gaps_hold_the_frame_before_them(tmp_path: Path) -> None:
    """With a variable frame rate a frame is shown until the next one's timestamp."""
    video = encode(tmp_path / "v.mp4", numbered(4), pts=[0, 2, 9, 10])

    frames = read_frames(video, fps=24, height=16, width=32, num_frames=11)

    assert [0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 3] == numbers_in(frames)


def test_time_counts_from_the_first_frame(tmp_path: Path) -> None:
    """A stream that begins at 5 s gives the same frames as one that begins at 0."""
    video = encode(tmp_path / "v.mkv", numbered(24), pts=range(120, 144), container="matroska")

    frames = read_frames(video, fps=24, height=16, width=32, start_seconds=0.5)

    assert list(range(12, 24)) == numbers_in(frames)


def test_rounded_timestamps_do_not_slip_a_frame(tmp_path: Path) -> None:
    """Matroska rounds to whole milliseconds; reading at the video's own rate gives each frame."""
    video = encode(tmp_path / "v.mkv", numbered(48), container="matroska")

    assert list(range(48)) == numbers_in(read_frames(video, fps=24, height=16, width=32))


@pytest.mark.parametrize("start", [0.0, 3.9, 4.0, 5.0, 6.3, 7.96])
def test_a_later_start_gives_the_tail_of_the_whole(tmp_path: Path, start: float) -> None:
    """Seeking, which begins at 4 s, changes nothing about which frames come."""
    video = encode(tmp_path / "v.mp4", numbered(192), gop=40)

    frames = read_frames(video, fps=24, height=16, width=32, start_seconds=start)

    first = int(start * 24 + 1e-4)
    assert first == numbers_in(frames)[0]
    assert list(range(first, 192)) == sorted(set(numbers_in(frames)))


def test_the_span_is_half_open(tmp_path: Path) -> None:
    """A frame exactly at end_seconds does not belong to the span."""
    video = encode(tmp_path / "v.mp4", numbered(24))

    frames = read_frames(video, fps=12, height=16, width=32, start_seconds=0.25, end_seconds=0.75)

    assert [6, 8, 10, 12, 14, 16] == numbers_in(frames)


def test_a_video_that_is_too_short_says_how_many_frames_it_has(tmp_path: Path) -> None:
    """Asking for more frames than there are is an error with the number, not a short answer."""
    video = encode(tmp_path / "v.mp4", numbered(24))

    with pytest.raises(PermanentError, match="ends after 12 of the 13 frames"):
        read_frames(video, fps=12, height=16, width=32, num_frames=13)


def test_a_start_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    """There is no frame to show after the last one."""
    video = encode(tmp_path / "v.mp4", numbered(24))

    with pytest.raises(PermanentError, match=r"no frame from 9\.0 s"):
        read_frames(video, fps=12, height=16, width=32, start_seconds=9.0)


def test_sizes_and_rates_must_be_positive(tmp_path: Path) -> None:
    """A zero rate is refused before the file is looked at."""
    with pytest.raises(ValueError, match="fps 0"):
        next(iter_frames(tmp_path / "none.mp4", fps=0, height=16, width=32))


def test_frames_come_before_the_file_ends(tmp_path: Path) -> None:
    """Streaming: the first frames of a file whose second half is noise are there to be used."""
    video = encode(tmp_path / "v.mkv", np.repeat(smooth(48, 64), 40, axis=0), container="matroska")
    content = bytearray(video.read_bytes())
    content[len(content) // 2 :] = os.urandom(len(content) - len(content) // 2)
    video.write_bytes(content)

    frames = iter_frames(video, fps=24, height=48, width=64)

    assert (48, 64, 3) == next(frames).shape


def test_one_frame_held_twice_is_two_arrays(tmp_path: Path) -> None:
    """Painting on one yielded frame must not show on the next."""
    video = encode(tmp_path / "v.mp4", numbered(2))
    frames = iter_frames(video, fps=48, height=16, width=32)

    next(frames)[:] = 255

    assert 0 == next(frames).max()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_every_orientation_is_shown_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:  # noqa: FBT001
    """All eight display matrices: a counter-clockwise turn, then a mirror image."""
    frames = smooth()
    video = encode(tmp_path / "v.mp4", frames, turn=(degrees, mirrored, False))

    shown = np.rot90(frames[0], degrees // 90)
    shown = shown[:, ::-1] if mirrored else shown
    assert np.array_equal(shown, read_video(video)[0])


def test_a_turned_video_is_portrait(tmp_path: Path) -> None:
    """Phones store portrait video as landscape with a turn; the probe tells what is shown."""
    video = encode(tmp_path / "v.mp4", smooth(24, 40), turn=(270, False, False))

    header = probe(video)

    assert (90, 24, 40, "portrait") == (
        header.rotation_degrees,
        header.width,
        header.height,
        header.orientation,
    )


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_motion_jpeg_with_exif_is_read(tmp_path: Path, orientation: int) -> None:
    """Cameras write it; PyAV has no name for what FFmpeg makes of it. Its turn counts."""
    frame_HWC = np.zeros((48, 64, 3), np.uint8)
    frame_HWC[:24, :32] = 200  # above left
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = orientation, "camera"
    coded = io.BytesIO()
    Image.fromarray(frame_HWC).save(coded, "JPEG", exif=exif, quality=95)
    video = tmp_path / "v.avi"
    with av.open(str(video), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for index in range(12):
            packet = av.Packet(coded.getvalue())
            packet.stream, packet.pts, packet.dts = stream, index, index
            container.mux(packet)

    shown = read_video(video)

    wanted = np.rot90(frame_HWC, {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    assert wanted.shape == shown[0].shape
    assert 10 >= np.abs(shown[0].astype(int) - wanted)[8:-8:8, 8:-8:8].max()
    assert 12 == measure_video(path_to_uri(video))["num_frames"]


def test_pixels_that_are_not_square_widen_the_frame(tmp_path: Path) -> None:
    """A sample aspect of 2:1 shows 40 stored columns as 80."""
    video = encode(tmp_path / "v.mp4", smooth(24, 40), aspect=Fraction(2))

    assert (3, 24, 80, 3) == read_video(video).shape


def test_a_wide_frame_is_cropped_around_its_centre(tmp_path: Path) -> None:
    """Cover, not squeeze: a square out of a 3:1 frame shows its middle third."""
    frames = np.zeros((3, 32, 96, 3), np.uint8)
    frames[:, :, 32:64] = 200
    video = encode(tmp_path / "v.mp4", frames)

    cropped = read_frames(video, fps=24, height=32, width=32)

    assert 200 == cropped.min()


def test_shrinking_averages(tmp_path: Path) -> None:
    """A one-pixel chessboard shrinks to even grey: no aliasing."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    video = encode(tmp_path / "v.mp4", np.repeat(board[None, :, :, None], 3, axis=3).repeat(3, 0))

    small = read_frames(video, fps=24, height=8, width=8)

    assert 3 >= np.abs(small.astype(int) - 127).max()


@pytest.mark.parametrize(("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114)])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_and_range_are_honoured(
    tmp_path: Path,
    matrix: int,
    red: float,
    blue: float,
    full_range: bool,  # noqa: FBT001
) -> None:
    """YUV to RGB by the formulas of ITU-R BT.709 and BT.601, limited and full range."""
    yuv = (110, 90, 170)
    video = encode_yuv(tmp_path / "v.mp4", yuv, matrix=matrix, full_range=full_range)

    shown = read_frames(video, fps=24, height=32, width=32)[0, 16, 16]

    low, luma_span, chroma_span = (0, 255, 255) if full_range else (16, 219, 224)
    y = (yuv[0] - low) / luma_span
    cb, cr = ((value - 128) / chroma_span for value in yuv[1:])
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    expected = np.clip(np.round(np.array([r, g, b]) * 255), 0, 255)
    assert 2 >= np.abs(expected - shown).max()


def test_hdr_is_refused(tmp_path: Path) -> None:
    """PQ shown as if it were SDR looks washed out, so it is an error with the cure."""
    video = encode(tmp_path / "v.mp4", smooth(), transfer=16)

    with pytest.raises(PermanentError, match="tone-map"):
        read_frames(video, fps=24, height=24, width=40)


def test_damage_is_an_error(tmp_path: Path) -> None:
    """FFmpeg would conceal it; whoever reads frames must be told."""
    rng = np.random.default_rng(1)
    video = encode(tmp_path / "v.mp4", rng.integers(0, 256, (24, 64, 64, 3), np.uint8), gop=24)
    content = bytearray(video.read_bytes())
    middle = content.index(b"mdat") + 150_000
    content[middle : middle + 4000] = bytes(4000)
    video.write_bytes(content)

    with pytest.raises(PermanentError, match="replace the file"):
        read_frames(video, fps=24, height=64, width=64)


def test_a_missing_file_is_the_users_error(tmp_path: Path) -> None:
    """No traceback about containers for a path that does not exist."""
    with pytest.raises(InputError, match="there is no file"):
        probe(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    "name",
    [
        b"-leading-dash.mp4",
        "\u00fcn\u00ef \u540d\u524d & 'q'.MP4".encode(),
        b"a\nb.mp4",
        b"\xff\xfe.mp4",
        b"http:x.mp4",
    ],
)
def test_any_file_name_can_be_read(tmp_path: Path, name: bytes) -> None:
    """Dashes, spaces, unicode, a line break, bytes that are not UTF-8, a seeming URL."""
    video = tmp_path / "v.mp4"
    write_video(video, numbered(4), 24)
    renamed = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    video.rename(renamed)

    assert 4 == len(read_video(renamed)) == len(read_video(path_to_uri(renamed)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 255).filter(lambda byte: byte != ord("/")), min_size=1))
def test_paths_survive_the_way_to_a_uri_and_back(name: list[int]) -> None:
    """Any bytes that a file may be named by come back, through an ASCII URI."""
    path = os.fsdecode(b"/folder/x" + bytes(name))

    uri = path_to_uri(path)

    assert uri.isascii()
    assert path == uri_to_path(uri)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"<!DOCTYPE html><html>not found</html>", "not_a_video"),
        (b"just some text\n" * 100, "not_a_video"),
        (b"#EXTM3U\nhttp://example.invalid/x.ts\n", "not_a_video"),
        (b"\xff\xd8\xff\xe0" + bytes(500), "still_image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "still_image"),
    ],
)
def test_what_is_no_video_is_rejected_by_its_content(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """The name says .mp4; the bytes decide, and the reason has a name."""
    path = tmp_path / "v.mp4"
    path.write_bytes(content)

    with pytest.raises(PermanentError) as caught:
        probe(path)

    assert reason == getattr(caught.value, "reason", None)


def test_noise_is_no_video(tmp_path: Path) -> None:
    """Random bytes are neither a video nor anything else that has a name."""
    path = tmp_path / "v.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))

    with pytest.raises(RejectedVideo, match="in no format that pfp knows"):
        probe(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    """A file with one audio stream is rejected by name."""
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    with pytest.raises(PermanentError) as caught:
        probe(path)

    assert "no_video_stream" == getattr(caught.value, "reason", None)


def test_the_largest_stream_is_chosen(tmp_path: Path) -> None:
    """Of two video streams the one with more pixels is read, wherever it stands."""
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        streams = []
        for side in (32, 64):
            stream = container.add_stream("libx264", rate=24)
            stream.height = stream.width = side
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for stream in streams:
            frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts = 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    header = probe(path)

    assert (1, 64, 64) == (header.stream_index, header.width, header.height)


def test_a_size_change_does_not_break_scaled_reading(hostile_file: HostileFile) -> None:
    """Each frame is scaled from its own size, so a buffer of fixed size is never overrun."""
    video = hostile_file("size_changes.ts")

    frames = read_frames(video, fps=12, height=36, width=64, num_frames=90)

    assert (90, 36, 64, 3) == frames.shape


def test_a_header_that_asks_for_too_much_is_refused_unread(
    hostile_file: HostileFile,
) -> None:
    """200 KB that promise frames of 67 megapixels: rejected by the header alone."""
    with pytest.raises(PermanentError) as caught:
        probe(hostile_file("huge.mp4"))

    assert "pixels_above_max" == getattr(caught.value, "reason", None)
