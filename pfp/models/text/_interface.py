"""What every text encoder offers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TextEncoder(Protocol):
    """Prompts in, one unpadded embedding per prompt out.

    ``encoder_id`` names the encoder and its version, ``sha256`` is the digest of all that its
    output depends on (weights and tokenizer, or its definition), ``dim`` is D.
    """

    encoder_id: str
    sha256: str
    dim: int

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One float32 array of shape ``(L, D)`` per prompt, ``L >= 1``, without padding."""
        ...
