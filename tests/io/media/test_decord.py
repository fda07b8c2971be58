"""decord against PyAV: the same frames at the same times, pixels up to its scaler."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import PermanentError
from pfp.io.media import Guard, read_frames
from pfp.io.media.decord_backend import read_frames_decord
from tests.hostile_files import HostileFile
from tests.media_files import numbered, write

pytestmark = pytest.mark.skipif(find_spec("decord") is None, reason="decord is not installed")


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    """Decord brings an FFmpeg of its own; a child process keeps the two apart from the tests."""
    with Guard(timeout_seconds=120) as one:
        yield one


@pytest.mark.parametrize("name", ["first.mp4", "webm_inside.mp4", "fragmented.mp4"])
def test_decord_gives_drawn_frames_that_pyav_gives(
    guard: Guard, hostile_file: HostileFile, name: str
) -> None:
    """As many, and in the same order."""
    assert_same_frames(guard, hostile_file(name), end_seconds=1.9)


@pytest.mark.parametrize(
    "name",
    ["highway_dashcam.mp4", "flower_timelapse_vp9.webm", "conference_speaker_w_vertical.mp4"],
)
def test_decord_gives_the_frames_that_pyav_gives(
    guard: Guard, shared_clips: Path, name: str
) -> None:
    """The same of real footage."""
    assert_same_frames(guard, shared_clips / "dev" / name, end_seconds=3.1)


def assert_same_frames(guard: Guard, path: Path, *, end_seconds: float) -> None:
    """As many; each nearest to its own counterpart among its neighbours; close in value."""
    span = {"fps": 5.0, "height": 72, "width": 128, "start_seconds": 0.3}

    ours = read_frames(path, end_seconds=end_seconds, **span).astype(np.int16)  # type: ignore[arg-type]
    theirs = guard.call(read_frames_decord, path, end_seconds=end_seconds, **span)
    theirs = theirs.astype(np.int16)

    distances = np.abs(ours[:, None] - theirs[None]).mean(axis=(2, 3, 4))
    assert ours.shape == theirs.shape
    assert list(range(len(ours))) == distances.argmin(axis=1).tolist()
    assert 5.5 > distances.diagonal().max()


def test_what_decord_would_show_wrongly_is_refused(guard: Guard, hostile_file: HostileFile) -> None:
    """It ignores sample aspects, so such a file is an error that names the other reader."""
    with pytest.raises(PermanentError, match="read it with read_frames"):
        guard.call(read_frames_decord, hostile_file("anamorphic.mp4"), fps=2, height=72, width=128)


def test_what_decord_cannot_decode_is_an_error(guard: Guard, tmp_path: Path) -> None:
    """Its FFmpeg is too old for AV1."""
    path = write(tmp_path / "v.mp4", (numbered(index) for index in range(12)), codec="libsvtav1")
    with pytest.raises(PermanentError, match="cannot be read by decord"):
        guard.call(read_frames_decord, path, fps=2, height=72, width=128)
