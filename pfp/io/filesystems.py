"""Folders on a local disk or an object store: whole files appear at once or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from pyarrow import ArrowInvalid
from pyarrow import fs as pafs

from pfp.errors import InputError, PermanentError, RetryableError
from pfp.io.files import open_file

ASIDE_PREFIX = "_aside-"
# How long S3 may take to connect, and to send or take a byte, before a request is made again. A
# URI cannot say so, and what pyarrow makes of one waits 3 s thirty times. Its constructor's three
# attempts are kept: file systems forget any other number when they are pickled. A stall in the
# middle of an answer is noticed some 7 s later, since curl looks at a mean over seconds.
S3_CONNECT_SECONDS: Final = 5.0
S3_STALL_SECONDS: Final = 10.0
# After a failed request to Google's store no other is begun once this time is over; pyarrow's own
# limit is 15 minutes. Its client gives a silent connection up after 2 minutes, which it lets nobody
# change: whoever reads one file does not wait that long (``pfp.io.remote``).
GS_RETRY_SECONDS: Final = 30

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST),
}
_ANONYMOUS_S3: Final = "s3://anonymous@"
_REGION: Final = re.compile("region=[a-z0-9-]{1,40}")
_STORE_REFUSES = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|SIGNATURE_DOES_NOT_MATCH"
    r"|NO_SUCH_BUCKET|EXPIRED_TOKEN|HTTP status 40[13]"
)


def resolve(uri: str | Path) -> tuple[pafs.FileSystem, str]:
    """The file system and the path on it of a local path or a URI (``file://``, ``s3://``, ``gs://``).

    A local path becomes absolute. A scheme that pyarrow cannot open is an ``InputError``, and so is
    a URI that says more than where something lies (``check_uri``). ``anonymous@`` before the bucket
    asks without credentials, for public data. A store that does not answer raises ``store_error``.
    Requests to S3 fail within a minute when nothing
    answers (``S3_STALL_SECONDS``, three attempts), those to Google's store within three.
    """
    text = str(uri)
    if "://" not in text:
        return pafs.LocalFileSystem(), str(Path(text).expanduser().absolute())
    check_uri(text)
    try:
        filesystem, path = pafs.FileSystem.from_uri(text)
    except (ArrowInvalid, NotImplementedError) as error:
        message = f"{text} cannot be opened ({error}); give a local path, s3:// or gs://"
        raise InputError(message) from error
    except OSError as error:  # of Amazon, which is asked for the region that the URI leaves out
        raise store_error(text, error) from error
    return _impatient(filesystem, is_anonymous=text.startswith(_ANONYMOUS_S3)), path


def check_uri(uri: str) -> None:
    """Raise ``InputError`` for a URI with credentials, or with settings of the connection.

    URIs stand in manifests, tables and messages, where no secret belongs, and a manifest of
    somebody else's must not choose the server that requests with our credentials go to. Both come
    from the environment; a URI may name a bucket's region. Nothing of the credentials is quoted.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return
    address, _, query = rest.partition("?")
    user, at, place = address.rpartition("@")
    if at and user != "anonymous":
        raise InputError(
            f"{scheme}://...@{place} holds credentials, which would be stored; take them out of "
            "the URI, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your store reads"
        )
    names = {pair.partition("=")[0] for pair in query.split("&")}
    if query and not (_REGION.fullmatch(query) or names <= {""}):
        raise InputError(
            f"{scheme}://{address} has the settings {', '.join(sorted(names))}; leave out all but "
            "region, and name another server in the environment (AWS_ENDPOINT_URL for S3, "
            "CLOUD_STORAGE_EMULATOR_ENDPOINT for Google)"
        )
    if "#" in rest:
        # What follows would be dropped without a word, and another file be opened.
        raise InputError(f"{uri} holds a '#'; write %23 for it")


def _impatient(filesystem: pafs.FileSystem, *, is_anonymous: bool) -> pafs.FileSystem:
    """The same store with bounded waits. What pickle knows of it is what its constructor takes.

    pyarrow takes ``anonymous`` for the name of an S3 key and signs with it, which stores refuse.
    """
    limits: dict[str, Any]
    match filesystem.type_name:
        case "s3":
            limits = {"connect_timeout": S3_CONNECT_SECONDS, "request_timeout": S3_STALL_SECONDS}
            if is_anonymous:
                limits |= dict.fromkeys(("access_key", "secret_key", "session_token"))
                limits["anonymous"] = True
        case "gcs":
            limits = {"retry_time_limit": timedelta(seconds=GS_RETRY_SECONDS)}
        case _:
            return filesystem
    rebuild, (options,) = filesystem.__reduce__()
    return rebuild({**options, **limits})


def reconnected(filesystem: pafs.FileSystem) -> pafs.FileSystem:
    """The same file system on connections of its own; S3 asks once, for callers who ask again."""
    if not isinstance(filesystem, pafs.FileSystem):
        return filesystem
    rebuild, arguments = filesystem.__reduce__()
    if filesystem.type_name != "s3":
        return rebuild(*arguments)
    once = pafs.AwsStandardS3RetryStrategy(max_attempts=1)
    return pafs.S3FileSystem(**arguments[0], retry_strategy=once)


def disk_full(error: BaseException) -> OSError | None:
    """The full or read-only disk behind an error: about the place written to, not about one row."""
    for cause in (error, error.__cause__):
        if isinstance(cause, OSError) and cause.errno in _FULL | {errno.EROFS}:
            return cause
    return None


@contextlib.contextmanager
def explain_write_errors(place: str) -> Iterator[None]:
    """Turns a full disk or an unwritable folder into an ``InputError`` that names the cure."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = (
                f"{place} cannot be written: the disk or its quota is full; "
                "free some space and run again, finished rows are kept"
            )
            raise InputError(message) from error
        if error.errno in _REFUSED:
            reason = os.strerror(error.errno)
            message = f"{place} cannot be written ({reason}); choose a writable output directory"
            raise InputError(message) from error
        raise


@contextlib.contextmanager
def explain_store_errors(filesystem: pafs.FileSystem, place: str) -> Iterator[None]:
    """Turns what an object store answers into a ``RetryableError``, or a ``PermanentError``.

    Local files and ``FileNotFoundError`` pass through as they are.
    """
    try:
        yield
    except OSError as error:
        local = isinstance(filesystem, pafs.LocalFileSystem)
        if local or isinstance(error, FileNotFoundError | NotADirectoryError):
            raise
        raise store_error(place, error) from error


def store_error(place: str, error: BaseException) -> PermanentError | RetryableError:
    """What to tell of an object store's last answer: no rights, or no luck."""
    reason = " ".join(str(error).split())[:300]
    if _STORE_REFUSES.search(reason):
        return PermanentError(f"{place} is refused ({reason}); check the URI and the credentials")
    return RetryableError(f"{place} cannot be reached ({reason}); run again later")


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder. Files are written aside and renamed, so a reader never sees half of one."""

    filesystem: pafs.FileSystem
    path: str

    @classmethod
    def at(cls, uri: str | Path) -> Folder:
        """The folder of a local path or a URI; nothing is created."""
        return cls(*resolve(uri))

    @property
    def is_local(self) -> bool:
        """Whether rename, fsync and flock work here."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def child(self, name: str) -> Folder:
        """A folder inside this one."""
        return Folder(self.filesystem, self.file(name))

    def file(self, name: str) -> str:
        """The path of a file inside this folder, as the file system wants it."""
        return f"{self.path.rstrip('/')}/{name}"

    def make(self) -> None:
        """Creates the folder and its parents if they are missing."""
        with explain_write_errors(self.path), explain_store_errors(self.filesystem, self.path):
            self.filesystem.create_dir(self.path, recursive=True)

    def names(self) -> list[str]:
        """The names of the files right inside this folder, sorted; none if it does not exist."""
        infos = self._infos()
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)

    def folder_names(self) -> list[str]:
        """The names of the folders right inside this folder, sorted."""
        infos = self._infos()
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)

    def sizes(self) -> dict[str, int]:
        """The size in bytes of each file right inside this folder."""
        infos = self._infos()
        return {info.base_name: info.size for info in infos if info.type == pafs.FileType.File}

    def has(self, name: str) -> bool:
        """Whether a file of that name exists."""
        with self._asking(name):
            info: pafs.FileInfo = self.filesystem.get_file_info(self.file(name))
        return bool(info.type == pafs.FileType.File)

    def read(self, name: str) -> bytes:
        """The bytes of a file; ``FileNotFoundError`` if there is none."""
        with self._reading(name) as stream:
            return bytes(stream.read())

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file, 64 hex digits; read in chunks of 1 MiB."""
        digest = hashlib.sha256()
        with self._reading(name) as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[Any]:
        """A file open for reading; on this machine a regular one, which never waits."""
        with self._asking(name):
            stream = (
                open_file(self.file(name))
                if self.is_local
                else self.filesystem.open_input_stream(self.file(name))
            )
            with stream:
                yield stream

    def _infos(self) -> list[pafs.FileInfo]:
        selector = pafs.FileSelector(self.path, allow_not_found=True)
        with explain_store_errors(self.filesystem, self.path):
            infos: list[pafs.FileInfo] = self.filesystem.get_file_info(selector)
        return infos

    def _asking(self, name: str) -> contextlib.AbstractContextManager[None]:
        return explain_store_errors(self.filesystem, self.file(name))

    def touch(self, name: str) -> None:
        """Creates an empty file, without waiting for the disk."""
        with (
            explain_write_errors(self.file(name)),
            self._asking(name),
            self.filesystem.open_output_stream(self.file(name)),
        ):
            pass

    def delete(self, name: str) -> None:
        """Removes a file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self.file(name))

    def delete_all(self) -> None:
        """Removes this folder and what is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_dir(self.path)

    def write(self, name: str, content: bytes) -> None:
        """Writes a whole file at once: aside, to the disk, then renamed."""
        with AsideFile(self) as aside:
            aside.write(content)
            aside.commit(name)

    def sync(self) -> None:
        """Waits until renames and deletions in this folder are on the disk (local only)."""
        if self.is_local:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class AsideFile:
    """A file being written under a name that readers ignore; ``commit`` gives it its name.

    Works as the sink of a ``pyarrow`` writer and digests what passes through. Left without
    ``commit`` (an error, a kill) nothing appears under the final name.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._name = f"{ASIDE_PREFIX}{uuid.uuid4().hex}"
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        with self._writing():
            self._stream: Any = (
                Path(folder.file(self._name)).open("wb", buffering=1 << 20)  # noqa: SIM115
                if folder.is_local
                else folder.filesystem.open_output_stream(folder.file(self._name))
            )

    @property
    def closed(self) -> bool:
        """Whether the bytes are complete; part of the file protocol that pyarrow asks for."""
        return bool(self._stream.closed)

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything written so far."""
        return self._digest.hexdigest()

    def write(self, content: bytes) -> int:
        """Appends bytes."""
        with self._writing():
            self._stream.write(content)
        self._digest.update(content)
        self.size_bytes += len(content)
        return len(content)

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self.size_bytes

    def flush(self) -> None:
        """Part of the file protocol; ``commit`` is what makes bytes durable."""

    def close(self) -> None:
        """Part of the file protocol; the stream stays open for ``commit`` to make it durable."""

    def commit(self, name: str) -> None:
        """Makes the bytes durable, then visible under ``name`` in one step."""
        folder = self._folder
        with self._writing():
            if folder.is_local:
                self._stream.flush()
                os.fsync(self._stream.fileno())
            self._stream.close()
            if folder.is_local:
                Path(folder.file(self._name)).replace(folder.file(name))
            else:
                folder.filesystem.move(folder.file(self._name), folder.file(name))
        folder.sync()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        folder = self._folder
        with (
            explain_write_errors(folder.path),
            explain_store_errors(folder.filesystem, folder.path),
        ):
            yield

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Removes what was not committed, so that a full disk is not made fuller."""
        with contextlib.suppress(OSError):
            self._stream.close()
        with contextlib.suppress(OSError):
            self._folder.delete(self._name)
