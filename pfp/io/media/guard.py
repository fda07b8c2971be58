"""Guard: call a function in a child process that can be killed when it hangs, grows or crashes.

Decoders of untrusted video do all three, and no exception handler in the same process can help.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar

from pfp.errors import PermanentError, RetryableError
from pfp.io.media._guard_child import receive_message, send_message

P = ParamSpec("P")
R = TypeVar("R")

_POLL_SECONDS: Final = 0.05
_EXIT_SECONDS: Final = 2.0
# Of one CPU. The thread of a child that looks after its parent takes 0.002 while all else sleeps.
IDLE_SHARE: Final = 0.005
_BOOTSTRAP: Final = (
    "import sys; sys.path[:] = sys.argv[3:];"
    "from pfp.io.media._guard_child import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
)


class Guard:
    """Calls functions in a child process, a new one after a fault or ``recycle_after`` calls.

    Use it as a context manager, from one thread. The child is a fresh interpreter (no fork, no
    inherited locks, no Ray); functions and arguments travel by pickle, so functions must live in
    an importable module. It ends with its parent, even when that is killed.
    """

    def __init__(
        self,
        timeout_seconds: float = 120.0,
        memory_bytes: int = 2 << 30,
        recycle_after: int = 100,
        idle_seconds: float = math.inf,
    ) -> None:
        """``timeout_seconds`` per call on the wall clock; ``memory_bytes`` for the whole child.

        A call in which the child takes hardly any CPU time (``IDLE_SHARE``) for ``idle_seconds`` is
        given up, too (Linux): what long videos may take is far more than one that stands still
        should.
        Time in which the child is ready to run but other processes hold the CPUs does not count
        (Linux): a busy machine must not turn good videos into failures.
        """
        if min(timeout_seconds, memory_bytes, recycle_after, idle_seconds) <= 0:
            message = (
                f"timeout {timeout_seconds} s, idle for {idle_seconds} s, memory {memory_bytes} "
                f"bytes, recycling after {recycle_after} calls: give positive numbers"
            )
            raise ValueError(message)
        self._timeout_seconds = timeout_seconds
        self._idle_seconds = idle_seconds
        self._memory_bytes = memory_bytes
        self._recycle_after = recycle_after
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._end: weakref.finalize[..., Guard] | None = None
        self._num_calls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """The process id of the child; None before the first call and after a fault."""
        return None if self._child is None else self._child.pid

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's value, computed in the child.

        An exception of the function is raised here again, as itself when it can be pickled. Raises
        ``PermanentError`` when the call takes too long, needs too much memory or crashes its
        process, and ``RetryableError`` when it stands still or something else killed the child.
        """
        return self.call_within(self._timeout_seconds, function, *args, **kwargs)

    def call_within(
        self,
        timeout_seconds: float,
        function: Callable[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """``call`` with a limit on the wall clock of its own.

        What a used child has no memory for is tried once more in a new one: memory that earlier
        calls left behind is not this call's need.
        """
        was_used = self._child is not None and self._num_calls > 0
        self._ran_out = False
        try:
            return self._call_once(timeout_seconds, function, *args, **kwargs)
        except PermanentError:
            if not (was_used and self._ran_out):
                raise
        return self._call_once(timeout_seconds, function, *args, **kwargs)

    def _call_once(
        self,
        timeout_seconds: float,
        function: Callable[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        connection = self._connect()
        self._num_calls += 1
        try:
            send_message(connection, (function, args, kwargs))
            self._wait(connection, timeout_seconds)
            value, failure = receive_message(connection)
        except (EOFError, ConnectionError) as error:
            raise self._died() from error
        except BaseException:
            self._kill()
            raise
        if self._num_calls >= self._recycle_after:
            self.close()
        if failure is not None:
            raise self._failed(*failure)
        return value  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the child; a later call starts a new one. A guard that is forgotten does it too."""
        if self._end is not None:
            self._end()
        self._child = self._connection = self._end = None

    def _connect(self) -> socket.socket:
        if self._connection is not None:
            return self._connection
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), str(os.getpid())]
            self._child = subprocess.Popen(
                [*command, *sys.path], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._connection = ours
        self._end = weakref.finalize(self, _end_child, self._child, ours)
        self._num_calls = 0
        send_message(ours, self._memory_bytes)
        return ours

    def _wait(self, connection: socket.socket, timeout_seconds: float) -> None:
        """Return when the answer begins to arrive; kill the child when it may not go on."""
        started = since = time.monotonic() - self._queued_seconds()
        cpu_seconds = self._cpu_seconds()  # of the child, at ``since``
        while not select.select([connection], [], [], _POLL_SECONDS)[0]:
            now = time.monotonic() - self._queued_seconds()
            used_seconds = self._cpu_seconds() - cpu_seconds
            if not used_seconds < IDLE_SHARE * self._idle_seconds:  # so also where it is unknown
                since, cpu_seconds = now, cpu_seconds + used_seconds
            if now - since > self._idle_seconds:
                message = (
                    f"decode stood still for {self._idle_seconds:g} s and was killed; its store "
                    "may not have answered or the file be damaged: run again"
                )
                raise RetryableError(message)
            if now - started > timeout_seconds:
                message = (
                    f"decode took longer than {timeout_seconds:g} s and was killed; the file "
                    "may be damaged, else raise the timeout"
                )
                raise PermanentError(message)
            if self._resident_bytes() > self._memory_bytes:
                raise self._too_large()

    def _queued_seconds(self) -> float:
        """How long the child has waited for a CPU; 0 where the system does not tell."""
        try:
            # Nanoseconds on a CPU, nanoseconds ready but waiting for one, number of time slices.
            statistics = Path(f"/proc/{self.child_pid}/schedstat").read_bytes().split()
            return int(statistics[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def _cpu_seconds(self) -> float:
        """The CPU time of all of the child's threads; nan where nobody tells."""
        try:
            after_name = Path(f"/proc/{self.child_pid}/stat").read_bytes().rpartition(b")")[2]
        except OSError:
            return math.nan
        return sum(map(int, after_name.split()[11:13])) / os.sysconf("SC_CLK_TCK")  # utime, stime

    def _resident_bytes(self) -> int:
        """The child's resident memory; 0 where the system has no /proc."""
        try:
            pages = int(Path(f"/proc/{self.child_pid}/statm").read_bytes().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _too_large(self) -> PermanentError:
        self._ran_out = True
        limit = f"{self._memory_bytes / (1 << 20):.0f} MiB"
        message = f"decode needed more than {limit} of memory and was stopped; raise the limit"
        return PermanentError(message)

    def _failed(self, error: Exception | None, name: str, text: str) -> Exception:
        # FFmpeg's ENOMEM arrives as PyAV's own class, which is an OSError named MemoryError.
        if name == "MemoryError" or isinstance(error, MemoryError):
            self._kill()
            return self._too_large()
        return error if error is not None else PermanentError(f"{name}: {text}")

    def _died(self) -> PermanentError | RetryableError:
        assert self._child is not None
        try:
            status = self._child.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            status = 0
        self._kill()
        if status in {-signal.SIGKILL, -signal.SIGTERM}:
            message = f"decoder was killed from outside (signal {-status}); run again"
            return RetryableError(message)
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return PermanentError(f"decoder crashed ({how}); the file is damaged or hostile")

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
        self.close()


def _end_child(child: subprocess.Popen[bytes], connection: socket.socket) -> None:
    """Let the child leave by itself, kill it if it does not, and wait until it is gone."""
    connection.close()
    try:
        child.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
