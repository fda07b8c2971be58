"""What a plan measures before a run: its rows may fail, and cost the plan nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import InvariantError
from pfp.latents.timing import measure_prompts
from pfp.models.text.tiny import TinyTextEncoder


class Breaking(TinyTextEncoder):
    """Raises an error for long prompts."""

    def __init__(self, error: Exception) -> None:
        """error: what is raised."""
        super().__init__()
        self._error = error

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """The prompts' embeddings."""
        if any(len(prompt) > 10 for prompt in prompts):
            raise self._error
        return super().encode(prompts)


def test_a_prompt_that_fails_has_no_bytes_and_ends_no_plan() -> None:
    """Out of memory, too: the run would lose one row for it."""
    encoder = Breaking(RuntimeError("CUDA out of memory"))
    alone = measure_prompts(TinyTextEncoder(), ["a dog"])
    found = measure_prompts(encoder, ["a dog", "a dog that is much too long"])

    assert 2 == found.num_prompts
    assert alone.condition_bytes / 2 == found.condition_bytes


def test_a_broken_promise_of_our_own_is_not_hidden() -> None:
    """That ends the run, too."""
    with pytest.raises(InvariantError):
        measure_prompts(Breaking(InvariantError("please report it")), ["a dog that is too long"])
