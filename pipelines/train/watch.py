"""What a person sees of a training: how far it is, its curves, and frames that it gives back.

Axes: B batch, T latent frames, F video frames, H rows, W columns, C channels.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from pfp.generate.retrieve import decode_alone, retrieve_latents
from pfp.generate.settings import SamplerSettings
from pfp.models.memory.dit import MemoryDiT
from pfp.models.vae import load_vae
from pfp.runtime import Progress
from pfp.train.loader import WindowBatches
from pfp.train.loop import StepReport
from pipelines.train.config import TrainConfig

PROGRESS_FILE: Final = "progress.json"
SECONDS_BETWEEN_NOTES: Final = 2.0
NUM_SHOWN: Final = 4


class Watcher:
    """Takes every step's report: to the trackers, to a file that the driver reads, and images."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        model: MemoryDiT,
        batches: WindowBatches,
        *,
        name: str,
        title: str,
        state_folder: Path,
    ) -> None:
        """name: of the trackers' project. title: what people read. state_folder: seen by all."""
        self._title, self._config = title, config
        self._accelerator, self._model, self._batches = accelerator, model, batches
        self._file = state_folder / PROGRESS_FILE
        self._written = 0.0
        if config.trackers:
            accelerator.init_trackers(name)

    def look(self, done: StepReport) -> None:
        """After each step, on every process."""
        config, number = self._config, done.step + 1
        if config.trackers and number % config.log_every_steps == 0:
            values = {k: v for k, v in asdict(done).items() if k not in {"step", "positions"}}
            values |= {f"loss_by_position/{k}": v for k, v in done.positions.items()}
            self._accelerator.log(values, step=number)
        if config.sample_every_steps and number % config.sample_every_steps == 0:
            self._show(number)
        if self._accelerator.is_main_process:
            self._note(done)

    def _note(self, done: StepReport) -> None:
        """Leave word for ``following``, every other second."""
        now = time.monotonic()
        if now - self._written < SECONDS_BETWEEN_NOTES:
            return
        self._written = now
        self._file.parent.mkdir(parents=True, exist_ok=True)
        aside = self._file.with_name(f".{PROGRESS_FILE}.{os.getpid()}")
        num_steps = self._config.steps.num_steps
        seconds_left = (
            (num_steps - done.step - 1)
            * self._config.windows.batch_size
            * self._accelerator.num_processes
            / done.samples_per_second
        )
        aside.write_text(
            json.dumps(
                {
                    "title": self._title,
                    "step": done.step + 1,
                    "num_steps": num_steps,
                    "loss": done.loss,
                    "samples_per_second": done.samples_per_second,
                    "seconds_left": seconds_left,
                }
            )
        )
        aside.replace(self._file)

    def _show(self, step: int) -> None:
        """True and sampled frames of the first batch, one above the other, to the trackers."""
        if not self._accelerator.is_main_process:
            return
        self._model.eval()
        image_HWC = sampled_frames(self._model, self._batches, self._config)
        self._model.train()
        name = "retrieved" if self._config.task == "pretrain" else "next"
        for tracker in self._accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({name: image_HWC[None]}, step, dataformats="NHWC")
            elif tracker.name == "wandb":
                tracker.log_images({name: [image_HWC]}, step)


def sampled_frames(
    model: MemoryDiT, batches: WindowBatches, config: TrainConfig
) -> NDArray[np.uint8]:
    """The target frames of some samples, true ones above sampled ones, uint8 ``(H, W, 3)``."""
    vae = load_vae(str(config.vae), device=str(model.patch_embedding.weight.device))
    batch = batches[0]
    lrs_BCTHW = (batch.lr_BCTHW, *batch.more_lr_BCTHW)
    columns = []
    for clip in range(min(NUM_SHOWN, len(batch.hr_BCTHW))):
        index = batch.frame_index_BT[clip].tolist()
        sampled_TCHW = retrieve_latents(
            model,
            hr_TCHW=batch.hr_BCTHW[clip].transpose(0, 1).numpy(),
            lrs_TCHW=[lr[clip].transpose(0, 1).numpy() for lr in lrs_BCTHW],
            omega=index,
            text=batch.text_of(clip),
            settings=SamplerSettings(num_steps=8, shift=config.objective.shift),
            seed=config.steps.seed,
        )
        true_TCHW = batch.target_BCTHW[clip].transpose(0, 1).float().numpy()
        rows = [
            np.concatenate([decode_alone(vae, latent[None], [at])[-1] for latent, at in pairs], 1)
            for pairs in (
                zip(true_TCHW, index, strict=True),
                zip(sampled_TCHW, index, strict=True),
            )
        ]
        columns.append(np.concatenate(rows))
    return np.concatenate(columns, axis=1)


@contextmanager
def following(folder: Path, progress: Progress | None) -> Iterator[None]:
    """Pass on what the trainings under ``folder`` leave word of, until the block ends."""
    if progress is None:
        yield
        return
    ended = Event()
    thread = Thread(target=_follow, args=(folder, progress, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _follow(folder: Path, progress: Progress, ended: Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_NOTES):
        words = [_word(path) for path in sorted(folder.glob(f".state-*/{PROGRESS_FILE}"))]
        if said := "; ".join(word for word in words if word):
            progress.note(said)


def _word(path: Path) -> str:
    try:
        said: dict[str, Any] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return ""
    minutes = said["seconds_left"] / 60
    return (
        f"{said['title']}: step {said['step']} of {said['num_steps']}, loss {said['loss']:.3f}, "
        f"{said['samples_per_second']:.2f} samples/s, about {minutes:.0f} min left"
    )
