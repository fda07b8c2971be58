"""Writing: what comes back, and what is left when it fails."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pfp.errors import InputError
from pfp.io.media import probe, read_video, write_video

Frames = npt.NDArray[np.uint8]


def noise(num_frames: int, height: int, width: int) -> Frames:
    """Frames of noise, the hardest to store."""
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (31, 33), (96, 160), (7, 250)])
def test_lossless_gives_back_the_same_bytes(tmp_path: Path, size: tuple[int, int]) -> None:
    """Noise of any size, even or odd, makes the round trip exactly."""
    frames = noise(5, *size)
    write_video(tmp_path / "v.mp4", frames, 24, lossless=True)

    assert np.array_equal(frames, read_video(tmp_path / "v.mp4"))


def test_the_default_is_what_every_player_shows(tmp_path: Path) -> None:
    """H.264, 4:2:0, 8 bit, limited range, BT.709 said in the file, and the asked frame rate."""
    write_video(tmp_path / "v.mp4", noise(6, 32, 48), 29.97)

    header = probe(tmp_path / "v.mp4")

    assert ("h264", "yuv420p", 1, 1, 1, False) == (
        header.codec,
        header.pixel_format,
        header.color_matrix,
        header.color_primaries,
        header.color_transfer,
        header.full_range,
    )
    assert 29.97 == pytest.approx(header.fps or 0, abs=1e-3)


def test_the_default_keeps_colours(tmp_path: Path) -> None:
    """Flat colours come back within three code values: matrix and range fit on both ways."""
    colours = np.random.default_rng(3).integers(0, 256, (8, 3), np.uint8)
    frames = np.repeat(np.repeat(colours, 16, axis=0)[None, None], 32, axis=1).repeat(4, axis=0)
    write_video(tmp_path / "v.mp4", frames, 24)

    difference = np.abs(read_video(tmp_path / "v.mp4").astype(int) - frames)

    assert 3 >= difference[:, :, 8::16].max()


def test_the_index_stands_first(tmp_path: Path) -> None:
    """A player that streams finds moov before mdat."""
    write_video(tmp_path / "v.mp4", noise(6, 32, 32), 24)

    content = (tmp_path / "v.mp4").read_bytes()

    assert content.index(b"moov") < content.index(b"mdat")


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    """No date, no version, no thread order in the file."""
    frames = noise(12, 48, 64)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames, 24)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_equal_frames_give_equal_bytes_whatever_memory_held_before(tmp_path: Path) -> None:
    """A frame that drifts is predicted from its neighbours, which noise never is."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(12, 24, 3)).repeat(8, axis=0).repeat(8, axis=1)
    drifting = np.stack([np.roll(wide, 2 * k, axis=1)[:, :160] for k in range(12)]) * 50 + 128
    frames = (drifting + 4 * rng.normal(size=drifting.shape)).clip(0, 255).astype(np.uint8)
    rng = np.random.default_rng(5)  # with the macroblock tree, half of ten such loops differed
    held, contents = [], set()
    for _ in range(150):
        longest = int(rng.integers(1_000, 600_000))
        used = [rng.bytes(int(rng.integers(100, longest))) for _ in range(20)]
        held.append(used.pop())
        del used
        if len(held) > 50:
            held = [part for part in held if rng.random() < 0.5]
        write_video(tmp_path / "v.mp4", frames, 12)
        contents.add((tmp_path / "v.mp4").read_bytes())

    assert 1 == len(contents)


def test_frames_may_stream(tmp_path: Path) -> None:
    """Any iterable of frames will do, so that a film need not lie in memory."""
    write_video(tmp_path / "v.mp4", (frame for frame in noise(5, 16, 16)), 24)

    assert 5 == len(read_video(tmp_path / "v.mp4"))


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    """Frames that end in an error do not touch what was there, and no part stays behind."""

    def broken() -> Iterator[Frames]:
        yield noise(1, 16, 16)[0]
        raise RuntimeError("the source is gone")

    path = tmp_path / "v.mp4"
    path.write_bytes(b"earlier")

    with pytest.raises(RuntimeError, match="the source is gone"):
        write_video(path, broken(), 24)

    assert b"earlier" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((0, 16, 16, 3), np.uint8), "no frames"),
        (np.zeros((2, 15, 16, 3), np.uint8), "16x15 is odd"),
        (np.zeros((2, 16, 16), np.uint8), "give uint8 RGB"),
        (np.zeros((2, 16, 16, 3), np.float32), "float32"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path: Path, frames: Frames, message: str) -> None:
    """Each with the offending value and the cure."""
    with pytest.raises(InputError, match=message):
        write_video(tmp_path / "v.mp4", frames, 24)

    assert [] == list(tmp_path.iterdir())


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    """The message names the frame that is different."""
    frames = [noise(1, 16, 16)[0], noise(1, 16, 32)[0]]

    with pytest.raises(InputError, match="frame 1 is uint8"):
        write_video(tmp_path / "v.mp4", frames, 24)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file-size limit stands for the disk: PyAV prints nothing, no part of the file stays."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a\.mp4 cannot be written: the disk or its quota"):
            write_video(tmp_path / "a.mp4", noise(8, 64, 64), 12.0, lossless=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert [] == list(tmp_path.iterdir())
    assert "" == capfd.readouterr().err
