"""What a model says about a video, and what it took to say it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pfp.io.json_text import has_half_pairs, parse_json
from pfp.limits import MAX_ANSWER_LENGTH, MAX_NOTES
from pfp.redaction import safe_message
from pfp.texts import shortened

# What people read of an answer, beside what it says.
_SHORT_TEXTS: Final = ("model", "model_version", "finish_reason", "problem")


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
    """One answer to one request.

    Token counts are None where the server (or a backend without tokens) gives none; ``tokens_in``
    counts the whole prompt, video and audio included, and thinking (``tokens_thought``) is not in
    ``tokens_out``.
    ``finish_reason`` is the server's own word, and ``problem`` a sentence for people when
    ``finish`` is not ``ANSWERED``. ``attempts`` counts the requests that were sent.
    ``sampling`` is JSON of how the video was looked at. ``cached`` is true when the answer was
    given earlier and nobody was asked now. Whatever the server sent, the texts can be stored.
    """

    backend: str
    model: str | None
    model_version: str | None = None
    finish: Finish = Finish.ANSWERED
    finish_reason: str | None = None
    problem: str | None = None
    raw_text: str | None = None
    tokens_in: int | None = None
    tokens_video: int | None = None
    tokens_audio: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    cost_usd: float | None = None
    attempts: int = 1
    sampling: str | None = None
    notes: tuple[str, ...] = ()
    cached: bool = False

    def __post_init__(self) -> None:
        """Texts of valid code points; those that people read are short."""
        for name in _SHORT_TEXTS:
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, safe_message(str(text)))
        if self.raw_text is not None:
            object.__setattr__(self, "raw_text", shortened(self.raw_text, MAX_ANSWER_LENGTH))
        notes = tuple(safe_message(note) for note in self.notes[:MAX_NOTES])
        object.__setattr__(self, "notes", notes)

    @property
    def parsed(self) -> dict[str, Any] | None:
        """The JSON object in ``raw_text``, None when there is none."""
        return parse_object_or_none(self.raw_text)


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object in ``text``, strictly: no NaN, no infinity, no key twice, no half emoji.

    Raises ValueError with what is wrong with the text.
    """
    value = parse_json(text, max_length=MAX_ANSWER_LENGTH)
    if not isinstance(value, dict):
        message = f"it is a {type(value).__name__}, not an object"
        raise ValueError(message)  # noqa: TRY004 - the text is wrong, not the caller
    if has_half_pairs(value):
        message = "a text in it holds half a surrogate pair, which no file can store"
        raise ValueError(message)
    return value


def parse_object_or_none(text: str | None) -> dict[str, Any] | None:
    """The JSON object in ``text``, or None when it holds no such thing."""
    if text is None:
        return None
    try:
        return parse_object(text)
    except ValueError:
        return None
