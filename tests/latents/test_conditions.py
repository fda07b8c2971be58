"""Storyboards to text conditions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import PermanentError
from pfp.io.prompts import prompt_sha256
from pfp.latents.conditions import encode_prompt, prompts_of
from pfp.models.text import load_text_encoder
from pfp.schema import KEPT, StoryboardRecord


def storyboard(clip_id: str, captions: list[str], whole: str | None) -> StoryboardRecord:
    """A storyboard with one-second shots."""
    shots = [
        {"start_seconds": float(i), "end_seconds": i + 1.0, "caption": caption}
        for i, caption in enumerate(captions)
    ]
    return StoryboardRecord(
        clip_id=clip_id, shots=shots, global_caption=whole, backend="sidecar", verdict=KEPT
    )


def test_each_distinct_prompt_once() -> None:
    """Captions of shots and of whole clips are taken once each, however often they stand there."""
    boards = [storyboard("a", ["x", "y"], "z"), storyboard("b", ["y"], None)]

    assert prompts_of(boards) == ["x", "y", "z"]


def test_a_condition_comes_back_in_fp16() -> None:
    """The stored bytes are the encoder's embedding, unpadded, rounded to fp16."""
    encoder = load_text_encoder("tiny")
    prompt = "a cat sits"

    record = encode_prompt(encoder, prompt)

    expected = encoder.encode([prompt])[0].astype(np.float16)
    assert (record.prompt, record.prompt_sha256) == (prompt, prompt_sha256(prompt))
    assert (record.encoder_id, record.encoder_sha256) == ("tiny-hash@1", encoder.sha256)
    assert record.embedding_shape == [3, 64]
    assert expected.astype("<f2").tobytes() == record.embedding


class HugeEncoder:
    """An encoder whose values fp16 cannot hold."""

    encoder_id = "huge@1"
    sha256 = "0" * 64
    dim = 2

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One token of 70,000s per prompt."""
        return [np.full((1, 2), 7e4, np.float32) for _ in prompts]


def test_values_beyond_fp16_are_an_error() -> None:
    """Infinity is never stored as a condition."""
    with pytest.raises(PermanentError, match=r"'a cat' reaches 70000\.0"):
        encode_prompt(HugeEncoder(), "a cat")
