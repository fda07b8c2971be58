"""Measuring whole files, drawn here and with known content."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from pfp.errors import ConfigError, InputError, RetryableError
from pfp.ingest.measure import MeasureSettings, failed_record, measure, measure_video
from pfp.ingest.signatures import words_of
from pfp.io.media import Guard, path_to_uri, write_video
from pfp.schema import Dropped, Failed, Kept
from pfp.schema.measured import MeasuredRecord, SecondMeasures
from tests.hostile_files import HostileFile

SETTINGS = MeasureSettings(timeout_seconds=60, memory_bytes=1 << 30)


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    """One child for all tests of this file."""
    with SETTINGS.guard() as one:
        yield one


def stripes(num_frames: int, height: int = 64, width: int = 96) -> npt.NDArray[np.uint8]:
    """Vertical stripes that step aside by four pixels a frame."""
    x = np.arange(width)[None, :] + 4 * np.arange(num_frames)[:, None]
    values = (x // 16 % 2 * 150 + 50).astype(np.uint8)
    return np.broadcast_to(values[:, None, :, None], (num_frames, height, width, 3)).copy()


def measured(path: Path, guard: Guard) -> MeasuredRecord:
    """The record of a file."""
    return measure(path_to_uri(path), path.stat().st_size, guard, SETTINGS)


def test_a_good_file_is_measured(tmp_path: Path, guard: Guard) -> None:
    """Digest, container, size, time and counts as they were written."""
    path = tmp_path / "v.mp4"
    write_video(path, stripes(48), 24)

    record = measured(path, guard)

    assert isinstance(record.verdict, Kept)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record.video_sha256
    assert ("h264", "yuv420p", 8, 96, 64, "landscape", "sdr") == (
        record.codec,
        record.pixel_format,
        record.bit_depth,
        record.width,
        record.height,
        record.orientation,
        record.transfer,
    )
    assert (48, 48, 0, 0, 0, 0.0) == (
        record.num_frames,
        record.promised_num_frames,
        record.decode_error_count,
        record.num_timestamp_jumps,
        record.num_size_changes,
        record.interlaced_fraction,
    )
    assert (2.0, 2.0, 24.0) == (record.duration_seconds, record.promised_seconds, record.fps)
    assert 125 == pytest.approx(record.luma_mean or 0, abs=4)
    assert (3, 2) == words_of(record.frame_signatures or b"").shape


def test_the_record_survives_a_table(tmp_path: Path, guard: Guard) -> None:
    """Every field has its column and its type."""
    path = tmp_path / "v.mp4"
    write_video(path, stripes(12), 24)
    record = measured(path, guard)

    (row,) = MeasuredRecord.table([record]).to_pylist()

    assert record == MeasuredRecord.from_row(row)


def test_a_second_is_a_row_of_the_track(tmp_path: Path, guard: Guard) -> None:
    """2.5 s: three rows, whose numbers are those of the whole, since every frame is alike."""
    path = tmp_path / "v.mp4"
    write_video(path, stripes(60), 24)

    record = measured(path, guard)

    assert 3 == len(record.track)
    assert SecondMeasures.__annotations__.keys() == record.track[0].keys()
    for second in record.track:
        assert second["luma_mean"] == pytest.approx(record.luma_mean, abs=1)
        assert second["motion"] == pytest.approx(record.motion, rel=0.2)
        assert (0, 0, 0, 0) == tuple(
            second[name] for name in ("frozen", "black", "uniform", "num_damaged")
        )


def test_damage_lies_in_its_second(tmp_path: Path) -> None:
    """Bytes overwritten in the third second of five; no second counts what is another's."""
    path = tmp_path / "v.mp4"
    write_mjpeg(path, num_frames=150, width=320, height=240)
    content = bytearray(path.read_bytes())
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        places = [(packet.pos, packet.size) for packet in packets[75:78]]
    for begin, size in places:
        content[begin : begin + size] = bytes(size)
    path.write_bytes(content)

    fields = measure_video(path_to_uri(path))

    damaged = [second["num_damaged"] for second in fields["track"]]
    assert 3 == fields["decode_error_count"]
    assert [0, 0, 3, 0, 0] == damaged


def test_what_is_no_video_is_dropped_with_its_digest(tmp_path: Path, guard: Guard) -> None:
    """Rejected is not failed: the file was understood."""
    path = tmp_path / "v.mp4"
    path.write_bytes(b"plain text, nothing else")

    record = measured(path, guard)

    assert isinstance(record.verdict, Dropped)
    assert "not_a_video" == record.verdict.reason
    assert hashlib.sha256(b"plain text, nothing else").hexdigest() == record.video_sha256
    assert record.num_frames is None


def test_what_cannot_be_decoded_has_failed_for_good(tmp_path: Path, guard: Guard) -> None:
    """Its digest is known all the same: it was taken outside the decoder."""
    path = tmp_path / "v.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + np.random.default_rng(0).bytes(50_000))

    record = measured(path, guard)

    assert isinstance(record.verdict, Failed)
    assert ("PermanentError", False) == (record.verdict.error, record.verdict.retryable)
    assert 64 == len(record.video_sha256 or "")


def test_a_decode_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    """One poison file costs one row, and its time limit grows with its size."""
    path = tmp_path / "v.mp4"
    write_video(path, stripes(240, 240, 320), 24)
    hasty = MeasureSettings(timeout_seconds=1e-3, timeout_seconds_per_mib=0)

    with hasty.guard() as guard:
        record = measure(path_to_uri(path), path.stat().st_size, guard, hasty)

    assert isinstance(record.verdict, Failed)
    assert "took longer" in record.verdict.message


def test_a_missing_file_is_not_a_verdict(tmp_path: Path, guard: Guard) -> None:
    """The row's file went away: the runtime tells, with the path."""
    with pytest.raises(InputError, match="there is no file"):
        measure(path_to_uri(tmp_path / "none.mp4"), 0, guard, SETTINGS)


def test_a_file_that_is_written_to_meanwhile_is_tried_again(tmp_path: Path, guard: Guard) -> None:
    """A digest of some bytes and frames of others would make no clip."""
    path = tmp_path / "v.mp4"
    write_video(path, stripes(8, 64, 64), 24)

    class Copying:
        """A guard under which somebody copies another file over this one."""

        def call_within(self, *arguments: Any) -> Any:
            found = guard.call_within(*arguments)
            path.write_bytes(path.read_bytes())
            return found

    with pytest.raises(RetryableError, match=r"v.mp4 was written to while .*; run ingest again"):
        measure(path_to_uri(path), path.stat().st_size, Copying(), SETTINGS)  # type: ignore[arg-type]


def test_a_record_knows_its_file_again(tmp_path: Path, guard: Guard) -> None:
    """By the size and the time that were those of the bytes that were digested."""
    path = tmp_path / "v.mp4"
    write_video(path, stripes(8, 64, 64), 24)
    record = measured(path, guard)

    status = path.stat()
    assert (status.st_size, status.st_ctime_ns) == (record.size_bytes, record.changed_ns)


def test_a_link_that_was_not_fetched_is_dropped_with_the_cure(tmp_path: Path, guard: Guard) -> None:
    """Its size is not known: the link's own is not the video's."""
    link = tmp_path / "a.mp4"
    link.symlink_to("../.git/annex/objects/x")

    record = measure(path_to_uri(link), 23, guard, MeasureSettings())

    detail = (
        f"{link} is a link whose target is not here (../.git/annex/objects/x): git annex get it"
    )
    assert Dropped(reason="link_without_target", detail=detail) == record.verdict
    assert record.size_bytes is None
    assert record.video_sha256 is None


def test_a_file_that_could_not_be_read_has_a_record() -> None:
    """Nothing vanishes, not even what is unreadable."""
    record = failed_record("file:///x", 7, Failed(error="InputError", message="gone"))

    assert (None, 7, None) == (record.video_sha256, record.size_bytes, record.num_frames)


def test_a_turned_phone_video_is_portrait(hostile_file: HostileFile) -> None:
    """Coded 160x96 with a display matrix: shown 96x160."""
    fields = measure_video(path_to_uri(hostile_file("turned.mp4")))

    assert (96, 160, 90, "portrait") == (
        fields["width"],
        fields["height"],
        fields["rotation_degrees"],
        fields["orientation"],
    )


def test_hdr_frames_are_not_measured(hostile_file: HostileFile) -> None:
    """Code values of PQ are not those of SDR: measures stay unknown. Frames are counted."""
    fields = measure_video(path_to_uri(hostile_file("pq.mp4")))

    assert ("pq", 96, []) == (fields["transfer"], fields["num_frames"], fields["shots"])
    assert fields.keys().isdisjoint({"luma_mean", "motion", "bar_fraction"})
    assert [] == fields["track"]


@pytest.mark.parametrize(
    "limits",
    [
        *({"timeout_seconds": 0}, {"idle_seconds": 0}),
        *({"memory_bytes": 0}, {"timeout_seconds_per_mib": -1}),
    ],
)
def test_limits_must_be_positive(limits: dict[str, int]) -> None:
    """Under these nothing could be measured."""
    with pytest.raises(ConfigError, match="give numbers above 0"):
        MeasureSettings(**limits)  # type: ignore[arg-type]


def anamorphic(path: Path, aspect: tuple[int, int]) -> None:
    """A video of 64x64 whose ``pasp`` box holds any two 32-bit numbers."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("h264", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for frame_HWC in stripes(8, 64, 64):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        out.mux(stream.encode(None))
    content = path.read_bytes()
    begin = content.index(b"pasp") + 4
    path.write_bytes(content[:begin] + struct.pack(">II", *aspect) + content[begin + 8 :])


@pytest.mark.parametrize("aspect", [(2**31 - 1, 1), (1, 2**31 - 1), (1000, 1), (17, 1)])
def test_pixels_of_a_shape_that_nobody_meant(
    aspect: tuple[int, int], tmp_path: Path, guard: Guard
) -> None:
    """The frame as shown would have up to 137 thousand million pixels in a row."""
    anamorphic(tmp_path / "v.mp4", aspect)

    record = measured(tmp_path / "v.mp4", guard)

    assert isinstance(record.verdict, Dropped)
    assert "sample_aspect_out_of_range" == record.verdict.reason
    assert "correct its sample aspect ratio" in record.verdict.detail


@pytest.mark.parametrize(("aspect", "width"), [((16, 1), 1024), ((1, 16), 4), ((2**31, 1), 128)])
def test_pixels_of_a_shape_that_is_shown(
    aspect: tuple[int, int], width: int, tmp_path: Path, guard: Guard
) -> None:
    """Up to 16 to 1; of a number that FFmpeg does not take the codec's own ratio, 2, is left."""
    anamorphic(tmp_path / "v.mp4", aspect)
    assert width == measured(tmp_path / "v.mp4", guard).width


def test_a_file_that_became_a_pipe(tmp_path: Path, guard: Guard) -> None:
    """Between listing and reading; it is opened, looked at and left."""
    os.mkfifo(tmp_path / "v.mp4")
    with pytest.raises(InputError, match="it is a pipe, not a file"):
        measure(path_to_uri(tmp_path / "v.mp4"), 1000, guard, SETTINGS)


def test_a_file_of_holes_is_dropped_unread(tmp_path: Path, guard: Guard) -> None:
    """A tebibyte costs nothing to make and would be read for hours."""
    path = tmp_path / "v.mp4"
    with path.open("wb") as file:
        file.truncate(1 << 40)

    record = measured(path, guard)

    assert isinstance(record.verdict, Dropped)
    assert ("bytes_above_max", 2.0**40, 2.0**37) == (
        record.verdict.reason,
        record.verdict.score,
        record.verdict.threshold,
    )


def test_memory_does_not_grow_with_key_frames(tmp_path: Path) -> None:
    """PyAV ties each frame whose side data were asked for to itself, until gc comes by."""
    path = tmp_path / "v.mov"
    write_mjpeg(path, num_frames=300, width=1920, height=1080)  # each frame a key frame, of 3 MB
    with Guard(timeout_seconds=120, memory_bytes=512 << 20) as guard:
        found = guard.call(measure_video, path_to_uri(path))

    assert 300 == found["num_frames"]


def test_memory_that_runs_out_says_nothing_about_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder without memory had dropped a good file for want of frames."""

    class Starved:
        """A decoder that gets no memory."""

        def decode(self, packet: av.Packet[Any]) -> list[av.VideoFrame]:
            del packet
            raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")

    path = tmp_path / "v.mp4"
    write_video(path, stripes(8, 64, 64), 24)
    monkeypatch.setattr("pfp.io.media.decode.alpha_decoder", lambda _: Starved())

    with pytest.raises(MemoryError):
        measure_video(path_to_uri(path))


def write_mjpeg(path: Path, *, num_frames: int, width: int, height: int) -> None:
    """A file of one grey frame again and again, each compressed by itself."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=30, options={"qscale": "31"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        frame = av.VideoFrame(width, height, "yuvj420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for number in range(num_frames):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
