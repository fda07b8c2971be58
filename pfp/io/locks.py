"""One writer per folder: a lock that the system releases when its owner dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pfp.errors import InputError
from pfp.io.filesystems import Folder, explain_write_errors

LOCK_NAME = "_lock"


@contextlib.contextmanager
def locked(folder: Folder) -> Iterator[None]:
    """Holds the folder's lock; an ``InputError`` names the run that has it already.

    The kernel drops the lock with its owner, so a killed run never blocks the next one. Object
    stores have no such lock: there, starting two runs on one table is the user's to avoid (rows
    are content-addressed, so the worst outcome is work done twice).
    """
    if not folder.is_local:
        yield
        return
    folder.make()
    path = Path(folder.file(LOCK_NAME))
    descriptor = _acquire(path)
    try:
        yield
    finally:
        # Unlinked while still held: whoever opened the old file finds another inode and retries.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        with explain_write_errors(str(path)):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _owner(descriptor)
            os.close(descriptor)
            message = f"{path.parent} is being written by {owner}; wait for it to end, or stop it"
            raise InputError(message) from error
        if _is_current(path, descriptor):
            _sign(descriptor)
            return descriptor
        os.close(descriptor)


def _is_current(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Writes who holds the lock, for the message that the next run prints."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {owner['pid']} on {owner['host']} since {owner['started']}"
    except (ValueError, KeyError):
        return "another process"
