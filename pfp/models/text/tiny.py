"""TinyTextEncoder: hashed words as text embeddings, with no weights and nothing learned.

An embedding depends on a prompt's words and on their order by pairs, and not on what they
mean: the offline stand-in for UMT5, for demonstrations and tests. Axes: L tokens, D features.

Token i is ``signs(word i) + signs(word i-1, word i) / 2 + position(i) / 4``, where ``signs`` turns
the first 64 bits of a SHA-256 into +1 and -1 (no random generator, whose stream could change with
a library's version) and ``position`` is the sinusoid of "Attention Is All You Need", section 3.5.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from pfp.io.digests import sha256_json

DIM: Final = 64
MAX_TOKENS: Final = 64
WORD: Final = r"\w+(?:'\w+)*"
BIGRAM_SCALE: Final = 0.5
POSITION_SCALE: Final = 0.25
POSITION_PERIOD: Final = 10_000.0


@lru_cache(maxsize=65_536)
def hashed_signs(text: str) -> NDArray[np.float32]:
    """64 numbers, each +1 or -1: the first bits of the text's SHA-256. Read-only ``(D,)``."""
    digest = hashlib.sha256(text.encode()).digest()[: DIM // 8]
    bits = np.unpackbits(np.frombuffer(digest, dtype=np.uint8))
    signs = bits.astype(np.float32) * 2 - 1
    signs.flags.writeable = False
    return signs


def positions(num_tokens: int) -> NDArray[np.float32]:
    """Sinusoids of positions ``0 .. num_tokens - 1``, sines then cosines: ``(L, D)``."""
    half = DIM // 2
    frequencies = POSITION_PERIOD ** (-np.arange(half, dtype=np.float64) / half)
    angles = np.arange(num_tokens, dtype=np.float64)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def words_of(prompt: str) -> list[str]:
    """The prompt's first 64 words in lower case; ``[""]`` when it has none, so that L >= 1."""
    text = unicodedata.normalize("NFKC", prompt).lower()
    return re.findall(WORD, text)[:MAX_TOKENS] or [""]


@final
class TinyTextEncoder:
    """The embedded default: 64 hashed features for each of at most 64 words."""

    encoder_id = "tiny-hash@1"
    dim = DIM

    def __init__(self) -> None:
        definition = {
            "encoder_id": self.encoder_id,
            "dim": DIM,
            "max_tokens": MAX_TOKENS,
            "word": WORD,
            "bigram_scale": BIGRAM_SCALE,
            "position_scale": POSITION_SCALE,
            "position_period": POSITION_PERIOD,
        }
        self.sha256 = sha256_json(definition)

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One float32 array of shape ``(L, 64)`` per prompt, ``1 <= L <= 64``, without padding."""
        return [self._encode_one(prompt) for prompt in prompts]

    def _encode_one(self, prompt: str) -> NDArray[np.float32]:
        words = words_of(prompt)
        pairs = zip(["", *words], words, strict=False)
        unigrams_LD = np.stack([hashed_signs(word) for word in words])
        bigrams_LD = np.stack([hashed_signs(f"{before} {word}") for before, word in pairs])
        tokens_LD = unigrams_LD + BIGRAM_SCALE * bigrams_LD
        tokens_LD += POSITION_SCALE * positions(len(words))
        return tokens_LD
