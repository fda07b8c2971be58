"""Weights that pfp does not ship: where they come from, what they must be, and where they lie.

``weights.lock`` beside this file names each with its URLs, SHA-256, size and licence. Nothing here
downloads unless ``fetch`` is called, and no file is handed out whose digest is not the locked one.

Of some files nobody publishes the full digest. The lock then holds the digest's beginning or null,
and the first fetch or import pins what it got in ``pinned.json`` beside the file: from then on
another file is refused as with a full digest.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pfp.errors import InputError, WeightsError
from pfp.io.digests import sha256_file
from pfp.io.download import OnProgress, download
from pfp.io.files import open_file, read_file
from pfp.io.json_text import parse_json
from pfp.io.weights_lock import LOCK_PATH, Lock, Weights, read_lock
from pfp.limits import MAX_JSON_LENGTH

__all__ = [
    "LOCK_PATH",
    "Lock",
    "Status",
    "Weights",
    "directory",
    "entry_of",
    "fetch",
    "find",
    "import_file",
    "ls",
    "path_of",
    "pin_path",
    "pinned",
    "read_lock",
    "sha256_of",
    "verify",
]

DIRECTORY_VARIABLE = "PFP_WEIGHTS_DIR"
PIN_NAME = "pinned.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What ``ls`` says of one line of the lock.

    ``state`` is present, missing, wrong size, or not pinned: it is there, but no fetch or import
    has taken its digest. ``weights`` holds the pinned digest and size where the lock has none.
    """

    weights: Weights
    path: Path
    state: str


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


def pin_path(name: str, *, lock: Lock | None = None) -> Path:
    """Where the digest of a file is kept of which the lock does not know it."""
    return path_of(name, lock=lock).with_name(PIN_NAME)


def pinned(name: str, *, lock: Lock | None = None) -> Weights:
    """The lock's entry with the digest and size that this folder's file was pinned to, if it was.

    Raises:
        WeightsError: the name is unknown, or the pin cannot be read.
    """
    entry = entry_of(name, lock=lock)
    path = pin_path(name, lock=lock)
    if entry.is_exact or not path.is_file():
        return entry
    try:
        pin = parse_json(read_file(path, MAX_JSON_LENGTH).decode())
        found = replace(entry, sha256=pin["sha256"], bytes=pin["bytes"])
    except (OSError, ValueError, KeyError, TypeError) as error:  # ConfigError is a ValueError
        raise WeightsError(
            f"{path} is no pin of pfp's ({error}); remove it and {_cure(entry)}"
        ) from error
    if not found.is_exact or not _fits(entry, str(found.sha256)):
        raise WeightsError(
            f"{path} pins {found.sha256}, which is not the {entry.sha256} of {name}; remove it and "
            f"{_cure(entry)}"
        )
    return found


def sha256_of(name: str, *, lock: Lock | None = None) -> str:
    """The whole digest of weights that ``find`` hands out; raises what ``find`` does."""
    find(name, lock=lock)
    return str(pinned(name, lock=lock).sha256)


def ls(*, lock: Lock | None = None) -> list[Status]:
    """Every entry with its path and state, by name; looks at sizes only, see ``verify``."""
    lock = read_lock() if lock is None else lock
    statuses = []
    for name in sorted(lock):
        path, entry = path_of(name, lock=lock), pinned(name, lock=lock)
        state = "missing"
        if path.is_file():
            state = "not pinned"
            if entry.is_exact:
                is_size = entry.bytes in (None, path.stat().st_size)
                state = "present" if is_size else "wrong size"
        statuses.append(Status(weights=entry, path=path, state=state))
    return statuses


def find(name: str, *, lock: Lock | None = None) -> Path:
    """The path of weights that are there and whose digest is right; never downloads.

    Raises:
        WeightsError: they are missing or are not the locked file; the message holds the command
            that gets them, and for a machine without network the exact path and digest.
    """
    entry = pinned(name, lock=lock)
    path = path_of(name, lock=lock)
    if not path.is_file():
        first = f"{_cure(entry)}, or " if entry.urls else ""
        raise WeightsError(f"weights {name} are missing: {first}{_by_hand(entry, path)}")
    if not entry.is_exact:
        raise WeightsError(
            f"{path} was put there by hand and its digest is not pinned; run "
            f"`pfp weights import {name} {path}` if you trust it"
        )
    problem = _problem(entry, path)
    if problem:
        raise WeightsError(f"{problem}; remove it and {_cure(entry)}")
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
    entry = pinned(name, lock=lock)
    path = path_of(name, lock=lock)
    if path.is_file() and entry.is_exact and _problem(entry, path) is None:
        return path
    if offline:
        message = f"weights {name} are missing and downloads are off:"
        raise WeightsError(f"{message} {_by_hand(entry, path)}")
    _check_licence(entry, accepted=accept_noncommercial)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not entry.urls:
        message = f"weights {name} have no address to download from;"
        raise WeightsError(f"{message} {_by_hand(entry, path)}")
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
    """Copy a file that came by another way to where ``find`` looks, if it is the locked one.

    Of a file whose digest the lock does not know, the first import pins it.
    """
    entry = pinned(name, lock=lock)
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
        with open_file(source) as file, aside.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        _settle(entry, aside, path, came_from=str(source))
    finally:
        aside.unlink(missing_ok=True)
    return path


def _by_hand(entry: Weights, path: Path) -> str:
    if entry.is_exact:
        size = "" if entry.bytes is None else f" ({entry.bytes} bytes)"
        return f"put the file with sha256 {entry.sha256}{size} at {path}"
    begins = "" if entry.sha256 is None else f" whose sha256 begins with {entry.sha256}"
    return (
        f"get {entry.file_name}{begins} another way and run `pfp weights import {entry.name} FILE`"
    )


def _cure(entry: Weights) -> str:
    command = f"fetch {entry.name}" if entry.urls else f"import {entry.name} FILE"
    return f"run `pfp weights {command}`"


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
    if entry.bytes is not None and stat.st_size != entry.bytes:
        return f"{path} has {stat.st_size} bytes, not the {entry.bytes} of {entry.name}"
    if not stat.st_size:
        return f"{path} is empty"
    sha256 = _digest_once(path, stat.st_size, stat.st_mtime_ns)
    if not _fits(entry, sha256):
        return f"{path} has sha256 {sha256}, not the {entry.sha256} of {entry.name}"
    return None


def _fits(entry: Weights, sha256: str) -> bool:
    return sha256.startswith(entry.sha256 or "")


def _settle(entry: Weights, aside: Path, path: Path, *, came_from: str) -> None:
    """Give a checked file its name, and pin its digest first where the lock does not know it."""
    if not entry.is_exact:
        pin = {"sha256": sha256_file(aside), "bytes": aside.stat().st_size, "from": came_from}
        pin_aside = path.with_name(f"{PIN_NAME}.{os.getpid()}.new")
        pin_aside.write_text(json.dumps(pin, indent=2) + "\n", encoding="utf-8")
        pin_aside.replace(path.with_name(PIN_NAME))
    aside.replace(path)


@lru_cache(maxsize=64)
def _digest_once(path: Path, size_bytes: int, mtime_ns: int) -> str:
    """The file's digest; size and time are only the key under which it is cached."""
    del size_bytes, mtime_ns
    return sha256_file(path)


def _fetch_from(url: str, entry: Weights, path: Path, on_progress: OnProgress | None) -> str | None:
    """Bring one URL's bytes to ``path``; returns what went wrong, or None."""
    part = path.with_name(path.name + ".part")
    if entry.sha256 is None:
        part.unlink(missing_ok=True)  # nothing would tell two files' halves from one file
    try:
        if entry.bytes is None or not part.is_file() or part.stat().st_size < entry.bytes:
            download(url, part, size_bytes=entry.bytes, on_progress=on_progress)
    except InputError as error:
        return str(error)
    problem = _problem(entry, part)
    if problem:
        part.unlink()  # complete and wrong: nothing in it is worth resuming
        return f"{url}: {problem}"
    _settle(entry, part, path, came_from=url)
    return None
