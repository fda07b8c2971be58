"""Loops: what a model writes once it can no longer stop. In words, or in letters without spaces.

A phrase counts as a loop when it follows on itself often enough, when a sentence or a clause comes
back, or when a long caption has few different words. All passes are linear in the text's length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Final, NamedTuple

MAX_PERIOD: Final = 60  # words or letters of the longest phrase that is looked for
SENTENCE_COUNT: Final = 3  # the same sentence this often within a caption is a loop
CLAUSE_COUNT: Final = 4
MIN_DIVERSITY_WORDS: Final = (60, 0.25)  # a text this long has at least this share of new words
MIN_DIVERSITY_LETTERS: Final = (120, 0.12)
# Thai, Lao, Burmese, Khmer, kana, and Chinese characters: scripts that are written without spaces.
NO_SPACES: Final = (
    "\u0e01-\u0e4e\u0e80-\u0eff\u1000-\u109f\u1780-\u17d3"
    "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
)
_TOKEN: Final = re.compile(rf"[{NO_SPACES}]|[^\W{NO_SPACES}]+")
_LETTER: Final = re.compile(rf"[{NO_SPACES}]")
_SENTENCE_END: Final = re.compile(r"[.!?;\n\u3002\uff01\uff1f\uff1b\u0964\u06d4\u061f]+")
_CLAUSE_END: Final = re.compile(r"[.!?;,:\n\u3001\u3002\uff0c\uff01\uff1f\uff1b\u0964\u060c]+")
_SAME_LETTERS: Final = re.compile(r"(\S)\1{19,}")
_SAME_PIECE: Final = re.compile(r"(.{4,60}?)\1{5,}", re.DOTALL)


class Loop(NamedTuple):
    """A phrase, how often it comes, and how often is too often."""

    phrase: str
    times: float
    limit: float


def tokens_of(text: str) -> list[str]:
    """Words without regard to case; in scripts without spaces, letters."""
    return _TOKEN.findall(text.casefold())


def find_loop(text: str) -> Loop | None:
    """The first loop of words (or letters, in scripts without spaces) in a text."""
    tokens = tokens_of(text)
    numbered = ["0" if token.isdecimal() else token for token in tokens]
    return (
        _repeated_phrase(tokens)
        or _repeated_part(text, _SENTENCE_END, SENTENCE_COUNT, min_size=2)
        or _repeated_part(text, _CLAUSE_END, CLAUSE_COUNT, min_size=3)
        or _counted_phrase(numbered)
        or _few_words(numbered)
    )


def find_letter_loop(text: str) -> Loop | None:
    """A run of one letter, or a piece of text that follows on itself, in whatever script."""
    if match := _SAME_LETTERS.search(text):
        return Loop(match[1], len(match[0]), 20)
    # Six pieces of p letters have 6 p - 3 runs of four letters, and p of them differ: 17 of four do
    # not, and more of longer ones.
    num_runs = len(text) - 3
    if num_runs - len({text[k : k + 4] for k in range(num_runs)}) < 17:
        return None
    if match := _SAME_PIECE.search(text):
        return Loop(match[1].strip(), len(match[0]) // len(match[1]), 6)
    return None


def runs(items: Sequence[Hashable], max_period: int) -> Iterator[tuple[int, int, float]]:
    """``(start, period, count)`` for the longest run of each period that comes twice or more.

    A run are items that follow on themselves: the first ``period`` of them, ``count`` times, which
    is no whole number where the last time is not complete.
    """
    for period in range(1, min(max_period, len(items) // 2) + 1):
        best = start = length = 0
        for k in range(len(items) - period):
            length = length + 1 if items[k] == items[k + period] else 0
            if length > best:
                best, start = length, k - length + 1
        if best >= period:
            yield start, period, (best + period) / period


def _limit(phrase: Sequence[str]) -> float:
    """How often a phrase may not follow on itself: short ones may oftener than long ones."""
    size = len(phrase)
    if _are_letters(phrase):
        return {1: 8, 2: 6, 3: 4, 4: 4, 5: 4}.get(size, 3)
    return {1: 5, 2: 5, 3: 4, 4: 3}.get(size, 2.6)


def _repeated_phrase(tokens: Sequence[str]) -> Loop | None:
    for start, period, count in runs(tokens, MAX_PERIOD):
        phrase = tokens[start : start + period]
        if count >= (limit := _limit(phrase)):
            return Loop(" ".join(phrase), count, limit)
    return None


def _counted_phrase(numbered: Sequence[str]) -> Loop | None:
    """A phrase that comes back with other numbers in it ("1. A man walks 2. A man walks")."""
    for start, period, count in runs(numbered, MAX_PERIOD):
        phrase = numbered[start : start + period]
        if sum(1 for word in phrase if word != "0") < 2:
            continue
        if count >= (limit := _limit(phrase)):
            return Loop(" ".join(phrase), count, limit)
    return None


def _repeated_part(text: str, ends: re.Pattern[str], limit: int, *, min_size: int) -> Loop | None:
    parts = Counter(tuple(tokens_of(part)) for part in ends.split(text))
    for part, count in parts.items():
        size = len(part) / (2 if _are_letters(part) else 1)  # a word of Chinese has two letters
        if count >= limit and size >= min_size:
            return Loop(" ".join(part), count, limit)
    return None


def _are_letters(tokens: Sequence[str]) -> bool:
    return all(_LETTER.fullmatch(token) for token in tokens)


def _few_words(tokens: Sequence[str]) -> Loop | None:
    letters = sum(1 for token in tokens if _LETTER.fullmatch(token))
    size, share = MIN_DIVERSITY_LETTERS if 2 * letters > len(tokens) else MIN_DIVERSITY_WORDS
    counts = Counter(tokens)
    if len(tokens) < size or len(counts) >= share * len(tokens):
        return None
    word, count = counts.most_common(1)[0]
    return Loop(word, count, round(share * len(tokens)))
