"""Files from outside, opened so that no reader can be made to wait or to read for ever.

A name may stand for a pipe that nobody writes to, a socket, a device without end, a loop of links,
or for another of these by the time it is opened. What counts is what was opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from pfp.limits import MAX_FILE_BYTES

Name: TypeAlias = str | os.PathLike[str]

_CHUNK_BYTES: Final = 1 << 20
_KINDS: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_FOR_NOW: Final = {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


class UnusableFile(OSError):  # noqa: N818 - as OSError's own kin is named
    """What was opened is no file, is larger than what is read, or grows while it is read."""

    def __init__(self, reason: str, path: Name) -> None:
        super().__init__(errno.EINVAL, reason, os.fspath(path))


def open_file(path: Name) -> BinaryIO:
    """A regular file of this machine, open for reading; never waits.

    Raises ``UnusableFile`` for pipes, sockets and devices, and ``OSError`` as ``open`` does; the
    ``strerror`` of either can be put into a sentence.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise UnusableFile("it is a socket, not a file", path) from error
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        raise UnusableFile(f"it is {_KINDS.get(kind, 'something')}, not a file", path)
    return os.fdopen(descriptor, "rb")


def read_file(path: Name, max_bytes: int) -> bytes:
    """The bytes of a file of up to ``max_bytes``; raises as ``open_file`` does."""
    with open_file(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnusableFile(f"it has more than the {max_bytes} bytes that are read", path)
    return content


def read_lines(path: Name, *, max_bytes: int, max_line_bytes: int) -> Iterator[bytes]:
    """The lines of such a file, without their ends; a longer line is cut to that length and a byte.

    Raises as ``open_file`` does.
    """
    left = max_bytes
    with open_file(path) as file:
        while line := file.readline(max_line_bytes + 1):
            rest = line
            while not rest.endswith(b"\n") and len(rest) > max_line_bytes:
                rest = file.readline(max_line_bytes + 1)
                left -= len(rest)
            left -= len(line)
            if left < 0:
                raise UnusableFile(f"it has more than the {max_bytes} bytes that are read", path)
            yield line.removesuffix(b"\n")


def chunks_of(file: BinaryIO, name: Name, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[bytes]:
    """The bytes of an open file in pieces of 1 MiB, no more than it had when it was opened.

    Raises ``UnusableFile`` for a larger file and for one that is being written.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size_bytes > max_bytes:
        raise UnusableFile(f"it has more than the {max_bytes} bytes that are read", name)
    left = size_bytes
    while chunk := file.read(min(_CHUNK_BYTES, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise UnusableFile("it grows while it is read", name)
        yield chunk
    if left:
        raise UnusableFile("it shrank while it was read", name)


def is_for_now(error: BaseException) -> bool:
    """Whether opening or reading may well go better later: the machine was short of something."""
    return isinstance(error, OSError) and error.errno in _FOR_NOW


def leads_out_of(path: Name, folders: tuple[Name, ...]) -> bool:
    """Whether a name is a link to something that lies in none of these folders nor below them."""
    if not Path(path).is_symlink():
        return False
    target = Path(os.path.realpath(path))
    return not any(target.is_relative_to(os.path.realpath(folder)) for folder in folders)
