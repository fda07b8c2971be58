"""What a command does when nobody reads its output any more, as in ``pfp why ... | head``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

CLOSED_PIPE_STATUS = 141  # what a shell reports for a process that SIGPIPE ended

P = ParamSpec("P")


def quiet_when_unread(main: Callable[P, int]) -> Callable[P, int]:
    """Wraps a ``main`` so that a closed pipe ends it without a word."""

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            try:
                return main(*args, **kwargs)
            finally:
                sys.stdout.flush()  # here, where a closed pipe can still be caught
        except BrokenPipeError:
            # Python flushes once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return CLOSED_PIPE_STATUS

    return wrapped
