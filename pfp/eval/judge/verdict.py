"""Yes, no or neither, read strictly out of what a model said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from pfp.vlm.answer import parse_object_or_none


class Verdict(StrEnum):
    """What an answer says; what cannot be told is neither yes nor no."""

    YES = "yes"
    NO = "no"
    UNPARSEABLE = "unparseable"


FIELD: Final = "answer"
# What servers with structured output are held to.
VERDICT_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {FIELD: {"type": "string", "enum": [Verdict.YES.value, Verdict.NO.value]}},
    "required": [FIELD],
    "additionalProperties": False,
}
_FIRST_WORD: Final = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
# An option's letter: "A", "A.", "A)" or "(A)", alone or before the option's own word.
_LETTER: Final = re.compile(r"(?is)(?:([A-Z])[.)]?|\(([A-Z])\))(?:\s+(yes|no)\b.*)?")


def parse_verdict(text: str | None, options: Mapping[str, str] | None = None) -> Verdict:
    """The verdict in a model's text.

    Accepted are the JSON object ``{"answer": "yes" | "no"}``, a text whose first word is yes or
    no, and, where the question offered ``options`` (letter to "yes" or "no"), a text that is such
    a letter. A sentence that begins with the article "A" is no option, and a letter with the other
    option's word is no answer.
    """
    if text is None:
        return Verdict.UNPARSEABLE
    text = text.strip()
    if text.startswith("{"):
        parsed = parse_object_or_none(text)
        said = None if parsed is None else parsed.get(FIELD)
        return Verdict(said) if said in (Verdict.YES, Verdict.NO) else Verdict.UNPARSEABLE
    if word := _FIRST_WORD.match(text):
        return Verdict(word[1].lower())
    return _parse_letter(text, options or {})


def _parse_letter(text: str, options: Mapping[str, str]) -> Verdict:
    match = _LETTER.fullmatch(text)
    meant = None if match is None else options.get((match[1] or match[2]).upper())
    if match is None or meant is None:
        return Verdict.UNPARSEABLE
    if match[3] is not None and match[3].lower() != meant:
        return Verdict.UNPARSEABLE
    return Verdict(meant)
