"""Whether a file is still the one that a row is about, without reading it where nothing changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pfp.errors import InputError, RetryableError
from pfp.io import unchanged as module
from pfp.io.digests import sha256_file
from pfp.io.media import path_to_uri
from pfp.io.unchanged import (
    FileChangedError,
    FileState,
    check_unchanged,
    file_state,
    sha256_of,
    unchanged,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"as it was")
    return path


def noted(path: Path) -> dict[str, Any]:
    """What a row keeps of its file."""
    state = file_state(path)
    return {
        "video_sha256": sha256_file(path),
        "size_bytes": state.size_bytes,
        "changed_ns": state.changed_ns,
    }


def test_nothing_is_read_of_a_file_that_is_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size and time are enough."""
    row = noted(path)
    monkeypatch.setattr(module, "sha256_of", None)

    assert file_state(path) == check_unchanged(path_to_uri(path), **row)


@pytest.mark.parametrize("doubt", ["touched", "copied back", "unknown time", "unknown size"])
def test_in_doubt_the_bytes_tell(path: Path, doubt: str) -> None:
    """The same bytes under another time are the same file."""
    row = noted(path)
    if doubt == "touched":
        os.utime(path)
    elif doubt == "copied back":
        shutil.copy2(path, path.with_suffix(".bak"))
        path.unlink()
        path.with_suffix(".bak").rename(path)
    else:
        row |= {"changed_ns": None} if doubt == "unknown time" else {"size_bytes": None}

    assert file_state(path) == check_unchanged(path, **row)


@pytest.mark.parametrize("content", [b"longer than it was", b"as it wax"])
@pytest.mark.parametrize("keeps_time", [False, True])
def test_other_bytes_are_told_with_the_cure(path: Path, content: bytes, keeps_time: bool) -> None:  # noqa: FBT001
    """Also those of the same size and under the old time, as archives unpack them."""
    row, times = noted(path), path.stat()
    path.write_bytes(content)
    if keeps_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    with pytest.raises(FileChangedError, match=r"a.mp4 is not the file that .* run pipelines/ing"):
        check_unchanged(path, **row)


def test_writing_while_it_is_read_is_noticed(path: Path) -> None:
    """At the end of the block."""
    with pytest.raises(FileChangedError, match="while it was read"), unchanged(path, **noted(path)):
        path.write_bytes(b"as it wax")


def test_a_file_without_a_digest_is_not_compared(path: Path) -> None:
    """What could not be read then has no bytes that others could differ from."""
    with unchanged(path, video_sha256=None, size_bytes=1, changed_ns=None):
        pass


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """One sentence, with the name."""
    with pytest.raises(InputError, match=r"there is no file .*gone.mp4"):
        check_unchanged(tmp_path / "gone.mp4", video_sha256="0", size_bytes=1, changed_ns=1)


def test_objects_of_a_store_have_a_size_and_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question to the store; the object is read where they differ."""
    from pyarrow import fs as pafs

    store = pafs._MockFileSystem()
    store.create_dir("b")
    with store.open_output_stream("b/v.mp4") as file:
        file.write(b"as it was")
    monkeypatch.setattr("pfp.io.filesystems.resolve", lambda _: (store, "b/v.mp4"))
    state = file_state("s3://b/v.mp4")
    row = {
        "video_sha256": module.sha256_of("s3://b/v.mp4"),
        "size_bytes": state.size_bytes,
        "changed_ns": state.changed_ns,
    }

    assert 9 == state.size_bytes
    assert state == check_unchanged("s3://b/v.mp4", **row)
    with store.open_output_stream("b/v.mp4") as file:
        file.write(b"as it wax")
    with pytest.raises(FileChangedError):
        check_unchanged("s3://b/v.mp4", **{**row, "changed_ns": None})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((9, 5), (9, 5), True),
        ((9, 5), (9, 6), False),
        ((8, 5), (9, 5), False),
        ((None, 5), (None, 5), False),
        ((9, None), (9, None), False),
    ],
)
def test_only_known_states_are_surely_equal(
    one: tuple[int | None, int | None], other: tuple[int | None, int | None], *, expected: bool
) -> None:
    """Two unknown times may be two times."""
    first, second = (FileState(size_bytes=size, changed_ns=time) for size, time in (one, other))

    assert expected == first.is_surely(second)


def test_another_size_is_told_without_reading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both sizes."""
    row = noted(path)
    path.write_bytes(b"x" * 1234)
    monkeypatch.setattr(module, "sha256_of", None)

    with pytest.raises(FileChangedError, match=r"it has 1,234 bytes and had 9\)"):
        check_unchanged(path, **row)


def test_a_file_of_the_same_size_is_said_to_hold_other_bytes(path: Path) -> None:
    """The words tell a replaced file from one that grew."""
    row = noted(path)
    path.write_bytes(b"as it wax")

    with pytest.raises(FileChangedError, match="its size is the same, its bytes are others"):
        check_unchanged(path, **row)


def test_a_file_that_goes_away_while_it_is_read_is_said_to_be_gone(path: Path) -> None:
    """Not that it changed."""
    with pytest.raises(InputError, match="there is no file"), unchanged(path, **noted(path)):
        path.unlink()


def test_an_error_inside_is_not_taken_for_a_change(path: Path) -> None:
    """What went wrong with the file is the row's error, whatever happened to it then."""
    with pytest.raises(ZeroDivisionError), unchanged(path, **noted(path)):
        1 / path.write_bytes(b"")


def test_a_file_that_is_being_written_is_retryable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later run finds it whole."""
    from pfp.io.files import UnusableFile

    def grows(*_: object) -> str:
        raise UnusableFile("it grows while it is read", path)

    monkeypatch.setattr(module, "sha256_stream", grows)
    with pytest.raises(RetryableError, match=r"a.mp4 cannot be read: it grows .*; run again"):
        sha256_of(path)


def test_an_object_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of that name is no file either."""
    from pyarrow import fs as pafs

    store = pafs._MockFileSystem()
    store.create_dir("b/folder")
    for name in ("b/gone.mp4", "b/folder"):
        monkeypatch.setattr("pfp.io.filesystems.resolve", lambda _, name=name: (store, name))
        with pytest.raises(InputError, match=f"there is no file s3://{name}; check the URI"):
            file_state(f"s3://{name}")
