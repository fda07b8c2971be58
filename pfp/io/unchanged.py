"""Whether a file still holds the bytes that a row is about: size and time first, digest in doubt.

Rows outlive the files that they were made of, and a file that was replaced in its place has the
name of the old one. Nothing is read while size and time are those that were noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyarrow import fs as pafs

from pfp.errors import InputError, RetryableError
from pfp.io import filesystems
from pfp.io.digests import sha256_stream
from pfp.io.files import UnusableFile
from pfp.io.media.source import Source, is_local, local_path, open_binary, shown_name

# Of a ClipRecord: what ``unchanged`` takes to know its file by.
FILE_COLUMNS: Final = ("video_sha256", "size_bytes", "changed_ns")


class FileChangedError(RetryableError):
    """A file is another one than it was. Retryable: the old one may be put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What a file system knows of a file without reading it; None is unknown.

    ``changed_ns`` is when the file was last changed, in ns since 1970. On a disk that is the time
    of its status, which nobody can set back, as copies and archives set back that of its bytes.
    """

    size_bytes: int | None
    changed_ns: int | None

    def is_surely(self, other: FileState) -> bool:
        """Whether both are known, and the same."""
        is_known = self.size_bytes is not None and self.changed_ns is not None
        return is_known and self == other


def file_state(source: Source) -> FileState:
    """The state of a path, a ``file://`` URI or another file system's URI.

    Raises:
        InputError: there is no such file.
        RetryableError: an object store does not answer.
    """
    if is_local(source):
        try:
            status = Path(local_path(source)).stat()
        except OSError as error:
            message = f"there is no file {shown_name(source)} ({error.strerror}); check the path"
            raise InputError(message) from error
        return FileState(size_bytes=status.st_size, changed_ns=status.st_ctime_ns)
    filesystem, path = filesystems.resolve(str(source))
    with filesystems.explain_store_errors(filesystem, shown_name(source)):
        info: pafs.FileInfo = filesystem.get_file_info(path)
    if info.type != pafs.FileType.File:
        raise InputError(f"there is no file {shown_name(source)}; check the URI")
    return FileState(size_bytes=info.size, changed_ns=info.mtime_ns)


def sha256_of(source: Source) -> str:
    """The SHA-256 of a file's bytes, 64 hex digits.

    Raises ``RetryableError`` for a file that is being written, and as ``open_binary`` does.
    """
    try:
        with open_binary(source) as file:
            return sha256_stream(file, source)
    except UnusableFile as error:
        message = f"{shown_name(source)} cannot be read: {error.strerror}; run again"
        raise RetryableError(message) from error


def check_unchanged(
    source: Source, *, video_sha256: str | None, size_bytes: int | None, changed_ns: int | None
) -> FileState:
    """The state of a file whose bytes have that digest; read only where the state is not as noted.

    A digest of None checks nothing: no bytes were read then that these could differ from.

    Raises:
        FileChangedError: the bytes are others.
        InputError: there is no such file.
    """
    state = file_state(source)
    noted = FileState(size_bytes=size_bytes, changed_ns=changed_ns)
    if video_sha256 is None or state.is_surely(noted):
        return state
    if size_bytes not in {None, state.size_bytes}:
        raise _changed(source, f"it has {state.size_bytes:,} bytes and had {size_bytes:,}")
    if sha256_of(source) != video_sha256:
        raise _changed(source, "its size is the same, its bytes are others")
    return state


@contextmanager
def unchanged(
    source: Source, *, video_sha256: str | None, size_bytes: int | None, changed_ns: int | None
) -> Iterator[None]:
    """Within the block the file is the one of that digest; else it raises, at either end."""
    state = check_unchanged(
        source, video_sha256=video_sha256, size_bytes=size_bytes, changed_ns=changed_ns
    )
    yield
    if file_state(source) != state:
        raise _changed(source, "it was written to while it was read")


def _changed(source: Source, what: str) -> FileChangedError:
    return FileChangedError(
        f"{shown_name(source)} is not the file that was ingested ({what}); run pipelines/ingest "
        "again, or put the old file back"
    )
