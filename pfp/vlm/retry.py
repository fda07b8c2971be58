"""Sending a request again: when the server was busy, and when it answered with no text.

tenacity counts, waits and gives up; how long to wait is what the server asked for, if it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

import tenacity

from pfp.errors import ConfigError, RowError
from pfp.vlm.answer import Answer, Finish

Result = TypeVar("Result")
MAX_WAIT_SECONDS: Final = 60.0
MAX_EMPTY: Final = 3  # answers with no text that are paid for within one request
COUNTS: Final = ("tokens_in", "tokens_video", "tokens_audio", "tokens_out", "tokens_thought")


class TransientError(Exception):
    """An attempt failed in a way that may pass within seconds."""

    def __init__(self, error: RowError, *, after_seconds: float | None = None) -> None:
        """error: what to raise after the last attempt. after_seconds: what the server asks for."""
        super().__init__(str(error))
        self.error = error
        self.after_seconds = after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a request is sent at most, and how long is waited between two attempts.

    That is as long as the server asked for, else ``retry_seconds``, doubling, and up to as much
    again at random; never more than a minute.
    """

    max_attempts: int = 5
    retry_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a policy that would ask nothing."""
        if self.max_attempts < 1:
            raise ConfigError(f"max_attempts is {self.max_attempts}; allow at least 1")

    def call(self, attempt: Callable[[], Result]) -> Result:
        """What ``attempt()`` returns, tried again while it raises ``TransientError``.

        Raises the error in the last one when no attempt is left.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(self.max_attempts),
            wait=self._wait_seconds,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TransientError as last:
            raise last.error from last.__cause__

    def call_until_text(self, ask: Callable[[], Answer]) -> Answer:
        """What ``ask()`` returns, asked again (twice at most) while it is an answer with no text.

        Servers end an answer early, or with STOP, before its first word, and answer well the next
        time. Requests, tokens and cost of those answers are counted in the one that is returned.
        """
        answers: list[Answer] = []

        def ask_and_keep() -> Answer:
            answers.append(ask())
            return answers[-1]

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(is_empty),
            stop=tenacity.stop_after_attempt(min(MAX_EMPTY, self.max_attempts)),
            wait=self._wait_seconds,
            retry_error_callback=lambda _: None,
        )
        retrying(ask_and_keep)
        return answers[0] if len(answers) == 1 else _with_cost_of_all(answers)

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        outcome = state.outcome
        error = outcome.exception() if outcome is not None and outcome.failed else None
        asked = error.after_seconds if isinstance(error, TransientError) else None
        if asked is None:
            doubling = tenacity.wait_exponential(multiplier=self.retry_seconds)(state)
            asked = doubling + tenacity.wait_random(0, doubling)(state)
        return min(asked, MAX_WAIT_SECONDS)


RETRY_DEFAULTS: Final[Mapping[str, Any]] = {
    field.name: field.default for field in fields(RetryPolicy)
}


def is_empty(answer: Answer) -> bool:
    """Whether an answer stopped, for no reason that will hold, before it had any text."""
    return answer.finish is Finish.UNFINISHED and not (answer.raw_text or "").strip()


def _with_cost_of_all(answers: Sequence[Answer]) -> Answer:
    """The last answer, with the sums of all; a sum with an unknown part is unknown."""
    last = answers[-1]
    sums: dict[str, Any] = {}
    for name in (*COUNTS, "cost_usd"):
        counts = [getattr(answer, name) for answer in answers]
        sums[name] = None if None in counts else sum(counts)
    note = f"{len(answers) - 1} earlier with no text; asked again"
    return replace(
        last,
        attempts=sum(answer.attempts for answer in answers),
        notes=(*last.notes, note),
        **sums,
    )
