"""Storyboards to text conditions: each distinct prompt is embedded once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pfp.errors import PermanentError
from pfp.io.prompts import STORED_DTYPE, prompt_sha256
from pfp.models.text import TextEncoder
from pfp.schema import KEPT, ConditionRecord, StoryboardRecord


def prompts_of(storyboards: Iterable[StoryboardRecord]) -> list[str]:
    """The distinct captions of shots and of whole clips, sorted."""
    prompts: set[str] = set()
    for storyboard in storyboards:
        prompts.update(shot["caption"] for shot in storyboard.shots)
        if storyboard.global_caption is not None:
            prompts.add(storyboard.global_caption)
    return sorted(prompts)


def encode_prompt(encoder: TextEncoder, prompt: str) -> ConditionRecord:
    """The condition of one prompt, fp16; ``PermanentError`` for values that fp16 cannot hold."""
    embedding_LD = encoder.encode([prompt])[0]
    with np.errstate(over="ignore"):
        stored_LD = embedding_LD.astype(STORED_DTYPE)
    if not np.isfinite(stored_LD).all():
        raise PermanentError(
            f"the embedding of {prompt[:60]!r} reaches {np.abs(embedding_LD).max()}, which fp16 "
            "cannot hold; check the text encoder's weights"
        )
    return ConditionRecord(
        prompt_sha256=prompt_sha256(prompt),
        prompt=prompt,
        encoder_id=encoder.encoder_id,
        encoder_sha256=encoder.sha256,
        embedding=stored_LD.tobytes(),
        embedding_shape=list(stored_LD.shape),
        verdict=KEPT,
    )
