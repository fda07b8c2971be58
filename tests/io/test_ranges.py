"""Byte ranges: exact, from many files, and from a store that fails, stalls and cuts short."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from pyarrow import fs as pafs

from pfp.errors import PermanentError, RetryableError, SchemaError
from pfp.io import ranges as module
from pfp.io.filesystems import Folder
from pfp.io.ranges import LocalRanges, Range, RemoteRanges, RequestPolicy, range_reader

CONTENT = {f"file {number}": np.random.default_rng(number).bytes(5000) for number in range(9)}
QUICK = RequestPolicy(
    num_connections=4, attempts=4, first_wait_seconds=0.001, seconds_to_answer=0.3
)


def wanted(num_ranges: int = 60, seed: int = 0) -> tuple[list[Range], list[bytes]]:
    """Random ranges with zeros to fill, and what belongs there."""
    rng = np.random.default_rng(seed)
    ranges, expected = [], []
    for _ in range(num_ranges):
        name = f"file {rng.integers(9)}"
        offset, length = int(rng.integers(0, 4000)), int(rng.integers(1, 1000))
        ranges.append(Range(name, offset, memoryview(bytearray(length))))
        expected.append(CONTENT[name][offset : offset + length])
    return ranges, expected


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Nine files of noise."""
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    return Folder.at(tmp_path)


class Store:
    """An object store whose requests go through ``fault(number)`` first.

    ``fault`` may raise, wait, or return how many bytes of the answer are lost.
    """

    def __init__(self, fault: Callable[[int], int]) -> None:
        self.fault = fault
        self.num_requests = 0
        self.opened: list[str] = []
        self.lock = threading.Lock()

    def open_input_file(self, path: str) -> StoredFile:
        """A file of ``CONTENT``."""
        name = path.rpartition("/")[2]
        self.opened.append(name)
        if name not in CONTENT:
            raise FileNotFoundError(path)
        return StoredFile(self, CONTENT[name])


class StoredFile:
    """One object."""

    def __init__(self, store: Store, content: bytes) -> None:
        self.store, self.content = store, content

    def read_at(self, num_bytes: int, offset: int) -> bytes:
        """One request."""
        with self.store.lock:
            number = self.store.num_requests
            self.store.num_requests += 1
        lost = self.store.fault(number)
        return self.content[offset : offset + num_bytes - lost]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def remote(fault: Callable[[int], int], policy: RequestPolicy = QUICK) -> RemoteRanges:
    """A reader of a store with faults."""
    return reader_of(Store(fault), policy)


def reader_of(store: Store, policy: RequestPolicy = QUICK) -> RemoteRanges:
    """A reader of that store."""
    filesystem: Any = store
    return RemoteRanges(Folder(filesystem, "bucket"), policy)


def one(name: str, offset: int = 0, length: int = 10) -> Range:
    """A range with zeros to fill."""
    return Range(name, offset, memoryview(bytearray(length)))


def failing(number: int) -> int:
    """Every third request is refused."""
    if number % 3 == 0:
        raise OSError("503 slow down")
    return 0


def cutting(number: int) -> int:
    """Every third answer lacks its last byte."""
    return int(number % 3 == 0)


def stalling(number: int) -> int:
    """Two requests of the first never answer in time."""
    if number in {2, 7}:
        time.sleep(1.5)
    return 0


def fine(number: int) -> int:
    """No fault."""
    del number
    return 0


def test_local_ranges_are_the_files_bytes(folder: Folder) -> None:
    """Each range gets its own bytes, in one call for many files."""
    ranges, expected = wanted()

    range_reader(folder).read(ranges)

    assert expected == [bytes(each.into) for each in ranges]


@pytest.mark.parametrize("at_most", [1, 7, 999])
def test_short_reads_are_completed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, at_most: int
) -> None:
    """A system call may give fewer bytes than asked for; the next goes on where it ended."""
    monkeypatch.setattr(os, "preadv", in_pieces(at_most))
    ranges, expected = wanted()

    LocalRanges(folder).read(ranges)

    assert expected == [bytes(each.into) for each in ranges]


def test_a_file_that_ends_within_a_short_read_is_damage(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by where the range should have ended, and what there was is in place."""
    monkeypatch.setattr(os, "preadv", in_pieces(7))
    asked = one("file 1", 4980, 50)

    with pytest.raises(SchemaError, match=r"file 1 ends before byte 5030, so it is damaged"):
        LocalRanges(folder).read([asked])

    assert CONTENT["file 1"][4980:] + bytes(30) == bytes(asked.into)


def in_pieces(at_most: int) -> Callable[..., int]:
    """``os.preadv`` that gives up to so many bytes a call."""
    whole = os.preadv

    def preadv(descriptor: int, buffers: tuple[memoryview], offset: int) -> int:
        return whole(descriptor, (buffers[0][:at_most],), offset)

    return preadv


@pytest.mark.parametrize("fault", [fine, failing, cutting, stalling])
def test_remote_ranges_are_right_whatever_the_store_does(fault: Callable[[int], int]) -> None:
    """Refused, cut short and stalled requests are made again; nothing wrong gets through."""
    ranges, expected = wanted()

    remote(fault, replace(QUICK, attempts=20)).read(ranges)

    assert expected == [bytes(each.into) for each in ranges]


def test_an_answer_that_comes_too_late_is_not_written() -> None:
    """Memory given away after a failed read must not change behind its new owner's back."""
    gate = threading.Event()

    def held(number: int) -> int:
        gate.wait(5)
        return number * 0

    into = bytearray(10)
    with pytest.raises(RetryableError, match=r"no answer within 0\.3 s"):
        remote(held).read([Range("file 0", 0, memoryview(into))])
    gate.set()
    time.sleep(0.1)

    assert bytes(10) == bytes(into)


def test_a_store_that_stays_down_is_a_retryable_error() -> None:
    """After the last attempt it says what the store said."""

    def down(number: int) -> int:
        raise OSError(f"503 slow down, request {number}")

    with pytest.raises(RetryableError, match=r"could not be read in 4 attempts \(503 slow down"):
        remote(down).read(wanted(1)[0])


@pytest.mark.parametrize("place", ["local", "remote"])
def test_a_file_that_is_gone_or_too_short_is_damage(folder: Folder, place: str) -> None:
    """No later attempt would mend that, so it is not called retryable."""
    reader = range_reader(folder) if place == "local" else remote(fine)

    with pytest.raises(SchemaError, match=r"file x cannot be opened"):
        reader.read([Range("file x", 0, memoryview(bytearray(1)))])
    with pytest.raises(SchemaError, match=r"file 1 ends before byte 5001"):
        reader.read([Range("file 1", 4991, memoryview(bytearray(10)))])


def num_open() -> int:
    """The descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_files_are_open_at_a_time(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of ten thousand files are read with a hundred descriptors, and all are closed."""
    monkeypatch.setattr(module, "MAX_OPEN_FILES", 3)
    before = num_open()
    reader = LocalRanges(folder)
    ranges, expected = wanted()

    reader.read(ranges)

    assert expected == [bytes(each.into) for each in ranges]
    assert 3 == num_open() - before
    reader.close()
    assert before == num_open()


def test_readers_travel_to_other_processes(folder: Folder) -> None:
    """What comes out of a pickle opens its own files."""
    ranges, expected = wanted()
    reader: LocalRanges = pickle.loads(pickle.dumps(LocalRanges(folder)))

    reader.read(ranges)

    assert expected == [bytes(each.into) for each in ranges]
    policy = pickle.loads(pickle.dumps(RemoteRanges(Folder(pafs.LocalFileSystem(), "x"), QUICK)))
    assert QUICK == policy._policy


def test_the_files_used_last_stay_open(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that nobody asked for the longest is closed, and opened again when asked for."""
    monkeypatch.setattr(module, "MAX_OPEN_FILES", 2)
    reader = LocalRanges(folder)

    reader.read([one(f"file {number}") for number in (0, 1, 0, 2)])

    assert ["file 0", "file 2"] == list(reader._open)
    again = one("file 1")
    reader.read([again])
    assert CONTENT["file 1"][:10] == bytes(again.into)


def test_a_closed_reader_opens_its_files_again(folder: Folder) -> None:
    """Closing lets go of descriptors, not of the folder."""
    asked, reader = one("file 3", 7), LocalRanges(folder)
    reader.read([one("file 3")])
    reader.close()

    reader.read([asked])

    assert CONTENT["file 3"][7:17] == bytes(asked.into)


def test_a_fork_leaves_its_parents_descriptors_alone(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child opens its own, and closing them closes none of the parent's."""
    reader, unused, asked = LocalRanges(folder), LocalRanges(folder), one("file 2")
    for each in (reader, unused):
        each.read([one("file 2")])
    parents = [*reader._open.values(), *unused._open.values()]
    before = num_open()

    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        reader.read([asked])
        assert before + 1 == num_open()
        for each in (reader, unused):
            each.close()

    assert before == num_open()
    assert CONTENT["file 2"][:10] == bytes(asked.into)
    for descriptor in parents:
        os.close(descriptor)


def test_closing_ends_the_threads_and_reading_starts_them_again() -> None:
    """A loader that is let go leaves nothing running."""
    reader, asked = remote(fine), one("file 5", 3)
    reader.read(wanted()[0])
    pool = reader._pool

    reader.close()

    assert pool is not None
    for thread in pool._threads:
        thread.join(5)
        assert not thread.is_alive()
    reader.read([asked])
    assert CONTENT["file 5"][3:13] == bytes(asked.into)


def test_a_remote_file_is_opened_once() -> None:
    """Opening asks for its size, which is a request of its own."""
    store = Store(fine)
    reader = reader_of(store, replace(QUICK, num_connections=1))

    reader.read([one("file 4", offset) for offset in range(5)])
    reader.read([one("file 4")])

    assert ["file 4"] == store.opened


def test_few_remote_files_are_open_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones used last."""
    monkeypatch.setattr(module, "MAX_OPEN_FILES", 2)
    reader = remote(fine, replace(QUICK, num_connections=1))

    reader.read([one(f"file {number}") for number in (0, 1, 0, 2)])

    assert ["file 0", "file 2"] == list(reader._open)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (FileNotFoundError("no such key"), SchemaError),
        (OSError("AWS Error ACCESS_DENIED during HeadObject"), PermanentError),
    ],
)
def test_what_no_later_attempt_would_mend_is_asked_once(
    answer: OSError, error: type[Exception]
) -> None:
    """An object that is gone, and rights that are not there."""

    def refuse(number: int) -> int:
        del number
        raise answer

    store = Store(refuse)

    with pytest.raises(error):
        reader_of(store).read([one("file 0")])
    assert 1 == store.num_requests


def test_waits_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """None before the first attempt."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    def down(number: int) -> int:
        raise OSError(f"503 slow down, request {number}")

    with pytest.raises(RetryableError):
        remote(down).read([one("file 0")])

    assert [0.001, 0.002, 0.004] == waits


def test_an_attempt_ends_where_nothing_answers_well() -> None:
    """As many failures in a row as there are connections, and the rest is not asked for."""

    def down(number: int) -> int:
        threading.Event().wait(0.05)
        raise OSError(f"503 slow down, request {number}")

    store = Store(down)

    with pytest.raises(RetryableError):
        reader_of(store, replace(QUICK, attempts=1)).read(wanted()[0])
    assert 4 <= store.num_requests < 20


def test_a_thread_that_hangs_ends() -> None:
    """At twice the time after which nobody waits for it any more."""
    gate = threading.Event()

    def held(number: int) -> int:
        gate.wait(5)
        return number * 0

    reader = remote(held, replace(QUICK, seconds_to_answer=0.02))
    reader._threads()

    with pytest.raises(TimeoutError, match=r"did not answer within 0\.04 s"):
        reader._fetch(one("file 0"))
    gate.set()


def test_each_range_gets_its_own_answer_after_failures() -> None:
    """What came before a failure is kept, and only the rest is asked for again."""
    store = Store(lambda number: _fail_first(number, 3))
    ranges, expected = wanted(10)

    reader_of(store, replace(QUICK, num_connections=1)).read(ranges)

    assert expected == [bytes(each.into) for each in ranges]
    assert 13 >= store.num_requests


def _fail_first(number: int, count: int) -> int:
    if number < count:
        raise OSError("503 slow down")
    return 0
