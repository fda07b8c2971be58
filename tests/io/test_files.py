"""Files from outside: whatever a name stands for, nobody waits and nobody reads for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.io.digests import sha256_file
from pfp.io.files import UnusableFile, chunks_of, open_file, read_file, read_lines
from pfp.io.filesystems import Folder
from pfp.io.media.source import open_binary


def a_pipe(path: Path) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    """A socket that nobody listens at any more."""
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:  # by a short path: they have 108 bytes
        one.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def a_device(path: Path) -> None:
    """A link to something that never ends."""
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    """A folder of that name."""
    path.mkdir()


def a_loop(path: Path) -> None:
    """Links that lead to one another."""
    path.symlink_to(path)


KINDS = (a_pipe, a_socket, a_device, a_folder, a_loop)


@pytest.fixture(params=KINDS, ids=lambda make: make.__name__)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A name that stands for no file."""
    path = tmp_path / "x"
    request.param(path)
    return path


READERS: tuple[Callable[[Path], object], ...] = (
    open_file,
    lambda path: read_file(path, 10),
    lambda path: list(read_lines(path, max_bytes=10, max_line_bytes=10)),
    lambda path: Folder.at(path.parent).read(path.name),
    lambda path: Folder.at(path.parent).sha256(path.name),
)


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_file_is_not_read(odd: Path, read: Callable[[Path], object]) -> None:
    """Nor waited for: it is an error with a word on what it is."""
    with pytest.raises(OSError, match=r"not a file|symbolic links|Is a directory"):
        read(odd)


@pytest.mark.parametrize("read", [open_binary, sha256_file])
def test_an_odd_input_is_one_sentence(odd: Path, read: Callable[[Path], object]) -> None:
    """With the name and the cure."""
    with pytest.raises(
        InputError,
        match=r"x (cannot be read \(.*\); (give|check)|is a link that leads back to itself)",
    ):
        read(odd)


def test_a_file_within_the_bound_is_read(tmp_path: Path) -> None:
    """The bound itself included."""
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    assert b"0123456789" == read_file(path, 10)
    with pytest.raises(UnusableFile, match="more than the 9 bytes"):
        read_file(path, 9)


def test_a_line_that_is_too_long_comes_cut(tmp_path: Path) -> None:
    """One byte over the bound tells that it was; the lines after it come whole."""
    path = tmp_path / "x"
    path.write_bytes(b"ab\n" + b"x" * 100 + b"\n\ncd")
    lines = list(read_lines(path, max_bytes=1000, max_line_bytes=5))
    assert [b"ab", b"x" * 6, b"", b"cd"] == lines


def test_more_lines_than_are_read(tmp_path: Path) -> None:
    """The file as a whole is bounded, too, long lines with all their bytes."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 100 + b"\n")
    with pytest.raises(UnusableFile, match="more than the 50 bytes"):
        list(read_lines(path, max_bytes=50, max_line_bytes=5))


def test_a_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    """A download under way has no digest yet."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * (1 << 20))
    with path.open("rb") as file, path.open("ab") as writer:
        chunks = chunks_of(file, path)
        next(chunks)
        writer.write(b"more")
        writer.flush()
        with pytest.raises(UnusableFile, match="it grows while it is read"):
            list(chunks)


def test_a_file_of_holes_is_not_digested(tmp_path: Path) -> None:
    """It says that it has a tebibyte, costs nothing to make and would take hours."""
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="more than the 137438953472 bytes that are read"):
        sha256_file(path)
