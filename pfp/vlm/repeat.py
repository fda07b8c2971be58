"""Asking a server again: when it was busy, and when it answered without a word."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pfp.errors import ConfigError, RowError
from pfp.vlm.answer import Answer, Finish

Result = TypeVar("Result")
MAX_PAUSE_SECONDS: Final = 60.0
MAX_SILENT: Final = 3  # answers without a word that are paid for within one question
COUNTS: Final = ("tokens_in", "tokens_video", "tokens_audio", "tokens_out", "tokens_thought")


class Busy(Exception):  # noqa: N818 - an outcome of one attempt; its error is what the caller sees
    """An attempt failed in a way that may pass within seconds."""

    def __init__(self, error: RowError, *, after_seconds: float | None = None) -> None:
        """error: what to raise after the last attempt. after_seconds: what the server asks for."""
        super().__init__(str(error))
        self.error = error
        self.after_seconds = after_seconds


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
            asked = busy.after_seconds
            time.sleep(_backoff(number, pause_seconds) if asked is None else _bounded(asked))
    try:
        return attempt(max_attempts)
    except Busy as busy:
        raise busy.error from busy.__cause__


def repeat_while_silent(
    ask: Callable[[], Answer], *, max_attempts: int, pause_seconds: float
) -> Answer:
    """What ``ask`` returns, asked again (twice at most) while it is an answer without a word.

    Servers end an answer early, or with STOP, before its first word, and answer well the next time.
    Requests, tokens and cost of those answers are counted in the one that is returned.
    """
    answers = [ask()]
    while is_silent(answers[-1]) and len(answers) < min(MAX_SILENT, max_attempts):
        time.sleep(_backoff(len(answers), pause_seconds))
        answers.append(ask())
    return answers[0] if len(answers) == 1 else _with_cost_of_all(answers)


def is_silent(answer: Answer) -> bool:
    """Whether an answer stopped, for no reason that will hold, before it had said anything."""
    return answer.finish is Finish.UNFINISHED and not (answer.raw_text or "").strip()


def _with_cost_of_all(answers: Sequence[Answer]) -> Answer:
    """The last answer, with the sums of all; a sum with an unknown part is unknown."""
    last = answers[-1]
    sums: dict[str, Any] = {}
    for name in (*COUNTS, "cost_usd"):
        counts = [getattr(answer, name) for answer in answers]
        sums[name] = None if None in counts else sum(counts)
    note = f"{len(answers) - 1} earlier without a word; asked again"
    return replace(
        last,
        attempts=sum(answer.attempts for answer in answers),
        notes=(*last.notes, note),
        **sums,
    )


def _backoff(number: int, pause_seconds: float) -> float:
    jitter = random.uniform(1.0, 2.0)  # noqa: S311 - keeps workers apart, guards nothing
    return _bounded(pause_seconds * 2 ** (number - 1) * jitter)


def _bounded(seconds: float) -> float:
    return min(seconds, MAX_PAUSE_SECONDS)
