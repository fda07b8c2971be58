"""Which prompt holds when, and its embedding: storyboards and conditions of a run, read together.

Axes: L text tokens, D text features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfp.errors import SchemaError
from pfp.io.tables import read_records
from pfp.schema import ConditionRecord, StoryboardRecord

STORED_DTYPE = np.dtype("<f2")


def caption_at(shots: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """The prompt that holds at a time: the caption of the last shot that starts at or before it.

    Before the first shot that is the first one's. ``shots`` are those of a kept
    ``StoryboardRecord``, in order. The paper (section 4.1, data preparation): a model that
    continues a video is given only the prompt of the nearest timestamp. Raises ValueError for a
    storyboard without shots.
    """
    if not shots:
        raise ValueError("a storyboard without shots has no caption; use kept storyboards only")
    before = [shot for shot in shots if shot["start_seconds"] <= seconds]
    return str((before[-1] if before else shots[0])["caption"])


def prompt_sha256(prompt: str) -> str:
    """The digest that a prompt's condition is found by: SHA-256 of its UTF-8."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def condition_array(record: ConditionRecord) -> NDArray[np.float16]:
    """A condition's embedding ``(L, D)``, read-only; ``SchemaError`` if the bytes do not fit."""
    shape, content = record.embedding_shape, record.embedding
    if content is None or len(shape) != 2 or len(content) != shape[0] * shape[1] * 2:
        found = "no" if content is None else len(content)
        raise SchemaError(
            f"condition {record.prompt_sha256[:12]}: {found} bytes are not fp16 of shape {shape}; "
            "run pipelines/latents again"
        )
    embedding_LD: NDArray[np.float16] = np.frombuffer(content, dtype=STORED_DTYPE).reshape(shape)
    return embedding_LD


class Prompts:
    """Storyboards and conditions of a run directory."""

    def __init__(self, run_directory: str) -> None:
        self._shots = {
            record.clip_id: record.shots
            for record in read_records(
                f"{run_directory}/storyboards", StoryboardRecord, verdict="kept"
            )
        }
        self._conditions = {
            record.prompt_sha256: record
            for record in read_records(
                f"{run_directory}/conditions", ConditionRecord, verdict="kept"
            )
        }

    def at(self, clip_id: str, seconds: float) -> str:
        """The clip's prompt at a time in seconds from its video's first frame."""
        if clip_id not in self._shots:
            raise SchemaError(
                f"clip {clip_id} has no storyboard; run pipelines/caption and latents again"
            )
        return caption_at(self._shots[clip_id], seconds)

    def embedding_LD(self, prompt: str, num_tokens: int) -> NDArray[np.float16]:  # noqa: N802
        """The prompt's stored embedding, cut or zero-padded to ``num_tokens``."""
        key = prompt_sha256(prompt)
        if key not in self._conditions:
            raise SchemaError(
                f"prompt {prompt[:60]!r} has no condition; run pipelines/latents again"
            )
        stored_LD = condition_array(self._conditions[key])[:num_tokens]
        return np.pad(stored_LD, ((0, num_tokens - len(stored_LD)), (0, 0)))
