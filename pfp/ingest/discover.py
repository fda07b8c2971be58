"""Which files lie in a folder: one input row per file, whatever its name or extension."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from pfp.errors import InputError
from pfp.io.media import path_to_uri
from pfp.io.media.links import missing_target

# What stands beside a video and describes it. Nothing else is left out by its name.
SIDECAR_SUFFIXES: Final = (".storyboard.json", ".truth.json")

INPUT_SCHEMA: Final = pa.schema(
    [
        pa.field("video_uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("changed_ns", pa.int64(), nullable=False),
    ]
)


def discover(directory: str | os.PathLike[str], *, skip: tuple[str, ...] = ()) -> pa.Table:
    """The regular files below a folder, one row each (``INPUT_SCHEMA``), in order of their URI.

    Every extension counts: what a file is, its content tells. Left out are names that begin with
    a dot, sidecars (``SIDECAR_SUFFIXES``), what is neither file nor folder (pipes, sockets), and
    the folders in ``skip``. A symbolic link is followed unless its target is found without it; one
    whose target is not here is a row with its own size and time, so that it is measured when the
    target has come.

    Raises ``InputError`` when the folder does not exist, is none, cannot be read or holds no file.
    """
    if "://" in os.fspath(directory):
        message = (
            f"{os.fspath(directory)} is not a local folder; mount the store and name the folder"
        )
        raise InputError(message)
    root = Path(directory)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        message = f"{_shown(root)} {what}; name a folder that holds video files"
        raise InputError(message)
    rows = sorted(
        (path_to_uri(path), status.st_size, status.st_ctime_ns)
        for path, status in _files(root, {_identity(Path(name)) for name in skip})
    )
    if not rows:
        message = f"{_shown(root)} holds no file; put video files into it, or name another folder"
        raise InputError(message)
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pa.table(columns, schema=INPUT_SCHEMA)


def _files(root: Path, skip: set[tuple[int, int] | None]) -> Iterator[tuple[Path, os.stat_result]]:
    """Files and their status; links last, so that a file is found by its own name if it has one."""
    links: list[Path] = []
    seen_folders = skip - {None}
    seen_files: set[tuple[int, int] | None] = set()
    stack = [root]
    while stack or links:
        if not stack:
            link = links.pop()
            identity = _identity(link)
            if missing_target(link) is not None:
                yield link, link.lstat()
            if identity is None or identity in seen_files:
                continue
            if link.is_dir():
                stack.append(link)
            elif link.is_file():
                seen_files.add(identity)
                yield link, link.stat()
            continue
        folder = stack.pop()
        identity = _identity(folder)
        if identity in seen_folders:
            continue
        seen_folders.add(identity)
        for entry in _entries(folder):
            path = Path(entry.path)
            if entry.is_symlink():
                links.append(path)
            elif entry.is_dir():
                stack.append(path)
            elif entry.is_file():
                status = entry.stat()
                seen_files.add((status.st_dev, status.st_ino))
                yield path, status


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [
                entry for entry in entries if not entry.name.startswith(".") and _is_input(entry)
            ]
    except OSError as error:
        message = (
            f"{_shown(folder)} cannot be read ({error.strerror}); change its permissions or move it"
        )
        raise InputError(message) from error
    return sorted(found, key=lambda entry: entry.name)


def _is_input(entry: os.DirEntry[str]) -> bool:
    return not entry.name.endswith(SIDECAR_SUFFIXES)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _shown(path: Path) -> str:
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()
