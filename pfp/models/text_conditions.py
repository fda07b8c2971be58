"""Prompts whose embeddings are stored, as a backbone takes them."""

from __future__ import annotations

import numpy as np
import torch

from pfp.io.prompts import Embedding
from pfp.models.backbones.interface import TextConditions


def text_conditions(embedding: Embedding) -> TextConditions:
    """A stored condition, float32, with B = 1; its own tokens are marked, its padding is not."""
    tokens_LD, num_tokens, pooled_P = embedding
    return TextConditions(
        text_BLD=torch.from_numpy(tokens_LD.astype(np.float32))[None],
        mask_BL=torch.arange(len(tokens_LD))[None] < num_tokens,
        pooled_BP=None if pooled_P is None else torch.from_numpy(pooled_P.astype(np.float32))[None],
    )
