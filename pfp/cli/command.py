"""How every command ends, and what it prints on the way: no traceback, no secret, no escape."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ParamSpec

from pfp.errors import InvariantError, PfpError
from pfp.redaction import printable, redact

CLOSED_PIPE_STATUS = 141  # what a shell reports for a process that SIGPIPE ended
GOES_ON = "stopped; the same command goes on from here"
SIGNAL_STATUS = 128  # and, with the signal's number added, for one that another signal ended

P = ParamSpec("P")


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came. What ends well after Ctrl-C ends as well after those."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_status(name: str, run: Callable[[], int | None], *, stopped: str = "stopped") -> int:
    """What ``run`` returns, None being 0; or the status of how it ended, said in one sentence.

    Errors of pfp have their own status. Ctrl-C, SIGTERM and SIGHUP end with ``stopped`` and the
    status that a shell reports for them. Any other exception is a fault of pfp's and ends with a
    traceback and the status of ``InvariantError``.
    """
    try:
        with _signals_raised():
            return run() or 0
    except PfpError as error:
        say(f"{name}: {error}")
        return error.exit_status
    except Terminated as signalled:
        say(f"{name}: {stopped} ({signal.Signals(signalled.number).name})")
        return SIGNAL_STATUS + signalled.number
    except KeyboardInterrupt:
        say(f"{name}: {stopped}")
        return SIGNAL_STATUS + signal.SIGINT
    except BrokenPipeError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it is told without secrets
        say(f"{traceback.format_exc()}{name}: this is a fault of pfp's, please report it")
        return InvariantError.exit_status


def say(text: str) -> None:
    """Print a line on standard error, as everything that is not a command's output."""
    print(printable(redact(text)), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _signals_raised() -> Iterator[None]:
    """Raises ``Terminated`` where the block stands when SIGTERM or SIGHUP comes, once.

    A second signal ends the process at once. Signals that are ignored (``nohup``) stay so, and
    outside the main thread Python allows no handlers.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGHUP) if is_main else ()
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, handler)


def prints_safely(main: Callable[P, int]) -> Callable[P, int]:
    """Wraps a ``main`` so that its output is fit for a terminal and may be left unread.

    A closed pipe ends it without a word, as in ``pfp why ... | head``. What it prints of names and
    texts from outside cannot steer a terminal and holds no secret.
    """

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        stdout = sys.stdout
        try:
            try:
                with contextlib.redirect_stdout(_SafeOutput(stdout)):
                    return main(*args, **kwargs)
            finally:
                stdout.flush()  # here, where a closed pipe can still be caught
        except BrokenPipeError:
            # Python flushes once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
            return CLOSED_PIPE_STATUS

    return wrapped


class _SafeOutput:
    """A stream that passes on what is written to it, redacted and printable."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text; the number of its characters."""
        self._stream.write(printable(redact(text)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
