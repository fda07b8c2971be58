"""The files below a folder of this machine, each once, whatever links lead to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from pfp.errors import InputError
from pfp.ingest.inputs.blocks import FileEntry
from pfp.ingest.inputs.patterns import Pattern, is_listed
from pfp.ingest.inputs.seen import Identity, SeenFiles
from pfp.io.media import path_to_uri, shown_name
from pfp.io.media.links import missing_target


def local_files(root: str, *, skip: Iterable[str], pattern: Pattern) -> Iterator[FileEntry]:
    """The regular files below a folder that the pattern matches, in no particular order.

    Left out are names that begin with a dot, sidecars, what is neither file nor folder (pipes,
    sockets), what is gone by the time it is looked at, and the folders in ``skip``. A symbolic link
    is followed unless its target is found without it; one whose target is not here is an entry with
    the link's own size and time, so that the file is another when the target has come.

    Raises ``InputError`` when the folder does not exist, is none or cannot be read.
    """
    if not Path(root).is_dir():
        what = "is not a folder" if Path(root).exists() else "does not exist"
        raise InputError(f"{shown_name(root)} {what}; name a folder that holds video files")
    yield from _Walk(skip, pattern).entries(_Place(root, ""))


class _Place(NamedTuple):
    """A folder or a link: its path, and the same relative to the root, with a slash at its end."""

    path: str
    prefix: str

    @property
    def depth(self) -> int:
        """Of what lies right inside: 1 in the root."""
        return self.prefix.count("/") + 1

    def inside(self, name: str) -> _Place:
        """What lies there under a name."""
        return _Place(f"{self.path.rstrip('/')}/{name}", f"{self.prefix}{name}/")


class _Walk:
    """Links come last, so that a file is found by its own name if it has one."""

    def __init__(self, skip: Iterable[str], pattern: Pattern) -> None:
        self._pattern = pattern
        self._folders = {_identity(name) for name in skip} - {None}
        self._files = SeenFiles()
        self._links: list[_Place] = []

    def entries(self, root: _Place) -> Iterator[FileEntry]:
        """Everything below the root."""
        yield from self._below(root)
        while self._links:
            yield from self._through(self._links.pop())

    def _below(self, top: _Place) -> Iterator[FileEntry]:
        """The files of a folder and of those inside it, each folder once."""
        stack = [top]
        while stack:
            place = stack.pop()
            identity = _identity(place.path)
            if identity not in self._folders and _reaches(self._pattern, place):
                self._folders.add(identity)
                yield from self._inside(place, stack)

    def _inside(self, place: _Place, stack: list[_Place]) -> Iterator[FileEntry]:
        """The files right inside a folder; folders go to the stack, links to the links."""
        folder_uri = path_to_uri(place.path).rstrip("/")
        folders, links = [], []
        for entry in _scan(place.path):
            if entry.is_symlink():
                links.append(place.inside(entry.name))
            elif entry.is_dir():
                folders.append(place.inside(entry.name))
            elif self._pattern.matches(place.prefix + entry.name) and entry.is_file():
                status = _status(entry)
                if status is not None:
                    self._files.add((status.st_dev, status.st_ino))
                    uri = f"{folder_uri}/{quote_from_bytes(os.fsencode(entry.name))}"
                    yield uri, status.st_size, status.st_ctime_ns
        stack += sorted(folders)
        self._links += sorted(links)

    def _through(self, link: _Place) -> Iterator[FileEntry]:
        """What a link adds: the file or folder that it leads to, or itself without a target."""
        path = Path(link.path)
        if path.is_dir():
            yield from self._below(link)
        elif self._pattern.matches(link.prefix.rstrip("/")):
            identity = _identity(link.path)
            if missing_target(path) is not None:
                yield _entry_of(path, path.lstat())
            elif path.is_file() and identity is not None and identity not in self._files:
                self._files.add(identity)
                yield _entry_of(path, path.stat())


def _entry_of(path: Path, status: os.stat_result) -> FileEntry:
    return path_to_uri(path), status.st_size, status.st_ctime_ns


def _reaches(pattern: Pattern, place: _Place) -> bool:
    return pattern.max_depth is None or place.depth <= pattern.max_depth


def _scan(folder: str) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder under names that count, as the file system has it."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if is_listed(entry.name))
    except OSError as error:
        raise InputError(
            f"{shown_name(folder)} cannot be read ({error.strerror}); "
            "change its permissions or move it"
        ) from error


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except FileNotFoundError:  # removed since its folder was read
        return None


def _identity(path: str) -> Identity | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
