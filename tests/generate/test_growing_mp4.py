"""An MP4 that grows: playable after every section, and an ordinary file at the end."""

import contextlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import InputError
from pfp.generate.growing_mp4 import GrowingMp4, Segment, _box_offset
from pfp.io.media import read_video, write_video

FPS = 12.0
SIZES = (9, 8, 8, 1, 3)


@pytest.fixture
def segments(tmp_path: Path) -> list[Segment]:
    """Sections of a moving ramp, each in its own file; x264 orders their frames as it likes."""
    ramp = np.add.outer(np.arange(48), np.arange(64))
    made, first = [], 0
    for number, size in enumerate(SIZES):
        frames = [np.stack([ramp * 3 + 9 * (first + k)] * 3, -1) % 256 for k in range(size)]
        path = tmp_path / f"{number}.mp4"
        write_video(path, np.stack(frames).astype(np.uint8), FPS)
        made.append(Segment(path, first))
        first += size
    return made


def shown(segments: list[Segment]) -> NDArray[np.uint8]:
    """The frames of sections, each decoded by itself."""
    return np.concatenate([read_video(segment.path) for segment in segments])


def as_a_player_shows(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a file, whatever is wrong with some of its packets."""
    frames = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            with contextlib.suppress(av.FFmpegError):
                frames += packet.decode()
    return [frame.to_ndarray(format="yuv420p") for frame in frames]  # type: ignore[union-attr]


def times(path: Path) -> list[float]:
    """When each frame is shown, in frames since the first."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        shown_at = [float(f.pts * stream.time_base * FPS) for f in container.decode(stream)]  # type: ignore[operator]
    return [time - shown_at[0] for time in shown_at]


def test_after_every_section_the_file_shows_all_so_far(
    tmp_path: Path, segments: list[Segment]
) -> None:
    """Every frame, in order and in time, as its section shows it: nothing is encoded again."""
    path = tmp_path / "v.mp4"
    video = GrowingMp4(path, FPS)
    video.begin([])
    assert not path.exists()

    for number, segment in enumerate(segments, 1):
        video.append(segment)
        assert np.array_equal(shown(segments[:number]), read_video(path))
        assert list(range(sum(SIZES[:number]))) == pytest.approx(times(path))


def test_a_section_is_added_at_the_end_and_nothing_else_is_touched(
    tmp_path: Path, segments: list[Segment]
) -> None:
    """What is written for a section does not grow with the video."""
    path = tmp_path / "v.mp4"
    video = GrowingMp4(path, FPS)
    video.begin(segments[:1])
    before = path.read_bytes()

    video.append(segments[1])

    after = path.read_bytes()
    assert before == after[: len(before)]
    assert b"moof" == after[len(before) + 4 : len(before) + 8]
    assert len(after) - len(before) < 1.2 * segments[1].path.stat().st_size


@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
def test_a_reader_in_the_middle_of_an_append_finds_all_before(
    tmp_path: Path, segments: list[Segment], part: float
) -> None:
    """So does one after a power cut: half a fragment hides no whole one."""
    path = tmp_path / "v.mp4"
    video = GrowingMp4(path, FPS)
    video.begin(segments[:2])
    size = path.stat().st_size
    video.append(segments[2])
    content = path.read_bytes()
    path.write_bytes(content[: size + int(part * (len(content) - size))])

    found = as_a_player_shows(path)
    path.write_bytes(content[:size])
    expected = as_a_player_shows(path)

    assert sum(SIZES[:2]) == len(expected)
    assert np.array_equal(np.stack(expected), np.stack(found[: len(expected)]))


def test_a_later_run_has_the_same_bytes(tmp_path: Path, segments: list[Segment]) -> None:
    """Begun with what there was, or grown from nothing, before and after the end."""
    grown, begun = GrowingMp4(tmp_path / "a.mp4", FPS), GrowingMp4(tmp_path / "b.mp4", FPS)
    grown.begin([])
    for segment in segments:
        grown.append(segment)
    begun.begin(segments[:3])
    for segment in segments[3:]:
        begun.append(segment)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    grown.finish()
    begun.finish()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_finished_file_is_an_ordinary_mp4(tmp_path: Path, segments: list[Segment]) -> None:
    """Its index comes before its frames, its length is right, and the frames are the same."""
    path = tmp_path / "v.mp4"
    video = GrowingMp4(path, FPS)
    video.begin(segments)

    video.finish()

    content = path.read_bytes()
    assert _box_offset(content, b"moov") < _box_offset(content, b"mdat")
    assert b"moof" not in content
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (sum(SIZES), FPS) == (stream.frames, stream.average_rate)
        assert container.start_time == 0
    assert np.array_equal(shown(segments), read_video(path))
    assert list(range(sum(SIZES))) == pytest.approx(times(path))
    assert [path] == sorted(tmp_path.glob("*v.mp4*"))


@pytest.mark.parametrize("step", ["begin", "append", "finish"])
def test_a_full_disk_is_one_sentence(
    tmp_path: Path, segments: list[Segment], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever step; what is there already stays, and nothing is left aside."""
    path = tmp_path / "v.mp4"
    video = GrowingMp4(path, FPS)
    if step != "begin":
        video.begin(segments[:1])
    before = path.read_bytes() if path.exists() else None
    _fill_the_disk(monkeypatch)

    with pytest.raises(InputError, match=r"v\.mp4 cannot be written: the disk .* is full"):
        {
            "begin": lambda: video.begin(segments),
            "append": lambda: video.append(segments[1]),
            "finish": video.finish,
        }[step]()

    monkeypatch.undo()
    assert before == (path.read_bytes() if path.exists() else None)
    assert [] == list(tmp_path.glob(".*"))


def _fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write to this test's files fails as it does on a full disk."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
