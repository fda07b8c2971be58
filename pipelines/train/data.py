"""What an arm is trained on, put together from the tables of a run directory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pfp.io.prompts import Prompts
from pfp.latents.read import LatentReader
from pfp.models.backbones.interface import TextConditions
from pfp.schema.latent import Branch, LatentSpan
from pfp.train.loader import WindowBatches
from pfp.train.order import WindowOrder
from pipelines.train.config import TrainConfig


def run_batches(
    run_directory: str,
    clip_ids: Sequence[str],
    config: TrainConfig,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> WindowBatches:
    """Batches of windows of the given clips, with the text that holds at their targets.

    Raises SchemaError for latents of another rate, InputError when no clip is long enough.
    """
    rate = config.model.rates[0]
    reader = LatentReader(
        f"{run_directory}/latents", lr_factor=rate.height, lr_frame_stride=rate.time
    )
    clips = ChosenClips(reader, [reader.row_of(clip_id) for clip_id in clip_ids])
    order = WindowOrder(
        [clips.shape(row) for row in range(len(clips))],
        config.windows,
        seed=config.steps.seed,
        rank=rank,
        world_size=world_size,
    )
    text = RunText(Prompts(run_directory), clips, config.num_text_tokens)
    return WindowBatches(clips, text, order)


def empty_prompt(run_directory: str, config: TrainConfig) -> TextConditions:
    """The condition of the empty prompt, each tensor with B = 1.

    Raises SchemaError when the run has none.
    """
    stored_LD = Prompts(run_directory).embedding_LD("", config.num_text_tokens)
    return TextConditions(torch.from_numpy(stored_LD.astype(np.float32))[None])


class ChosenClips:
    """Some rows of a table, numbered from 0."""

    def __init__(self, reader: LatentReader, rows: Sequence[int]) -> None:
        self._reader = reader
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lr_frame_stride(self) -> int:
        """How many times slower the LR video is."""
        return self._reader.lr_frame_stride

    def shape(self, row: int, branch: Branch = "hr") -> tuple[int, ...]:
        """``(T, C, H, W)``."""
        return self._reader.shape(self._rows[row], branch)

    def read(
        self, spans: Sequence[LatentSpan], into: Sequence[NDArray[np.float16]]
    ) -> list[NDArray[np.float16]]:
        """The latents of spans; see ``LatentReader.read``."""
        return self._reader.read([span._replace(row=self._rows[span.row]) for span in spans], into)

    def time_of(self, row: int, latent: int) -> tuple[str, float]:
        """The clip's id and the time of a latent in seconds."""
        record = self._reader.record(self._rows[row])
        return record.clip_id, record.latent_seconds(latent)


class RunText:
    """The prompt of the nearest timestamp, as its stored embedding of a fixed length."""

    def __init__(self, prompts: Prompts, clips: ChosenClips, num_tokens: int) -> None:
        self._prompts = prompts
        self._clips = clips
        self._num_tokens = num_tokens

    def __call__(self, row: int, latent: int) -> NDArray[np.float16]:
        """Of a clip's latent: fp16 ``(L, D)``."""
        clip_id, seconds = self._clips.time_of(row, latent)
        return self._prompts.embedding_LD(self._prompts.at(clip_id, seconds), self._num_tokens)
