"""Captions that say nothing: dots, N/A, a template's own words, the prompt's, in many languages."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

from pfp.caption.loops import tokens_of
from pfp.caption.word_files import lines_of

_NUMBER: Final = re.compile(r"\d+|(?<=shot )[a-z]\b")
_PLACEHOLDER: Final = re.compile(
    r"[<\[{(]{1,2}\s*(?:insert|your|add|enter|write|fill|caption|description|text|shot|placeholder"
    r"|todo|tbd)\b[^<>\[\]{}()\"':]{0,60}[>\]})]{1,2}"
    r"|(?:todo|tbd|fixme|placeholder)\b.{0,40}|lorem ipsum\b.*"
    r"|(?:https?|file|s3|gs)://\S+|\S+\.(?:mp4|mov|mkv|webm|avi|jpe?g|png|json|txt)"
    r"|(?:the |your |insert |add )?(?:caption|description|text) (?:goes |will go )?here",
    re.IGNORECASE,
)
_ECHO_WORDS: Final = 6  # so many of the prompt's words in a row are the prompt's


def says_nothing(text: str) -> bool:
    """Whether a caption has no letters, or only words that stand for a caption that is missing."""
    if not any(unicodedata.category(character)[0] == "L" for character in text):
        return True
    if _PLACEHOLDER.fullmatch(text.strip(" .")) is not None:
        return True
    words = " ".join(_bare(text.casefold()).split())
    numbered = _NUMBER.sub("#", words).replace("##", "#")
    return words in _nothing() or numbered in _nothing()


def _bare(text: str) -> str:
    """The text without punctuation, symbols and spaces around it."""
    inside = [k for k, one in enumerate(text) if unicodedata.category(one)[0] in "LMN"]
    return text[inside[0] : inside[-1] + 1] if inside else ""


def find_echo(text: str) -> str | None:
    """Words of a caption that were copied from the prompt, or None."""
    tokens = tokens_of(text)
    for start in range(len(tokens) - _ECHO_WORDS + 1):
        words = tuple(tokens[start : start + _ECHO_WORDS])
        if words in _prompt_words():
            return " ".join(words)
    return None


@cache
def _nothing() -> frozenset[str]:
    return frozenset(lines_of("nothing"))


@cache
def _prompt_words() -> frozenset[tuple[str, ...]]:
    """All runs of words in the prompts of this package, whichever a model was asked with."""
    found: set[tuple[str, ...]] = set()
    for prompt in files("pfp.caption").joinpath("prompts").iterdir():
        tokens = tokens_of(prompt.read_text("utf-8"))
        found |= {tuple(tokens[k : k + _ECHO_WORDS]) for k in range(len(tokens) - _ECHO_WORDS + 1)}
    return frozenset(found)
