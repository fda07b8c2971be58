"""Texts from outside as they can be stored and shown: of valid code points, and not too long."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

from pfp.limits import MAX_LISTED, MAX_MESSAGE_LENGTH, MAX_QUOTED_LENGTH

_GAP = " ... (of {} characters) ... "


def storable(text: str) -> str:
    r"""The text with half surrogate pairs, for which UTF-8 has no bytes, written as ``\ud83d``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def shortened(text: str, max_length: int = MAX_MESSAGE_LENGTH) -> str:
    """The storable text, or its beginning and its end around a word on how long it was.

    A message's end is kept because it names the cure.
    """
    if len(text) > max_length:
        begin, gap = max_length * 3 // 4, _GAP.format(len(text))
        text = text[:begin] + gap + text[begin + len(gap) - max_length :]
    return storable(text)


def quoted(value: object) -> str:
    """``repr`` of a value for a message: short whatever the value, and quick for a large one."""
    return storable(_QUOTE.repr(value))


def listed(names: Iterable[str]) -> str:
    """Quoted names one after the other, the first few of many."""
    known = list(names)
    shown = ", ".join(quoted(name) for name in known[:MAX_LISTED])
    return f"{shown} and {len(known) - MAX_LISTED} more" if len(known) > MAX_LISTED else shown


def _quote() -> reprlib.Repr:
    quote = reprlib.Repr()
    quote.maxstring = quote.maxother = quote.maxlong = MAX_QUOTED_LENGTH
    quote.maxlevel = 3
    return quote


_QUOTE = _quote()
