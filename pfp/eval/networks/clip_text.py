"""Texts as CLIP's byte-pair tokens, cut to ViCLIP's context or laid out over several.

The vocabulary and the merging are open_clip's, which ships the file that CLIP was trained with. Its
marks for a text's start and end are written otherwise than CLIP's, which VBench reads by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from pfp.errors import ConfigError

CONTEXT_LENGTH: Final = 32  # with the tokens for start and end
MAX_TOKENS: Final = CONTEXT_LENGTH - 2
START: Final = 49406
END: Final = 49407
MARKS: Final = {"<|startoftext|>": START, "<|endoftext|>": END}  # within a text, as CLIP reads them
# What CLIP takes for one word: a mark, an English ending, letters, one digit, or other signs.
WORD: Final = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
# After an ASCII mark only before a space ("3.5 m" is one sentence), after a full-width mark always.
SENTENCE_END: Final = re.compile("(?<=[.!?;])\\s+|(?<=[\u3002\uff01\uff1f\uff1b])")


def tokens_of(text: str) -> list[int]:
    """The text's tokens as CLIP has them, as many as it has, without start and end.

    A mark that stands in the text is that token, as for the reference, whose text ends there.

    Raises:
        ConfigError: the ``metrics`` extra is not installed.
    """
    tokenizer, words = _tokenizer()
    found: list[int] = []
    for word in words.findall(tokenizer.clean_fn(text)):
        if word in MARKS:
            found.append(MARKS[word])
            continue
        letters = "".join(tokenizer.byte_encoder[byte] for byte in word.encode())
        found.extend(tokenizer.encoder[part] for part in tokenizer.bpe(letters).split(" "))
    return found


def num_cut(tokens: Sequence[int]) -> int:
    """How many of a text's tokens are not seen: over 30, or after a mark that ends the text."""
    shown = list(tokens[:MAX_TOKENS])
    num_seen = shown.index(END) + 1 if END in shown else len(shown)
    return len(tokens) - num_seen


def in_context(tokens: Sequence[int]) -> list[int]:
    """One context: start, the first 30 tokens at most, end, and zeros up to 32."""
    row = [START, *tokens[:MAX_TOKENS], END]
    return row + [0] * (CONTEXT_LENGTH - len(row))


def pieces_of(text: str) -> list[list[int]]:
    """All of a text's tokens in pieces of 1 to 30; an empty list if it has none.

    A piece holds as many consecutive sentences as fit. A sentence that does not fit by itself is
    laid out word by word, and a word that does not (scripts without spaces) token by token.
    """
    whole = _plain_tokens(text)
    if len(whole) <= MAX_TOKENS:
        return [whole] if whole else []
    pieces: list[list[int]] = [[]]
    for unit in _units(text):
        if len(pieces[-1]) + len(unit) > MAX_TOKENS:
            pieces.append([])
        pieces[-1].extend(unit)
    return pieces


def _units(text: str) -> Iterator[list[int]]:
    """What stays together: sentences, words of long sentences, runs of tokens of long words."""
    for sentence in SENTENCE_END.split(text):
        tokens = _plain_tokens(sentence)
        if len(tokens) <= MAX_TOKENS:
            yield tokens
            continue
        for word in sentence.split():
            tokens = _plain_tokens(word)
            yield from (tokens[i : i + MAX_TOKENS] for i in range(0, len(tokens), MAX_TOKENS))


def _plain_tokens(text: str) -> list[int]:
    """The tokens of a text whose pieces must all be seen: no mark in it ends one of them."""
    tokenizer, _ = _tokenizer()
    return [token for token in tokenizer.encode(text) if token < START]


@lru_cache(maxsize=1)
def _tokenizer() -> tuple[Any, Any]:
    """open_clip's tokenizer, and CLIP's words as a pattern."""
    try:
        import regex
        from open_clip import SimpleTokenizer
    except ImportError as error:
        raise ConfigError(
            f"CLIP's tokens need {error.name}; pip install 'pfp[metrics,train]'"
        ) from error
    return SimpleTokenizer(), regex.compile(WORD, regex.IGNORECASE)
