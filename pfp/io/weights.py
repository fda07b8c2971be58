"""Weights that pfp does not ship: where they come from, what they must be, and where they lie.

``weights.lock`` beside this file names each with its URLs, SHA-256, size and licence. Nothing here
downloads unless ``fetch`` is called, and no file is handed out whose digest is not the locked one.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from pfp.errors import ConfigError, InputError, WeightsError
from pfp.io.digests import sha256_file
from pfp.io.download import OnProgress, download

LOCK_PATH = Path(__file__).with_name("weights.lock")
LOCK_VERSION = 1
DIRECTORY_VARIABLE = "PFP_WEIGHTS_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One line of the lock: a single file, known by its digest and its size."""

    name: str
    urls: tuple[str, ...]
    sha256: str
    bytes: int
    licence: str
    non_commercial: bool
    cite: str

    @property
    def file_name(self) -> str:
        """The last part of the first URL: what people who have the file already call it."""
        return Path(urllib.parse.urlparse(self.urls[0]).path).name


Lock: TypeAlias = Mapping[str, Weights]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What ``ls`` says of one line of the lock; ``state`` is present, missing or wrong size."""

    weights: Weights
    path: Path
    state: str


def read_lock(path: Path = LOCK_PATH) -> Lock:
    """The lock file's entries by name; an unknown or a missing field is a ``ConfigError``."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("version") != LOCK_VERSION:
        message = f"{path}: version {document.get('version')!r}, this pfp reads {LOCK_VERSION}"
        raise ConfigError(message)
    entries = [_entry(path, item) for item in document["weights"]]
    return {entry.name: entry for entry in entries}


def _entry(path: Path, item: dict[str, Any]) -> Weights:
    known = {field.name for field in fields(Weights)}
    if item.keys() != known:
        message = f"{path}: entry {item.get('name')!r} must have exactly the fields {sorted(known)}"
        raise ConfigError(message)
    return Weights(**{**item, "urls": tuple(item["urls"])})


def entry_of(name: str, *, lock: Lock | None = None) -> Weights:
    """The lock's entry of that name; an unknown name is a ``WeightsError`` that lists the known."""
    lock = read_lock() if lock is None else lock
    if name not in lock:
        raise WeightsError(f"no weights are called {name!r}; known are {', '.join(sorted(lock))}")
    return lock[name]


def directory() -> Path:
    """The folder of all weights: ``PFP_WEIGHTS_DIR``, else ``~/.cache/pfp/weights``."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pfp" / "weights"


def path_of(name: str, *, lock: Lock | None = None) -> Path:
    """Where that file lies or would lie, whether or not it is there."""
    entry = entry_of(name, lock=lock)
    return directory() / entry.name / entry.file_name


def ls(*, lock: Lock | None = None) -> list[Status]:
    """Every entry with its path and state, by name; looks at sizes only, see ``verify``."""
    lock = read_lock() if lock is None else lock
    statuses = []
    for name in sorted(lock):
        path = path_of(name, lock=lock)
        state = "missing"
        if path.is_file():
            state = "present" if path.stat().st_size == lock[name].bytes else "wrong size"
        statuses.append(Status(weights=lock[name], path=path, state=state))
    return statuses


def find(name: str, *, lock: Lock | None = None) -> Path:
    """The path of weights that are there and whose digest is right; never downloads.

    Raises:
        WeightsError: they are missing or are not the locked file; the message holds the command
            that gets them, and for a machine without network the exact path and digest.
    """
    entry = entry_of(name, lock=lock)
    path = path_of(name, lock=lock)
    if not path.is_file():
        message = f"weights {name} are missing: run `pfp weights fetch {name}`, or"
        raise WeightsError(f"{message} {_by_hand(entry, path)}")
    problem = _problem(entry, path)
    if problem:
        raise WeightsError(f"{problem}; remove it and run `pfp weights fetch {name}`")
    return path


def verify(name: str, *, lock: Lock | None = None) -> Path:
    """As ``find``, but reads the whole file again even if this process has checked it before."""
    _digest_once.cache_clear()
    return find(name, lock=lock)


def fetch(
    name: str,
    *,
    accept_noncommercial: bool = False,
    offline: bool = False,
    lock: Lock | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """The path of the weights, downloaded if need be, resumed where an earlier try was cut.

    A file whose size or digest is wrong never gets its name. ``offline`` never opens a connection.

    Raises:
        WeightsError: the licence was not accepted, no URL gave the locked file, or it is not here
            and ``offline`` is set (the message then holds the exact path and digest wanted).
    """
    entry = entry_of(name, lock=lock)
    path = path_of(name, lock=lock)
    if path.is_file() and _problem(entry, path) is None:
        return path
    if offline:
        message = f"weights {name} are missing and downloads are off:"
        raise WeightsError(f"{message} {_by_hand(entry, path)}")
    _check_licence(entry, accepted=accept_noncommercial)
    path.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    for url in entry.urls:
        problem = _fetch_from(url, entry, path, on_progress)
        if problem is None:
            return path
        problems.append(problem)
    message = f"weights {name} could not be fetched ({'; '.join(problems)});"
    raise WeightsError(f"{message} {_by_hand(entry, path)}")


def import_file(
    name: str, source: Path, *, accept_noncommercial: bool = False, lock: Lock | None = None
) -> Path:
    """Copy a file that came by another way to where ``find`` looks, if it is the locked one."""
    entry = entry_of(name, lock=lock)
    if not source.is_file():
        raise WeightsError(f"{source} is not a file; give the downloaded {entry.file_name}")
    _check_licence(entry, accepted=accept_noncommercial)
    problem = _problem(entry, source)
    if problem:
        raise WeightsError(f"{problem}; it was not imported")
    path = path_of(name, lock=lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.importing")
    try:
        shutil.copyfile(source, aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def _by_hand(entry: Weights, path: Path) -> str:
    return f"put the file with sha256 {entry.sha256} ({entry.bytes} bytes) at {path}"


def _check_licence(entry: Weights, *, accepted: bool) -> None:
    if entry.non_commercial and not accepted:
        message = (
            f"weights {entry.name} are under {entry.licence}, for non-commercial use only; "
            "pass --accept-noncommercial if that is your use"
        )
        raise WeightsError(message)


def _problem(entry: Weights, path: Path) -> str | None:
    """What is wrong with a file, in words, or None."""
    stat = path.stat()
    if stat.st_size != entry.bytes:
        return f"{path} has {stat.st_size} bytes, not the {entry.bytes} of {entry.name}"
    sha256 = _digest_once(path, stat.st_size, stat.st_mtime_ns)
    if sha256 != entry.sha256:
        return f"{path} has sha256 {sha256}, not the {entry.sha256} of {entry.name}"
    return None


@lru_cache(maxsize=64)
def _digest_once(path: Path, size_bytes: int, mtime_ns: int) -> str:
    """The file's digest; size and time are only the key under which it is remembered."""
    del size_bytes, mtime_ns
    return sha256_file(path)


def _fetch_from(url: str, entry: Weights, path: Path, on_progress: OnProgress | None) -> str | None:
    """Bring one URL's bytes to ``path``; returns what went wrong, or None."""
    part = path.with_name(path.name + ".part")
    try:
        if not part.is_file() or part.stat().st_size < entry.bytes:
            download(url, part, size_bytes=entry.bytes, on_progress=on_progress)
    except InputError as error:
        return str(error)
    problem = _problem(entry, part)
    if problem:
        part.unlink()  # complete and wrong: nothing in it is worth resuming
        return f"{url}: {problem}"
    part.replace(path)
    return None
