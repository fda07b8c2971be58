"""Files from outside: whatever a name stands for, nobody waits and nobody reads for ever."""

from __future__ import annotations

import errno
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.io.digests import sha256_file
from pfp.io.files import (
    UnusableFile,
    chunks_of,
    is_for_now,
    leads_out_of,
    open_file,
    read_file,
    read_lines,
)
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


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    """Half of it has no digest either."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * (3 << 20))
    with path.open("r+b", buffering=0) as file:
        chunks = chunks_of(file, path)
        next(chunks)
        os.truncate(path, 1 << 20)
        with pytest.raises(UnusableFile, match="it shrank while it was read"):
            list(chunks)


def test_a_file_comes_in_pieces_of_a_mebibyte() -> None:
    """From its start, wherever its reader stood, and all of it."""
    content = bytes(range(256)) * 10_000
    file = io.BytesIO(content)
    file.seek(777)

    pieces = list(chunks_of(file, "x"))

    assert [1 << 20, 1 << 20, len(content) - (2 << 20)] == [len(piece) for piece in pieces]
    assert content == b"".join(pieces)


def test_a_file_of_the_largest_size_is_read() -> None:
    """The bound itself included; nothing of a larger one."""
    assert [b"0123456789"] == list(chunks_of(io.BytesIO(b"0123456789"), "x", max_bytes=10))
    with pytest.raises(UnusableFile, match="more than the 9 bytes"):
        next(chunks_of(io.BytesIO(b"0123456789"), "x", max_bytes=9))


def test_lines_up_to_the_bound_come_whole(tmp_path: Path) -> None:
    """A line of just that length is not cut, and a file of just that size is read."""
    path = tmp_path / "x"
    path.write_bytes(b"12345\n12345\n1234")

    assert [b"12345", b"12345", b"1234"] == list(read_lines(path, max_bytes=16, max_line_bytes=5))
    with pytest.raises(UnusableFile, match="more than the 15 bytes"):
        list(read_lines(path, max_bytes=15, max_line_bytes=5))


def test_an_unusable_file_is_an_os_error(tmp_path: Path) -> None:
    """Whoever catches ``OSError`` finds reason and name where they always are."""
    error = UnusableFile("it grows", tmp_path / "x")

    assert (errno.EINVAL, "it grows", str(tmp_path / "x")) == (
        error.errno,
        error.strerror,
        error.filename,
    )


def test_opening_leaves_no_descriptor_of_what_is_no_file(tmp_path: Path) -> None:
    """A run over a folder of pipes does not run out of descriptors."""
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("pipe", "."):
        with pytest.raises(OSError, match=r"a pipe|Is a directory"):
            open_file(tmp_path / name)

    assert before == len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "too many open files"), True),
        (OSError(errno.EIO, "input/output error"), True),
        (OSError(errno.ESTALE, "stale file handle"), True),
        (OSError(errno.ENOENT, "no such file"), False),
        (UnusableFile("it is a pipe", "x"), False),
        (ValueError("x"), False),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(error: Exception, *, expected: bool) -> None:
    """A machine short of descriptors, or a network disk that is away, are worth another try."""
    assert expected == is_for_now(error)


def test_links_that_lead_out_of_folders_are_told(tmp_path: Path) -> None:
    """A link within is none, nor is a plain file; folders may be links themselves."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").touch()
    (inside / "home").symlink_to(inside / "file")
    (inside / "away").symlink_to(outside / "file")
    (tmp_path / "also").symlink_to(outside)

    assert not leads_out_of(inside / "file", (inside,))
    assert not leads_out_of(outside / "file", (inside,))  # no link
    assert not leads_out_of(inside / "home", (inside,))
    assert leads_out_of(inside / "away", (inside,))
    assert not leads_out_of(inside / "away", (inside, tmp_path / "also"))
    assert leads_out_of(inside / "home", ())
