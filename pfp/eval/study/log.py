"""The server's log of ballots: what was acknowledged is on the disk, once, on whole lines."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pfp.errors import InputError
from pfp.eval.study.ballots import Ballot, ballot_of_line
from pfp.eval.study.plan import Plan
from pfp.io.files import read_file
from pfp.io.filesystems import explain_write_errors
from pfp.limits import MAX_LINES_BYTES


class BallotLog:
    """An append-only file of ballots for the threads of one process; a context manager."""

    def __init__(self, path: str | Path, plan: Plan) -> None:
        """Open or create the log; half a line that a crash left at its end is cut off.

        Raises:
            InputError: it cannot be written, or holds a line that is no ballot of this study.
        """
        self._path = Path(path)
        self._lock = threading.Lock()
        with explain_write_errors(str(path)):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._known = self._load(plan)
            os.fsync(self._file)
            _sync_folder(self._path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:  # a request may still be writing; its number may be another file's soon
            os.close(self._file)
            self._file = -1

    def __len__(self) -> int:
        return len(self._known)

    def append(self, ballots: Sequence[Ballot]) -> int:
        """Put new ballots on the disk, all or none; how many were new.

        Raises:
            InputError: a ballot is known with another content, or the disk is full.
        """
        with self._lock:
            new: dict[str, Ballot] = {}
            for ballot in ballots:
                before = self._known.get(ballot.id) or new.get(ballot.id)
                if before is None:
                    new[ballot.id] = ballot
                elif before != ballot:
                    raise InputError(
                        f"ballot {ballot.id} is known with another content; give a changed vote "
                        "the next revision"
                    )
            if new:
                with explain_write_errors(str(self._path)):
                    self._write(b"".join(ballot.line() for ballot in new.values()))
                self._known.update(new)
            return len(new)

    def _load(self, plan: Plan) -> dict[str, Ballot]:
        content = read_file(self._path, MAX_LINES_BYTES)
        whole, _, torn = content.rpartition(b"\n")
        if torn:
            os.ftruncate(self._file, len(content) - len(torn))
        lines = whole.split(b"\n") if whole else []
        ballots = [
            ballot_of_line(line, plan, f"{self._path}:{number}")
            for number, line in enumerate(lines, 1)
        ]
        return {ballot.id: ballot for ballot in ballots}

    def _write(self, content: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except BaseException:
            os.ftruncate(self._file, size)  # nothing of it was acknowledged
            raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
