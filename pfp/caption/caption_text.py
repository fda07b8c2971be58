"""One caption's words: what is repaired, what is wrong with them, and what is only noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from pfp.caption import markup
from pfp.caption.encoding import drop_invisible, encoding_fault, repair_encoding
from pfp.caption.endings import cut_off_word, open_end
from pfp.caption.loops import Loop, find_letter_loop, find_loop
from pfp.caption.nothing import find_echo, says_nothing
from pfp.caption.refusals import find_refusal
from pfp.caption.times import drop_time_in_front, find_time

MAX_LOOKED_AT: Final = 8000  # characters: what is longer is rejected for that, or for a loop
MAX_ROUNDS: Final = 6  # of repairs, each of which may uncover something for another
BOILERPLATE: Final = re.compile(
    r"(in (the|this) (video|clip|shot|scene|footage)( clip)?,( we( can)? see)?"
    r"|(the|this) (video|clip|shot|scene|footage)( clip)?"
    r" (shows|depicts|features|captures|presents|begins with|opens with|starts with)( us)?)"
    r" (?=\S)",
    re.IGNORECASE,
)

Repairs: TypeAlias = tuple[tuple[str, Callable[[str], str]], ...]

DECODING: Final = ("read text that was UTF-8 as UTF-8", repair_encoding)
# What each repair is called in ``repair_ops``, in the order in which they are tried.
REPAIRS: Final[Repairs] = (
    ("took off reasoning", markup.drop_reasoning),
    ("took off a chat's tokens", markup.drop_chat_tokens),
    ("took the caption out of JSON", markup.unpack),
    ("read escaped characters", markup.unescape),
    ("took off tags", markup.drop_answer_tags),
    ("removed characters that cannot be seen", drop_invisible),
    ("took off Markdown", markup.drop_emphasis),
    ("removed words around the caption", markup.drop_preface),
    ("took off quotes", markup.unquote),
    ("removed a time in front", drop_time_in_front),
)
# Halves of characters cannot be stored, however long a caption may be.
REPAIRS_OF_LONG_TEXT: Final[Repairs] = (("removed characters that cannot be seen", drop_invisible),)


class Fault(NamedTuple):
    """The rule that a caption breaks, what is wrong in words that follow its name, numbers."""

    rule: str
    what: str
    score: float | None = None
    threshold: float | None = None


def clean_caption(text: str) -> tuple[str, list[str]]:
    """The caption on one line and with nothing around it, and what was done for that.

    Cleaning what is clean changes nothing.
    """
    done = ["tidied white space"] if " ".join(text.split()) != text else []
    cleaned = text
    for _ in range(MAX_ROUNDS):
        before = cleaned
        # First, because a no-break space may be half of a letter.
        cleaned = _repaired(cleaned, (DECODING,), done)
        # Runs of white space would make the patterns slow; ends of lines tell code fences.
        lines = (" ".join(line.split()) for line in cleaned.split("\n"))
        cleaned = "\n".join(line for line in lines if line)
        repairs = REPAIRS if len(cleaned) <= MAX_LOOKED_AT else REPAIRS_OF_LONG_TEXT
        cleaned = _repaired(cleaned, repairs, done)
        cleaned = _without_boilerplate(" ".join(cleaned.split()), done)
        if cleaned == before:
            break
    return cleaned, done


def _repaired(text: str, repairs: Repairs, done: list[str]) -> str:
    for name, repair in repairs:
        repaired = repair(text)
        if repaired != text and name not in done:
            done.append(name)
        text = repaired
    return text


def _without_boilerplate(text: str, done: list[str]) -> str:
    for _ in range(MAX_ROUNDS):
        start = BOILERPLATE.match(text)
        if start is None:
            break
        done.append(f"removed {start[0].strip()!r} in front")
        text = text[start.end() :]
        text = text[0].upper() + text[1:]
    return text


def caption_fault(text: str, *, duration_seconds: float, max_length: int) -> Fault | None:
    """What is wrong with a cleaned caption of a clip of this length; the first of all rules."""
    if not text:
        return Fault("caption_empty", "is empty")
    start = text[:MAX_LOOKED_AT]
    if says_nothing(start):
        return Fault("caption_empty", f"says nothing: {start[:80]!r}")
    if find_refusal(start) is not None:
        return Fault("caption_refusal", f"is a refusal: {start[:80]!r}")
    if (found := markup.markup_fault(start)) is not None:
        return Fault("caption_markup", f"has {found} in it; leave only words")
    if (loop := find_loop(start)) is not None:
        return _loop_fault(loop)
    if len(text) > max_length:
        return Fault("caption_too_long", f"has {len(text)} characters", len(text), max_length)
    return _fault_of_letters(start, duration_seconds)


def _fault_of_letters(text: str, duration_seconds: float) -> Fault | None:
    """What is left when a caption is none of the things that a whole text may be."""
    if (loop := find_letter_loop(text)) is not None:
        return _loop_fault(loop)
    if (echo := find_echo(text)) is not None:
        return Fault("caption_empty", f"repeats the prompt: {echo!r}")
    if (found := find_time(text, duration_seconds)) is not None:
        return Fault("caption_times", f"tells a time ({found!r}); shots have times, captions none")
    if (found := encoding_fault(text)) is not None:
        return Fault("caption_mojibake", f"was read in a wrong encoding: {found}")
    if (word := cut_off_word(text)) is not None:
        return Fault("caption_cut_off", f"stops in the middle of a sentence, after {word!r}")
    return None


def _loop_fault(loop: Loop) -> Fault:
    what = f"says the same {loop.times:.3g} times ({loop.phrase[:40]!r}); {loop.limit:g} is a loop"
    return Fault("caption_loop", what, loop.times, loop.limit)


def caption_notice(text: str) -> str | None:
    """What a person should look at in a caption that is kept, or None."""
    found = open_end(text)
    return None if found is None else f"may be cut off: {found}"
