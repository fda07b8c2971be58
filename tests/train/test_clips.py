"""The clips of a run that are trained on, numbered anew, and the text at their targets."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import InputError
from pfp.io.prompts import Embedding
from pfp.schema.latent import LatentSpan
from pfp.train.clips import ChosenClips, PromptAt, window_batches
from pfp.train.sampler import WindowPlan

IDS = ("a", "b", "c", "d")


class Table:
    """Four clips of eight latents; a latent of row r holds r."""

    lr_frame_stride = 2

    def __init__(self) -> None:
        self.shared: dict[str, Any] = {}

    @property
    def clip_ids(self) -> list[str]:
        """In the order of the rows."""
        return list(IDS)

    def row_of(self, clip_id: str) -> int:
        """The clip's row."""
        return IDS.index(clip_id)

    def record(self, row: int) -> Any:
        """A clip that shows two latents a second."""
        return SimpleNamespace(clip_id=IDS[row], latent_seconds=lambda latent: latent / 2)

    def shape(self, row: int, branch: str = "hr") -> tuple[int, ...]:
        """Clip r is r latents longer."""
        return (8 + row, 1, 2, 2) if branch == "hr" else (4, 1, 1, 1)

    def read(
        self, spans: Sequence[LatentSpan], into: Sequence[NDArray[np.float16]]
    ) -> list[NDArray[np.float16]]:
        """The row's number everywhere."""
        for span, array in zip(spans, into, strict=True):
            array[:] = span.row
        return list(into)


class Captions:
    """The prompts of a run: a clip's id and second, embedded as that second."""

    def at(self, clip_id: str, seconds: float) -> str:
        """The prompt that holds then."""
        return f"{clip_id} {seconds}"

    def embedding(self, prompt: str, num_tokens: int) -> Embedding:
        """Its seconds in each of the tokens."""
        return Embedding(np.full((num_tokens, 1), float(prompt.split()[1]), np.float16), num_tokens)


def test_chosen_clips_are_numbered_from_0() -> None:
    """Rows 0 and 1 of the choice are rows 3 and 1 of the table."""
    clips = ChosenClips(Table(), ["d", "b"])

    assert (2, (11, 1, 2, 2), (9, 1, 2, 2)) == (len(clips), clips.shape(0), clips.shape(1))
    (latents,) = clips.read([LatentSpan(0, "hr", 0, 2)], [np.empty((2, 1, 2, 2), np.float16)])
    assert 3 == latents.max() == latents.min()
    assert ("b", 2.5) == clips.time_of(1, 5)


def test_the_text_is_that_of_the_target() -> None:
    """The prompt at the time of the latent, of the wanted length."""
    text_at = PromptAt(Captions(), ChosenClips(Table(), ["b"]), 3)  # type: ignore[arg-type]

    assert [[3.5], [3.5], [3.5]] == text_at(0, 7).tokens_LD.tolist()


def test_batches_hold_the_chosen_clips_only() -> None:
    """Clips b and d, and no other, in an epoch."""
    plan = WindowPlan(batch_size=1, history_frames=5, num_targets=1, continue_share=0.0)
    batches = window_batches(
        [Table()],
        ["b", "d"],
        plan,
        Captions(),  # type: ignore[arg-type]
        num_text_tokens=3,
        seed=0,
    )

    assert {1.0, 3.0} == {float(batches[step].hr_BCTHW.max()) for step in range(2)}


def test_clips_that_are_too_short_cannot_be_trained_on() -> None:
    """No clip has 99 latents."""
    plan = WindowPlan(batch_size=1, history_frames=99, num_targets=1, continue_share=0.0)

    with pytest.raises(InputError, match="none of 1 clips has 99 latent frames"):
        window_batches([Table()], ["a"], plan, Captions(), num_text_tokens=3, seed=0)  # type: ignore[arg-type]
