"""What a variant is trained on, put together from the tables of a run directory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pfp.io.prompts import Embedding, Prompts
from pfp.latents.read import LatentReader
from pfp.models.backbones.interface import TextConditions
from pfp.models.rates import Rate
from pfp.models.text_conditions import text_conditions
from pfp.schema.latent import Branch, LatentSpan
from pfp.schema.run_directory import RunDirectory
from pfp.train.loader import WindowBatches
from pfp.train.sampler import WindowSampler
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
    main, *others = (
        ChosenClips(reader, clip_ids) for reader in lr_readers(run_directory, config.model.rates)
    )
    sampler = WindowSampler(
        [main.shape(row) for row in range(len(main))],
        config.windows,
        seed=config.steps.seed,
        rank=rank,
        world_size=world_size,
    )
    prompts = Prompts(run_directory, pooled=config.model.base == "hunyuan")
    text = RunText(prompts, main, config.num_text_tokens)
    return WindowBatches(main, text, sampler, more_lr=others)


def lr_readers(run_directory: str, rates: Sequence[Rate]) -> list[LatentReader]:
    """The latents, and the tables of further LR copies, in the order of the encoders' rates."""
    run = RunDirectory(run_directory)
    first, *rest = rates
    readers = [LatentReader(run.latents.path, lr_factor=first.height, lr_frame_stride=first.time)]
    for rate in rest:
        where = run.lr_latents(rate).path
        readers.append(LatentReader(where, lr_factor=rate.height, lr_frame_stride=rate.time))
    return readers


def empty_prompt(run_directory: str, config: TrainConfig) -> TextConditions:
    """The condition of the empty prompt, each tensor with B = 1.

    Raises SchemaError when the run has none.
    """
    prompts = Prompts(run_directory, pooled=config.model.base == "hunyuan")
    return text_conditions(prompts.embedding("", config.num_text_tokens))


class ChosenClips:
    """Some clips of a table, numbered from 0."""

    def __init__(self, reader: LatentReader, clip_ids: Sequence[str]) -> None:
        self._reader = reader
        self._rows = [reader.row_of(clip_id) for clip_id in clip_ids]

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
    """The prompt of the nearest timestamp, as its stored condition of a fixed length."""

    def __init__(self, prompts: Prompts, clips: ChosenClips, num_tokens: int) -> None:
        self._prompts = prompts
        self._clips = clips
        self._num_tokens = num_tokens

    def __call__(self, row: int, latent: int) -> Embedding:
        """Of a clip's latent."""
        clip_id, seconds = self._clips.time_of(row, latent)
        return self._prompts.embedding(self._prompts.at(clip_id, seconds), self._num_tokens)
