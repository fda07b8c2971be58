"""From a path or a URI to an open binary file, whatever characters its name has."""

from __future__ import annotations

import os
from typing import BinaryIO, TypeAlias
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pfp.errors import InputError, RetryableError
from pfp.io.files import is_for_now, open_file
from pfp.io.media.links import missing_target

Source: TypeAlias = str | os.PathLike[str]

_FILE = "file://"


def path_to_uri(path: Source) -> str:
    """The ``file://`` URI of a local path, percent-encoded so that it is ASCII for any name.

    File names are bytes: one that is not UTF-8 survives the way there and back.
    """
    # Not resolve(): a symbolic link keeps the name that the user gave it.
    return _FILE + quote_from_bytes(os.fsencode(os.path.abspath(path)))  # noqa: PTH100


def uri_to_path(uri: str) -> str:
    """The local path of a ``file://`` URI; the inverse of ``path_to_uri``."""
    if not uri.startswith(_FILE + "/"):
        message = f"{uri!r} is not a file:///absolute/path URI; give one, or a plain path"
        raise InputError(message)
    return os.fsdecode(unquote_to_bytes(uri.removeprefix(_FILE)))


def shown_name(source: Source) -> str:
    """The source's name for messages: a ``file://`` URI as its path, nothing that breaks a line."""
    name = os.fspath(source)
    if name.startswith(_FILE + "/"):
        name = uri_to_path(name)
    return repr(name.encode("utf-8", "backslashreplace").decode())[1:-1]


def is_local(source: Source) -> bool:
    """Whether a source is a path or a ``file://`` URI."""
    name = os.fspath(source)
    return "://" not in name or name.startswith(_FILE)


def local_path(source: Source) -> str:
    """The path of a local source, for libraries that open files themselves; else ``InputError``."""
    name = os.fspath(source)
    if name.startswith(_FILE):
        return uri_to_path(name)
    if "://" in name:
        message = f"{shown_name(source)} is not a local file; copy it to this machine first"
        raise InputError(message)
    return name


def missing_link(source: Source) -> str | None:
    """A sentence for a local link whose target is not here; None for any other source."""
    name = os.fspath(source)
    what = missing_target(local_path(name)) if name.startswith(_FILE) or "://" not in name else None
    return None if what is None else f"{shown_name(source)} is {what}"


def open_binary(source: Source) -> BinaryIO:
    """Open a path, a ``file://`` URI or another filesystem's URI for reading bytes; never waits.

    Raises ``InputError`` when there is no such file or it cannot be read, as a pipe cannot, and
    ``RetryableError`` where that may pass: reads of other machines have to come in time.
    """
    name = os.fspath(source)
    try:
        if is_local(name):
            return open_file(local_path(name))
        return _open_remote(name)
    except FileNotFoundError as error:
        link = missing_link(source)
        message = link or f"there is no file {shown_name(source)}; check the path"
        raise InputError(message) from error
    except OSError as error:
        link = missing_link(source)  # one that leads in a circle
        message = (
            link or f"{shown_name(source)} cannot be read ({error.strerror}); give a readable file"
        )
        raise (RetryableError if is_for_now(error) else InputError)(message) from error
    except InputError:
        raise
    except ValueError as error:  # a NUL byte in the name
        message = f"{shown_name(source)} cannot be a file's name ({error}); mend it"
        raise InputError(message) from error


def _open_remote(uri: str) -> BinaryIO:
    from pfp.io import filesystems, remote

    def open_it() -> object:
        filesystem, path = filesystems.resolve(uri)
        with filesystems.explain_store_errors(filesystem, uri):
            return filesystem.open_input_file(path)

    return remote.buffered(open_it, shown_name(uri))
