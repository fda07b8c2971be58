"""Asking a server again when it was busy: exponential backoff with jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from pfp.errors import ConfigError, RowError

Result = TypeVar("Result")
MAX_PAUSE_SECONDS: Final = 60.0


class Busy(Exception):  # noqa: N818 - an outcome of one attempt; its error is what the caller sees
    """An attempt failed in a way that may pass within seconds."""

    def __init__(self, error: RowError, *, after: str | None = None) -> None:
        """error: what to raise after the last attempt. after: the server's Retry-After header."""
        super().__init__(str(error))
        self.error = error
        self.after_seconds = float(after) if after is not None and after.isdecimal() else None


def repeat(attempt: Callable[[int], Result], *, max_attempts: int, pause_seconds: float) -> Result:
    """What ``attempt(number)`` returns, tried again while it raises ``Busy``.

    Between attempts lies as long as the server asked for, else ``pause_seconds``, doubling, and
    up to as much again at random; never more than a minute.
    """
    if max_attempts < 1:
        raise ConfigError(f"max_attempts is {max_attempts}; allow at least 1")
    for number in range(1, max_attempts):
        try:
            return attempt(number)
        except Busy as busy:
            jitter = random.uniform(1.0, 2.0)  # noqa: S311 - keeps workers apart, guards nothing
            backoff_seconds = pause_seconds * 2 ** (number - 1) * jitter
            wanted = backoff_seconds if busy.after_seconds is None else busy.after_seconds
            time.sleep(min(wanted, MAX_PAUSE_SECONDS))
    try:
        return attempt(max_attempts)
    except Busy as busy:
        raise busy.error from busy.__cause__
