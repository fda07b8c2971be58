"""Byte ranges of a folder's files into memory that the caller has: local preads, remote requests.

A reader is picklable and survives a fork: what is open belongs to the process that opened it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from pyarrow import fs as pafs

from pfp.errors import PermanentError, RetryableError, SchemaError
from pfp.io.filesystems import Folder, reconnected, store_error
from pfp.io.remote import in_time

MAX_OPEN_FILES: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPolicy:
    """How an object store is asked. The wait before an attempt doubles each time."""

    num_connections: int = 16
    attempts: int = 8
    first_wait_seconds: float = 0.1
    seconds_to_answer: float = 60.0


class Range(NamedTuple):
    """``len(into)`` bytes from ``offset`` of the file ``name``, to be written to ``into``."""

    name: str
    offset: int
    into: memoryview


class RangeReader(Protocol):
    """Fills ranges. ``SchemaError`` for a file that is gone or too short."""

    def read(self, ranges: Sequence[Range]) -> None:
        """Fill them all, or raise."""
        ...

    def close(self) -> None:
        """Let go of what is open; reading opens it again."""
        ...


def range_reader(folder: Folder) -> RangeReader:
    """The reader for a folder's file system."""
    return LocalRanges(folder) if folder.is_local else RemoteRanges(folder)


class LocalRanges:
    """``preadv`` straight into the caller's memory: no copy but the kernel's."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._open: OrderedDict[str, int] = OrderedDict()
        self._pid = os.getpid()

    def read(self, ranges: Sequence[Range]) -> None:
        """One system call a range, or a few for very large ones."""
        for each in ranges:
            name, offset, into = each
            descriptor = self._descriptor(name)
            count = os.preadv(descriptor, (into,), offset)
            if count < len(into):
                self._fill_rest(descriptor, each, count)

    def _fill_rest(self, descriptor: int, wanted: Range, filled: int) -> None:
        name, offset, into = wanted
        while filled < len(into):
            count = os.preadv(descriptor, (into[filled:],), offset + filled)
            if count == 0:
                raise _too_short(self._folder, name, offset, len(into))
            filled += count

    def _descriptor(self, name: str) -> int:
        if self._pid != os.getpid():  # forked: the parent's descriptors are the parent's to close
            self._open.clear()
            self._pid = os.getpid()
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        while len(self._open) >= MAX_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        try:
            descriptor = os.open(self._folder.file(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _gone(self._folder, name, error) from error
        self._open[name] = descriptor
        return descriptor

    def close(self) -> None:
        """Close all files."""
        if self._pid == os.getpid():
            for descriptor in self._open.values():
                os.close(descriptor)
        self._open.clear()

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> Folder:
        return self._folder

    def __setstate__(self, folder: Folder) -> None:
        self.__init__(folder)  # type: ignore[misc]


class RemoteRanges:
    """Requests to an object store, many at a time, each made again when it fails or hangs.

    When none of those under way has answered for ``seconds_to_answer`` they are left to themselves
    and made anew; after ``attempts`` the read is a ``RetryableError``, or a ``PermanentError``
    where the store refuses the credentials. An attempt ends early when as many requests in a row
    have failed as there are connections. An answer of the wrong length counts as failed. Only whole
    answers reach the caller's memory.

    Files stay open, which spares asking for their size again. Each process connects for itself: on
    a connection shared by a fork it could receive its parent's answers.
    """

    def __init__(self, folder: Folder, policy: RequestPolicy | None = None) -> None:
        self._folder = folder
        self._policy = policy or RequestPolicy()
        self._pool: ThreadPoolExecutor | None = None
        self._filesystem: pafs.FileSystem | None = None
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def read(self, ranges: Sequence[Range]) -> None:
        """All of them at once, as far as there are connections."""
        rest, error = list(ranges), None
        for attempt in range(self._policy.attempts):
            if attempt:
                time.sleep(self._policy.first_wait_seconds * 2 ** (attempt - 1))
            rest, error = self._try(rest)
            if not rest:
                return
            if isinstance(error, FileNotFoundError):
                raise _gone(self._folder, rest[0].name, error) from error
            refusal = store_error(self._folder.file(rest[0].name), error) if error else None
            if isinstance(refusal, PermanentError):
                raise refusal from error
        name, offset, into = rest[0]
        if isinstance(error, EOFError):
            raise _too_short(self._folder, name, offset, len(into)) from error
        raise RetryableError(
            f"{self._folder.file(name)} could not be read in {self._policy.attempts} attempts "
            f"({error}); look at the store, or run again later"
        ) from error

    def _try(self, ranges: Sequence[Range]) -> tuple[list[Range], BaseException | None]:
        """One attempt: the ranges that are not filled, and the last error."""
        under_way = {self._threads().submit(self._fetch, each): each for each in ranges}
        rest: list[Range] = []
        last: BaseException | None = None
        failed_in_row = 0
        while under_way:
            done, _ = wait(under_way, self._policy.seconds_to_answer, FIRST_COMPLETED)
            if not done:
                self.close()
                hang = TimeoutError(f"no answer within {self._policy.seconds_to_answer:g} s")
                return [*rest, *under_way.values()], hang
            for future in done:
                each = under_way.pop(future)
                try:
                    each.into[:] = future.result()
                    failed_in_row = 0
                except (OSError, EOFError) as error:
                    rest.append(each)
                    last = error
                    failed_in_row += 1
            if failed_in_row >= self._policy.num_connections:
                rest += [under_way.pop(each) for each in list(under_way) if each.cancel()]
        return rest, last

    def _fetch(self, wanted: Range) -> bytes:
        # Whoever waits has given up by then; a thread of the pool that hung for good would keep the
        # process from ending.
        limit = 2 * self._policy.seconds_to_answer
        try:
            content = in_time(lambda: self._read(wanted), wanted.name, seconds=limit)
        except RetryableError as error:
            raise TimeoutError(str(error)) from error
        if len(content) != len(wanted.into):
            raise EOFError(f"{len(content)} of {len(wanted.into)} bytes came")
        return content

    def _read(self, wanted: Range) -> bytes:
        return bytes(self._file(wanted.name).read_at(len(wanted.into), wanted.offset))

    def _file(self, name: str) -> Any:
        with self._lock:
            if name in self._open:
                self._open.move_to_end(name)
                return self._open[name]
        assert self._filesystem is not None  # made with the threads
        file = self._filesystem.open_input_file(self._folder.file(name))
        with self._lock:
            self._open[name] = file
            while len(self._open) > MAX_OPEN_FILES:
                self._open.popitem(last=False)
        return file

    def _threads(self) -> ThreadPoolExecutor:
        if self._pid != os.getpid():
            self.__init__(self._folder, self._policy)  # type: ignore[misc]
        if self._filesystem is None:
            self._filesystem = reconnected(self._folder.filesystem)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._policy.num_connections, "ranges")
        return self._pool

    def close(self) -> None:
        """Let the threads end; those that hang are left to themselves."""
        if self._pid == os.getpid():
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
            self._open = OrderedDict()
        self._pool = None

    def __getstate__(self) -> tuple[Folder, RequestPolicy]:
        return self._folder, self._policy

    def __setstate__(self, state: tuple[Folder, RequestPolicy]) -> None:
        self.__init__(*state)  # type: ignore[misc]


def _gone(folder: Folder, name: str, error: BaseException) -> SchemaError:
    return SchemaError(
        f"{folder.file(name)} cannot be opened ({error}); run the stage that writes it again"
    )


def _too_short(folder: Folder, name: str, offset: int, num_bytes: int) -> SchemaError:
    return SchemaError(
        f"{folder.file(name)} ends before byte {offset + num_bytes}, so it is damaged; "
        "delete it and run the stage again"
    )
