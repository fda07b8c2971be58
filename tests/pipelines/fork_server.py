"""A command in forks of a process that has imported it: quick to start, and to kill.

    python -m tests.pipelines.fork_server MODULE [MODULE ...]

What takes seconds to import is imported once: the module whose ``main`` is run, and others. A line
on stdin is a JSON list of arguments; the answers are the fork's process id and, when it has ended,
its status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from pfp.models.vae import load_vae

REPO = Path(__file__).resolve().parents[2]
SECONDS_TO_WAIT = 240


class ForkServer:
    """The tests' side of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, argv: Sequence[str]) -> None:
        """A run to its end, which is a good one."""
        self._start(argv)
        assert 0 == self._answer()

    def run_and_kill(
        self, argv: Sequence[str], *, when: Callable[[], bool] = lambda: True, seconds: float = 0.0
    ) -> None:
        """SIGKILL to a run so many seconds after ``when`` has become true."""
        pid = self._start(argv)
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while not when() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        assert signal.SIGKILL == self._answer()

    def _start(self, argv: Sequence[str]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(argv) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def fork_server(*modules: str) -> Iterator[ForkServer]:
    """One for the first module's ``main``, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.pipelines.fork_server", *modules],
        cwd=REPO,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        yield ForkServer(process)
        assert process.stdin is not None
        process.stdin.close()


def serve(modules: Sequence[str]) -> None:
    """Runs the first module's ``main`` for one line after the other until stdin ends."""
    first, *_ = [import_module(module) for module in modules]
    load_vae("tiny")
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os.close(0)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(first.main(json.loads(line)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1:])
