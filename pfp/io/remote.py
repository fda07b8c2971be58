"""Reads of other machines that end: an answer within a time, or an error that a later run mends.

pyarrow's clients wait in C++, where nothing can interrupt them. A call that takes too long is left
to itself on a thread of its own, which does not keep the process from ending.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Final, TypeVar, cast

from pfp.errors import RetryableError
from pfp.io.filesystems import store_error

T = TypeVar("T")

# For the first byte of an answer and for each piece: 1 MiB in that time is 35 kB a second.
SECONDS_TO_ANSWER: Final = 30.0
PIECE_BYTES: Final = 1 << 20


def in_time(call: Callable[[], T], what: str, *, seconds: float | None = None) -> T:
    """What ``call`` returns or raises; ``RetryableError`` if that takes longer than ``seconds``.

    what: the place that is asked, for the message. seconds: None is ``SECONDS_TO_ANSWER``.
    """
    limit = SECONDS_TO_ANSWER if seconds is None else seconds
    outcome: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="remote", daemon=True)
    thread.start()
    thread.join(limit)
    if not outcome:
        raise RetryableError(f"{what} did not answer within {limit:g} s; run again later")
    value, error = outcome[0]
    if error is not None:
        raise error
    return cast("T", value)


def buffered(open_it: Callable[[], Any], what: str) -> BinaryIO:
    """A remote file for reading, asked for in pieces, each of which has to come in time.

    open_it: returns a file of ``pyarrow.fs``. Raises what it does, and ``RetryableError``.
    """
    return io.BufferedReader(_Pieces(in_time(open_it, what), what), PIECE_BYTES)


class _Pieces(io.RawIOBase):
    """A file of ``pyarrow.fs`` as ``io`` knows files, every request within the time."""

    def __init__(self, file: Any, what: str) -> None:
        super().__init__()
        self._file, self._what = file, what
        self._at = 0

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """Any byte can be asked for."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Nothing is asked for but, once, the size."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}
        begin = in_time(self._file.size, self._what) if whence == os.SEEK_END else start[whence]
        self._at = max(0, int(begin) + offset)
        return self._at

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def readall(self) -> bytes:
        """The rest. What ``io`` has for this asks for 8 KiB at a time, each a request."""
        return b"".join(iter(lambda: self.read(PIECE_BYTES) or b"", b""))

    def readinto(self, buffer: Any) -> int:
        """Up to a piece of bytes."""
        wanted = min(len(buffer), PIECE_BYTES)
        at = self._at
        try:
            content = in_time(lambda: self._file.read_at(wanted, at), self._what)
        except OSError as error:
            raise store_error(self._what, error) from error
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
