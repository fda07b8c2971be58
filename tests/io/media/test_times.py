"""The frame at t seconds carries the number floor(24 t), whatever timestamps the file has."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pfp.errors import PermanentError
from pfp.ingest.measure import measure_video
from pfp.io.media import extent_of, path_to_uri, read_frames
from pfp.io.media.decord_backend import read_frames_decord
from tests.media_files import HEIGHT, WIDTH, change, copy, number_in, numbered, write

NUM_FRAMES = 192  # 8 s: reading from 4 s on seeks, where it may
B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:keyint=40:scenecut=0"}
OPEN_GROUPS = {"x264-params": "bframes=3:b-adapt=0:keyint=40:scenecut=0:open-gop=1"}

# name: container, codec, options
STREAMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "raw h264": ("h264", "libx264", B_FRAMES),
    "raw h265": ("hevc", "libx265", {}),
    "raw mpeg-2": ("mpeg2video", "mpeg2video", {"bf": "2"}),
    "raw mpeg-4": ("m4v", "mpeg4", {"bf": "2"}),
    "ivf": ("ivf", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "avi h264": ("avi", "libx264", B_FRAMES),
    "avi h264 open groups": ("avi", "libx264", OPEN_GROUPS),
    "avi h264 without b": ("avi", "libx264", {"x264-params": "bframes=0"}),
    "avi mpeg-4": ("avi", "mpeg4", {"bf": "2"}),
    "avi mpeg-2": ("avi", "mpeg2video", {"bf": "2"}),
    "avi mjpeg": ("avi", "mjpeg", {}),
    "mp4 h264": ("mp4", "libx264", B_FRAMES),
    "mp4 h264 open groups": ("mp4", "libx264", OPEN_GROUPS),
    "mp4 h264 refresh": ("mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=40:bframes=0"}),
    "mp4 h265 open groups": ("mp4", "libx265", {"x265-params": "log-level=none:keyint=40"}),
    "mp4 av1": ("mp4", "libsvtav1", {"g": "40", "preset": "9", "svtav1-params": "scm=0"}),
    "mkv h264": ("matroska", "libx264", OPEN_GROUPS),
    "mkv h265": ("matroska", "libx265", {"x265-params": "log-level=none:keyint=40"}),
    "mkv mpeg-4": ("matroska", "mpeg4", {"bf": "2"}),
    "webm vp8": ("webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "40"}),
    "webm vp9": ("webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "40"}),
    "ts h264": ("mpegts", "libx264", B_FRAMES),
    "ts mpeg-2": ("mpegts", "mpeg2video", {"bf": "2"}),
    "ps mpeg-2": ("mpeg", "mpeg2video", {"bf": "2"}),
    "flv h264": ("flv", "libx264", B_FRAMES),
    "nut mpeg-4": ("nut", "mpeg4", {"bf": "2"}),
}
YUVJ = {"mjpeg": "yuvj420p"}


def draw(path: Path, container: str, codec: str, options: dict[str, str], **more: Any) -> Path:
    """Eight seconds of numbered frames."""
    return write(
        path,
        (numbered(index) for index in range(NUM_FRAMES)),
        container=container,
        codec=codec,
        options=options,
        pixel_format=YUVJ.get(codec, "yuv420p"),
        **more,
    )


def read_numbers(path: Path, start_seconds: float = 0.0, fps: float = 24) -> list[int]:
    """The numbers of the frames read at a rate, from a time on."""
    frames = read_frames(path, fps=fps, height=HEIGHT, width=WIDTH, start_seconds=start_seconds)
    return [number_in(frame) for frame in frames]


def expected(start_seconds: float = 0.0, fps: float = 24, end: int = NUM_FRAMES) -> list[int]:
    """The numbers of the frames shown at these times."""
    start, step = Fraction(str(start_seconds)), 1 / Fraction(str(fps))
    times = [start + count * step for count in range(10_000)]
    return [int(24 * time) for time in times if 24 * time < end]


def check(path: Path) -> None:
    """Read from the start and from the middle, at the file's rate and at another."""
    for start in (0.0, 1.5, 3.9, 4.0, 5.3, 7.9):
        assert expected(start) == read_numbers(path, start), start
    assert expected(0.7, 10) == read_numbers(path, 0.7, 10)


@pytest.mark.parametrize("name", STREAMS)
def test_every_frame_comes_at_its_time(tmp_path: Path, name: str) -> None:
    """From the start, from the middle, and as ingest measures it."""
    video = draw(tmp_path / "v", *STREAMS[name])

    check(video)
    fields = measure_video(path_to_uri(video))

    assert (NUM_FRAMES, 0, 0) == (
        fields["num_frames"],
        fields["num_timestamp_jumps"],
        fields["decode_error_count"],
    )
    assert 8.0 == pytest.approx(fields["duration_seconds"], abs=2e-3)
    assert 24.0 == pytest.approx(extent_of(video).fps, abs=0.1)


@pytest.mark.parametrize("container", ["mp4", "flv", "matroska"])
@pytest.mark.parametrize("still", [0, 40])
def test_times_of_decoding_given_out_for_those_of_showing(
    tmp_path: Path, container: str, still: int
) -> None:
    """Muxers that forget the difference: each frame has another's time, as in AVI.

    Also where the first frames are alike and none of them is reordered.
    """
    options = {
        "x264-params": "bframes=3:keyint=250:scenecut=0" + (":b-adapt=0" if not still else "")
    }
    frames = (numbered(max(0, index - still)) for index in range(NUM_FRAMES))
    good = write(tmp_path / "good.mp4", frames, options=options)
    start = 1024

    def forget(packet: av.Packet[Any]) -> None:
        assert packet.dts is not None
        packet.pts = packet.dts = packet.dts + start

    video = copy(good, tmp_path / "v", container, change=forget)

    for start_seconds in (0.0, 3.9, 5.3):
        wanted = [max(0, number - still) for number in expected(start_seconds)]
        assert wanted == read_numbers(video, start_seconds)
    assert 0 == measure_video(path_to_uri(video))["num_timestamp_jumps"]


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv", "nut"])
def test_a_variable_rate_stays_variable(tmp_path: Path, container: str) -> None:
    """Frames last one, two and five times 1/24 s; the stream reorders them."""
    shown = [0, 1, 3, 8, 9, 10, 12, 17, *range(18, 130), *range(130, 192, 3)]
    frames = (numbered(number) for number in shown)
    codec = "mpeg4" if container == "nut" else "libx264"
    options = {"bf": "2"} if container == "nut" else B_FRAMES
    video = write(
        tmp_path / "v", frames, container=container, codec=codec, pts=shown, options=options
    )

    for start in (0.0, 4.5, 6.1):
        wanted = [max(at for at in shown if at <= number) for number in expected(start, end=190)]
        assert wanted == read_numbers(video, start)[: len(wanted)]


def test_timestamps_may_wrap(tmp_path: Path) -> None:
    """MPEG-TS counts to 2^33 at 90 kHz, then from zero: 26.5 hours, wherever a recording began."""
    offset = {"output_ts_offset": str((2**33 - 3 * 90_000) / 90_000)}

    check(draw(tmp_path / "v", "mpegts", "libx264", B_FRAMES, container_options=offset))


@pytest.mark.parametrize("container", ["mp4", "matroska", "nut", "flv", "mpegts"])
@pytest.mark.parametrize("first", [7, 1_000, 100_000])
def test_timestamps_may_begin_anywhere(tmp_path: Path, container: str, first: int) -> None:
    """A moment or an hour after zero, rounded wherever it falls."""
    codec, options = ("mpeg4", {"bf": "2"}) if container == "nut" else ("libx264", B_FRAMES)

    check(draw(tmp_path / "v", container, codec, options, pts=range(first, first + NUM_FRAMES)))


def test_a_shared_timestamp_shows_the_later_frame(tmp_path: Path) -> None:
    """Two frames at one time: the first is shown for none."""
    good = draw(tmp_path / "good", "mp4", "mpeg4", {})
    ticks = 512  # of one frame

    def double(packet: av.Packet[Any]) -> None:
        assert packet.pts is not None
        packet.pts = packet.dts = packet.pts // (2 * ticks) * 2 * ticks

    video = copy(good, tmp_path / "v", "matroska", change=double)

    wanted = [number // 2 * 2 + 1 for number in range(NUM_FRAMES)]
    assert wanted[:-1] == read_numbers(video)[: NUM_FRAMES - 1]
    assert 0 == measure_video(path_to_uri(video))["num_timestamp_jumps"]


def forget_stamps(path: Path, every: int) -> None:
    """Take the timestamps from every n-th frame of an MPEG-TS file, but for the first one."""
    content = bytearray(path.read_bytes())
    count = 0
    for at in range(0, len(content) - 187, 188):
        start = at + 4 + (content[at + 4] + 1 if content[at + 3] & 0x20 else 0)
        begins = content[at + 1] & 0x40 and content[start : start + 4] == b"\0\0\1\xe0"
        count += bool(begins)
        if begins and count > 1 and count % every == 0:
            content[start + 7] &= 0x3F
    path.write_bytes(content)


@pytest.mark.parametrize("every", [2, 3, 10])
@pytest.mark.parametrize("name", ["ts h264", "ts mpeg-2"])
def test_frames_without_timestamps_follow_those_before(
    tmp_path: Path, name: str, every: int
) -> None:
    """MPEG asks for a timestamp only now and then."""
    video = draw(tmp_path / "v", *STREAMS[name])
    forget_stamps(video, every)

    check(video)


def test_repeated_frames_of_avi_take_time(tmp_path: Path) -> None:
    """An empty chunk shows the frame before it once more."""
    shown = [*range(20), 23, 24, 30, *range(31, 192)]
    frames = (numbered(number) for number in shown)
    video = write(tmp_path / "v", frames, container="avi", codec="mpeg4", pts=shown)

    wanted = [max(at for at in shown if at <= number) for number in range(NUM_FRAMES)]
    assert wanted == read_numbers(video)


def test_video_for_windows_in_matroska(tmp_path: Path) -> None:
    """Its blocks carry the times of decoding, as the chunks of AVI do."""
    good = draw(tmp_path / "good", "nut", "mpeg4", {"bf": "2"})
    with av.open(str(good)) as container:
        coded = container.streams.video[0].codec_context.extradata or b""
    size = (WIDTH, HEIGHT, 1, 24, b"XVID", 3 * WIDTH * HEIGHT, 0, 0, 0, 0)
    header = struct.pack("<IiiHH4sIiiII", 40 + len(coded), *size)
    index = itertools.count()

    def forget(packet: av.Packet[Any]) -> None:
        packet.pts = packet.dts = round(Fraction(next(index), 24) / (packet.time_base or 1))

    video = copy(good, tmp_path / "v", "matroska", change=forget, extradata=header + coded)
    change(video, b"V_MPEG4/ISO/ASP", b"V_MS/VFW/FOURCC")

    check(video)


def test_a_real_jump_back_is_told(tmp_path: Path) -> None:
    """Two recordings in one file: not for reading as one, and dropped by ingest."""
    part = write(tmp_path / "part", (numbered(index) for index in range(96)), container="mpegts")
    joined = tmp_path / "v.ts"
    joined.write_bytes(part.read_bytes() * 2)

    with pytest.raises(PermanentError, match="jump back"):
        read_frames(joined, fps=24, height=HEIGHT, width=WIDTH)

    assert 1 == measure_video(path_to_uri(joined))["num_timestamp_jumps"]


def test_numbers_are_read_as_they_are_drawn() -> None:
    """The test's own writing on frames."""
    assert [0, 1, 191, 4095] == [number_in(numbered(number)) for number in (0, 1, 191, 4095)]
    assert np.uint8 == numbered(3).dtype


def test_decord_refuses_times_that_do_not_rise(tmp_path: Path) -> None:
    """Those of an AVI file with B-frames."""
    video = draw(tmp_path / "v", *STREAMS["avi h264"])

    with pytest.raises(PermanentError, match="no rising times"):
        read_frames_decord(video, fps=24, height=HEIGHT, width=WIDTH)
