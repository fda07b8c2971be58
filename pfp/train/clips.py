"""The clips that are trained on: their latents, and the text that holds at their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pfp.io.prompts import Embedding, Prompts
from pfp.models.backbones.interface import TextConditions
from pfp.models.text_conditions import text_conditions
from pfp.schema import LatentRecord
from pfp.schema.latent import Branch, LatentSpan
from pfp.train.loader import LatentSource, WindowBatches
from pfp.train.sampler import WindowPlan, WindowSampler


class LatentTable(LatentSource, Protocol):
    """A table of latents; ``pfp.latents.read.LatentReader`` is one.

    ``shared`` is what all its clips have in common, such as the VAE.
    """

    shared: dict[str, Any]

    @property
    def clip_ids(self) -> list[str]:
        """The kept clips, in the order of their rows."""
        ...

    def row_of(self, clip_id: str) -> int:
        """The clip's row; ``InputError`` when the table has not kept that clip."""
        ...

    def record(self, row: int) -> LatentRecord:
        """What the table says of a clip."""
        ...


def window_batches(
    tables: Sequence[LatentTable],
    clip_ids: Sequence[str],
    plan: WindowPlan,
    prompts: Prompts,
    *,
    num_text_tokens: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> WindowBatches:
    """Batches of windows of the given clips, with the text that holds at their targets.

    The first of ``tables`` has the latents, the others the LR copies of further encoders.
    Raises InputError when no clip is long enough.
    """
    main, *others = (ChosenClips(table, clip_ids) for table in tables)
    sampler = WindowSampler(
        [main.shape(row) for row in range(len(main))],
        plan,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    text_at = PromptAt(prompts, main, num_text_tokens)
    return WindowBatches(main, text_at, sampler, more_lr=others)


def empty_prompt(prompts: Prompts, *, num_text_tokens: int) -> TextConditions:
    """The condition of the empty prompt, each tensor with B = 1.

    Raises SchemaError when the run has none.
    """
    return text_conditions(prompts.embedding("", num_text_tokens))


class ChosenClips:
    """Some clips of a table, numbered from 0."""

    def __init__(self, table: LatentTable, clip_ids: Sequence[str]) -> None:
        self._table = table
        self._rows = [table.row_of(clip_id) for clip_id in clip_ids]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lr_frame_stride(self) -> int:
        """How many times slower the LR video is."""
        return self._table.lr_frame_stride

    def shape(self, row: int, branch: Branch = "hr") -> tuple[int, ...]:
        """``(T, C, H, W)``."""
        return self._table.shape(self._rows[row], branch)

    def read(
        self, spans: Sequence[LatentSpan], into: Sequence[NDArray[np.float16]]
    ) -> list[NDArray[np.float16]]:
        """The latents of spans; see ``LatentReader.read``."""
        return self._table.read([span._replace(row=self._rows[span.row]) for span in spans], into)

    def time_of(self, row: int, latent: int) -> tuple[str, float]:
        """The clip's id and the time of a latent in seconds."""
        record = self._table.record(self._rows[row])
        return record.clip_id, record.latent_seconds(latent)


class PromptAt:
    """The prompt of the nearest timestamp, as its stored condition of a fixed length."""

    def __init__(self, prompts: Prompts, clips: ChosenClips, num_tokens: int) -> None:
        self._prompts = prompts
        self._clips = clips
        self._num_tokens = num_tokens

    def __call__(self, row: int, latent: int) -> Embedding:
        """Of a clip's latent."""
        clip_id, seconds = self._clips.time_of(row, latent)
        return self._prompts.embedding(self._prompts.at(clip_id, seconds), self._num_tokens)
