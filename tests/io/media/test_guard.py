"""The guard: whatever a call does to its process, the caller gets a value or an exception."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pfp.errors import InputError, PermanentError, RetryableError
from pfp.io.media import Guard, RejectedVideo, probe


@pytest.fixture
def guard() -> Iterator[Guard]:
    """A guard with room for a decode, and little patience."""
    with Guard(timeout_seconds=20, memory_bytes=512 << 20, recycle_after=50) as one:
        yield one


def test_a_value_comes_back(guard: Guard) -> None:
    """Arguments go over, the result comes back, from another process."""
    assert 5 == guard.call(math.gcd, 10, 15)
    assert os.getpid() != guard.call(os.getpid)


def test_arrays_come_back_whole_and_writable(guard: Guard) -> None:
    """Large arrays travel beside the pickle and are the caller's own."""
    array = guard.call(np.arange, 5_000_000, dtype=np.int32)

    assert np.array_equal(np.arange(5_000_000, dtype=np.int32), array)
    assert array.flags.writeable


def test_exceptions_come_back_as_themselves(guard: Guard, tmp_path: Path) -> None:
    """Class, message and fields, so that callers can tell reasons apart."""
    (tmp_path / "v.mp4").write_bytes(b"")

    with pytest.raises(RejectedVideo) as caught:
        guard.call(probe, tmp_path / "v.mp4")
    with pytest.raises(ValueError, match="invalid literal"):
        guard.call(int, "x")

    assert "empty_file" == caught.value.reason


def test_a_call_that_hangs_is_killed() -> None:
    """After the limit on the wall clock, and not much later."""
    started = time.monotonic()

    with Guard(timeout_seconds=0.5) as guard, pytest.raises(PermanentError, match=r"than 0.5 s"):
        guard.call(time.sleep, 60)

    assert time.monotonic() - started < 20


def test_a_call_that_stands_still_is_killed_long_before_its_time() -> None:
    """A long video may take minutes, one that only sleeps may not."""
    started = time.monotonic()

    with (
        Guard(timeout_seconds=600, idle_seconds=0.5) as guard,
        pytest.raises(RetryableError, match=r"stood still for 0.5 s"),
    ):
        guard.call(time.sleep, 60)

    assert time.monotonic() - started < 20


@pytest.mark.parametrize(("share", "expected"), [(0.002, "stood still"), (0.05, "took longer")])
def test_what_a_sleeping_child_takes_does_not_keep_it_alive(
    share: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread that looks after the parent takes some 0.002 of a CPU, a slow store far more."""
    with Guard(timeout_seconds=1.5, idle_seconds=0.5) as guard:
        monkeypatch.setattr(guard, "_cpu_seconds", lambda: share * time.monotonic())
        with pytest.raises((RetryableError, PermanentError), match=expected):
            guard.call(time.sleep, 60)


def test_a_call_that_computes_does_not_stand_still() -> None:
    """Four times as long as a call may stand still."""
    with Guard(idle_seconds=0.5) as guard:
        assert guard.call(compute, 2.0) > 0


def compute(seconds: float) -> int:
    """Take CPU time."""
    number, until = 0, time.process_time() + seconds
    while time.process_time() < until:
        number += 1
    return number


def test_waiting_for_a_cpu_does_not_count(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy with other things, time passes but none of it is the child's."""
    monkeypatch.setattr(guard, "_queued_seconds", time.monotonic)

    assert guard.call_within(0.01, time.sleep, 0.5) is None


def test_one_call_can_have_its_own_limit(guard: Guard) -> None:
    """A longer video may take longer."""
    with pytest.raises(PermanentError, match=r"than 0.25 s"):
        guard.call_within(0.25, time.sleep, 60)


def test_a_call_that_grows_is_stopped(guard: Guard) -> None:
    """An allocation beyond the limit fails; the message names the limit."""
    with pytest.raises(PermanentError, match="more than 512 MiB"):
        guard.call(np.ones, 1 << 30, dtype=np.uint8)


def test_what_earlier_calls_left_behind_is_not_held_against_a_later_one(guard: Guard) -> None:
    """A call that a used child has no memory for is made once more, in a new child."""
    guard.call(exec, "import sys; sys.kept = bytearray(300 << 20)")
    used = guard.child_pid

    found = guard.call(np.ones, 300 << 20, dtype=np.uint8)

    assert 300 << 20 == len(found)
    assert used != guard.child_pid


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (signal.SIGSEGV, PermanentError, r"crashed \(signal 11\)"),
        (signal.SIGABRT, PermanentError, r"crashed \(signal 6\)"),
        (signal.SIGKILL, RetryableError, r"killed from outside \(signal 9\)"),
    ],
)
def test_a_crash_is_an_exception(
    guard: Guard, number: signal.Signals, kind: type[Exception], message: str
) -> None:
    """A decoder's own crash is for good; SIGKILL is what a machine short of memory sends."""
    with pytest.raises(kind, match=message):
        guard.call(signal.raise_signal, number)


def test_an_exit_is_a_crash(guard: Guard) -> None:
    """A library that ends the process does not end the caller."""
    with pytest.raises(PermanentError, match="exit status 3"):
        guard.call(os._exit, 3)


def test_life_goes_on_after_a_fault(guard: Guard) -> None:
    """The next call gets a new child."""
    with pytest.raises(PermanentError):
        guard.call(os.abort)

    assert 3 == guard.call(math.gcd, 3, 6)


def test_the_child_is_recycled() -> None:
    """What a decoder leaks, it leaks for so many calls only."""
    with Guard(recycle_after=2) as guard:
        pids = [guard.call(os.getpid) for _ in range(5)]

    assert [2, 2, 1] == [pids.count(pid) for pid in dict.fromkeys(pids)]


def test_no_child_is_left(guard: Guard) -> None:
    """Closing the guard ends its child."""
    pid = guard.call(os.getpid)

    guard.close()

    assert not psutil.pid_exists(pid)


def test_a_forgotten_guard_leaves_no_child() -> None:
    """Workers have no moment at which to close it; the child goes with the guard."""
    guard = Guard()
    pid = guard.call(os.getpid)

    del guard

    assert not psutil.pid_exists(pid)


def test_what_cannot_travel_is_refused(guard: Guard) -> None:
    """A function without an importable name is the programmer's error; the guard stays usable."""
    with pytest.raises(Exception, match=r"[Pp]ickle"):
        guard.call(lambda: 1)

    assert 1 == guard.call(int, "1")


def test_a_value_that_cannot_travel_is_an_error(guard: Guard) -> None:
    """An open file stays where it was opened."""
    with pytest.raises(TypeError, match="pickle"):
        guard.call(open, os.devnull, "rb")


def test_the_child_dies_with_its_parent() -> None:
    """Even when the parent is killed in the middle of a call that hangs."""
    code = (
        "import os, sys, time; from pfp.io.media import Guard\n"
        "guard = Guard(600); pid = guard.call(os.getpid)\n"
        "print(pid, flush=True); guard.call(time.sleep, 600)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert not psutil.pid_exists(child)


def test_limits_must_be_positive() -> None:
    """A guard that could never answer is refused when it is made."""
    with pytest.raises(ValueError, match="timeout 0 s"):
        Guard(timeout_seconds=0)


def test_a_missing_file_stays_the_users_error(guard: Guard, tmp_path: Path) -> None:
    """InputError passes through: it is not about the row's content."""
    with pytest.raises(InputError, match="there is no file"):
        guard.call(probe, tmp_path / "none.mp4")
