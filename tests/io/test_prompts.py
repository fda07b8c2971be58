"""Which prompt holds when, and its stored condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import SchemaError
from pfp.io.prompts import Prompts, prompt_sha256
from pfp.io.tables import write_table
from pfp.schema import KEPT, ConditionRecord, StoryboardRecord

PROMPTS = {"a red ball": 3, "": 1}  # and how many tokens each has


def tokens(prompt: str, width: int) -> NDArray[np.float16]:
    """Its embedding: row i holds i + 1 and the prompt's length."""
    rows = np.arange(1, PROMPTS[prompt] + 1, dtype=np.float16)[:, None]
    return np.repeat(rows, width, axis=1) + len(prompt)


def write_conditions(folder: Path, width: int, *, pooled: bool) -> None:
    """A table of both prompts."""
    records = []
    for prompt in PROMPTS:
        embedding_LD = tokens(prompt, width)[:1] if pooled else tokens(prompt, width)
        records.append(
            ConditionRecord(
                prompt_sha256=prompt_sha256(prompt),
                prompt=prompt,
                encoder_id="numbers@1",
                encoder_sha256="0" * 64,
                embedding=embedding_LD.astype("<f2").tobytes(),
                embedding_shape=list(embedding_LD.shape),
                verdict=KEPT,
            )
        )
    write_table(folder, ConditionRecord.table(records), ConditionRecord)


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run directory with conditions of both kinds and no storyboards."""
    write_table(tmp_path / "storyboards", StoryboardRecord.SCHEMA.empty_table(), StoryboardRecord)
    write_conditions(tmp_path / "conditions", 4, pooled=False)
    write_conditions(tmp_path / "conditions_pooled", 6, pooled=True)
    return str(tmp_path)


@pytest.mark.parametrize("num_tokens", [2, 3, 5])
def test_conditions_are_cut_or_padded_to_one_length(run: str, num_tokens: int) -> None:
    """The count is that of the prompt's own tokens that are left."""
    found = Prompts(run).embedding("a red ball", num_tokens)

    assert (num_tokens, 4) == found.tokens_LD.shape
    assert min(3, num_tokens) == found.num_tokens
    own = found.tokens_LD[: found.num_tokens]
    assert (tokens("a red ball", 4)[: found.num_tokens] == own).all()
    assert not found.tokens_LD[found.num_tokens :].any()
    assert found.pooled_P is None


def test_the_second_encoders_vector_comes_along(run: str) -> None:
    """HunyuanVideo takes two conditions of a prompt; the empty one has both, too."""
    prompts = Prompts(run, pooled=True)

    for prompt in PROMPTS:
        pooled_P = prompts.embedding(prompt, 2).pooled_P
        assert pooled_P is not None
        assert tokens(prompt, 6)[0].tolist() == pooled_P.tolist()


def test_a_prompt_without_a_condition_is_named(run: str) -> None:
    """With the table that lacks it and what makes it."""
    with pytest.raises(SchemaError, match=r"'a blue ball' has no condition in .*conditions; run"):
        Prompts(run).embedding("a blue ball", 3)
