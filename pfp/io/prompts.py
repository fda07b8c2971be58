"""Which prompt holds when, and its embedding: storyboards and conditions of a run, read together.

Axes: L text tokens, D text features, P channels of a pooled text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pfp.errors import InputError, SchemaError
from pfp.io.blobs import Blobs
from pfp.io.tables import read_records
from pfp.schema import ConditionRecord
from pfp.schema.run_directory import RunDirectory

STORED_DTYPE = np.dtype("<f2")


class Embedding(NamedTuple):
    """A prompt's condition: tokens cut or zero-padded to one length, ``num_tokens`` its own.

    ``pooled_P`` is the vector of a second text encoder, where there is one.
    """

    tokens_LD: NDArray[np.float16]
    num_tokens: int
    pooled_P: NDArray[np.float16] | None = None


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


class Prompts:
    """Storyboards and conditions of a run directory.

    The storyboards are held; embeddings are read when they are asked for, the last ``num_cached``
    of them kept. With ``pooled`` there are the conditions of HunyuanVideo's second text encoder,
    too.
    """

    def __init__(self, run_directory: str, *, pooled: bool = False, num_cached: int = 1024) -> None:
        run = RunDirectory(run_directory)
        self._shots = {
            record.clip_id: record.shots
            for record in read_records(*run.storyboards, verdict="kept")
        }
        self._tokens_LD = _reader(run.conditions.path, num_cached)
        self._pooled_1P = _reader(run.conditions_pooled.path, num_cached) if pooled else None

    def at(self, clip_id: str, seconds: float) -> str:
        """The clip's prompt at a time in seconds from its video's first frame."""
        return caption_at(self.shots(clip_id), seconds)

    def shots(self, clip_id: str) -> Sequence[Mapping[str, Any]]:
        """The clip's shots in order, with times from its video's first frame."""
        if clip_id not in self._shots:
            raise SchemaError(
                f"clip {clip_id} has no storyboard; run pipelines/caption and latents again"
            )
        return self._shots[clip_id]

    def embedding(self, prompt: str, num_tokens: int | None) -> Embedding:
        """The prompt's stored condition, cut or zero-padded to ``num_tokens``; None: as it is.

        Raises SchemaError for a prompt that has none.
        """
        stored_LD = self._tokens_LD(prompt)[:num_tokens]
        padding = ((0, (num_tokens or len(stored_LD)) - len(stored_LD)), (0, 0))
        return Embedding(
            tokens_LD=np.pad(stored_LD, padding),
            num_tokens=len(stored_LD),
            pooled_P=None if self._pooled_1P is None else self._pooled_1P(prompt)[0],
        )


def _reader(directory: str, num_cached: int) -> Callable[[str], NDArray[np.float16]]:
    """A function from a prompt to its stored embedding, read-only ``(L, D)``."""
    conditions = Blobs(directory, ConditionRecord)

    def read(prompt: str) -> NDArray[np.float16]:
        try:
            row = conditions.row_of(prompt_sha256(prompt))
        except InputError as error:
            raise SchemaError(
                f"prompt {prompt[:60]!r} has no condition in {directory}; "
                "run pipelines/latents again"
            ) from error
        shape = conditions.columns["embedding_shape"][row].as_py()
        content = conditions.whole(row, "embedding")
        embedding_LD: NDArray[np.float16] = content.view(STORED_DTYPE).reshape(shape)
        embedding_LD.flags.writeable = False
        return embedding_LD

    return lru_cache(maxsize=num_cached)(read)
