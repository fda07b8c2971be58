"""Prompts as a base's own text encoders give them to it.

Axes: B batch (always 1), L text tokens, D text features, P pooled text channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import torch

from pfp.models.backbones.interface import TextConditions
from pfp.models.text import TextEncoder

# HunyuanVideo takes a prompt twice: as LLaMA's tokens, and pooled into one vector by CLIP.
POOLED_OF: Final = {"hunyuan_llama": "clip_pooled"}


def encoder_specs(spec: str) -> tuple[str, ...]:
    """The text encoder that is named, and the pooled one from the same folder if there is one."""
    name, _, folder = spec.partition(":")
    return (spec, f"{POOLED_OF[name]}:{folder}") if name in POOLED_OF else (spec,)


def encode_prompts(
    encoders: Sequence[TextEncoder], prompts: Iterable[str], num_tokens: int | None
) -> dict[str, TextConditions]:
    """The condition of each prompt, on the CPU; equal prompts are encoded once.

    Prompts are cut or padded with zeros to ``num_tokens``, as in the checkpoint's training (Wan
    masks no padding, so it matters there); None leaves them as they are.
    """
    return {prompt: _encode(encoders, prompt, num_tokens) for prompt in dict.fromkeys(prompts)}


def _encode(encoders: Sequence[TextEncoder], prompt: str, num_tokens: int | None) -> TextConditions:
    text_LD, *pooled = (encoder.encode([prompt])[0] for encoder in encoders)
    num_own = len(text_LD)
    if num_tokens is not None:
        text_LD = text_LD[:num_tokens]
        text_LD = np.pad(text_LD, ((0, num_tokens - len(text_LD)), (0, 0)))
    return TextConditions(
        torch.from_numpy(text_LD)[None],
        mask_BL=torch.arange(len(text_LD))[None] < num_own,
        pooled_BP=torch.from_numpy(pooled[0]) if pooled else None,
    )
