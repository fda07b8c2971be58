"""Prompts as a base's own text encoders give them to it.

Axes: B batch (always 1), L text tokens, D text features, P pooled text channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import torch

from pfp.generate.families import Family
from pfp.models.backbones.interface import TextConditions
from pfp.models.text import TextEncoder

# HunyuanVideo is told a prompt twice, the second time as one vector.
POOLED_OF: Final = {"hunyuan_llama": "clip_pooled"}


def encoder_specs(spec: str) -> tuple[str, ...]:
    """The text encoder that is named, and the pooled one from the same folder if there is one."""
    name, _, folder = spec.partition(":")
    return (spec, f"{POOLED_OF[name]}:{folder}") if name in POOLED_OF else (spec,)


def encode_prompts(
    encoders: Sequence[TextEncoder], prompts: Iterable[str], family: Family
) -> dict[str, TextConditions]:
    """The condition of each prompt, on the CPU; equal prompts are encoded once.

    Prompts are cut or padded with zeros to the length that the base was trained with, if it has
    one (Wan masks no padding); otherwise all their tokens are true in the mask.
    """
    return {prompt: _encode(encoders, prompt, family) for prompt in dict.fromkeys(prompts)}


def _encode(encoders: Sequence[TextEncoder], prompt: str, family: Family) -> TextConditions:
    text_LD, *pooled = (encoder.encode([prompt])[0] for encoder in encoders)
    if family.num_text_tokens is not None:
        text_LD = text_LD[: family.num_text_tokens]
        text_LD = np.pad(text_LD, ((0, family.num_text_tokens - len(text_LD)), (0, 0)))
    text_BLD = torch.from_numpy(text_LD)[None]
    if not pooled:
        return TextConditions(text_BLD)
    return TextConditions(
        text_BLD,
        mask_BL=torch.ones(text_BLD.shape[:2], dtype=torch.bool),
        pooled_BP=torch.from_numpy(pooled[0]),
    )
