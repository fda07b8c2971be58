"""What a backend says about a video, and what it took to say it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn


class Finish(StrEnum):
    """How an answer came to its end. Only ``ANSWERED`` carries an answer to be used."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"  # the output limit cut it off
    BLOCKED = "blocked"  # the server refuses to speak about this video; asking again is no use
    UNFINISHED = "unfinished"  # it stopped for another reason; trying again may help
    UNSEEN = "unseen"  # the model answered without having been shown the video
    ABSENT = "absent"  # the backend has nothing for this video (no storyboard file beside it)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One backend's answer to one ``VideoQuestion``.

    ``parsed`` is the JSON object in ``raw_text``, None when there is none. Token counts are None
    where the server (or a backend without tokens) gives none; ``tokens_in`` counts the whole
    prompt, video and audio included, and thinking (``tokens_thought``) is not in ``tokens_out``.
    ``finish_reason`` is the server's own word, and ``problem`` a sentence for people when
    ``finish`` is not ``ANSWERED``. ``attempts`` counts the requests that were sent.
    ``sampling`` is JSON of how the video was looked at.
    """

    backend: str
    model: str | None
    model_version: str | None = None
    finish: Finish = Finish.ANSWERED
    finish_reason: str | None = None
    problem: str | None = None
    raw_text: str | None = None
    parsed: dict[str, Any] | None = None
    tokens_in: int | None = None
    tokens_video: int | None = None
    tokens_audio: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    cost_usd: float | None = None
    attempts: int = 1
    sampling: str | None = None
    notes: tuple[str, ...] = ()


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object in ``text``, strictly: no NaN, no infinity, no key twice.

    Raises ValueError with what is wrong with the text.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys
        )
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error
    if not isinstance(value, dict):
        message = f"it is a {type(value).__name__}, not an object"
        raise ValueError(message)  # noqa: TRY004 - the text is wrong, not the caller
    return value


def parse_object_or_none(text: str | None) -> dict[str, Any] | None:
    """The JSON object in ``text``, or None when it holds no such thing."""
    if text is None:
        return None
    try:
        return parse_object(text)
    except ValueError:
        return None


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        message = f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice"
        raise ValueError(message)
    return result
