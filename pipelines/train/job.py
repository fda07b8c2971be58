"""One training, from tables and weights to a checkpoint folder: the recipe of every process of it.

Axes: B batch, L text tokens, D text features, P channels of pooled text.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from pfp.models.memory.checkpoint import EMA_FOLDER, load_base, own_weights
from pfp.models.memory.dit import MemoryDiT
from pfp.train.loader import WindowBatches, batch_loader
from pfp.train.loop import Trained, train
from pfp.train.objective import Batch, Denoising
from pfp.train.sharding import shard
from pipelines.train.config import TrainConfig
from pipelines.train.data import empty_prompt, run_batches
from pipelines.train.watch import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that a process needs to know; ``card`` goes into the checkpoint's config.json.

    ``state_folder`` and ``checkpoint_folder`` must be seen by all processes.
    """

    config: TrainConfig
    variant: str
    clip_ids: tuple[str, ...]
    run_directory: str
    start_folder: str | None
    state_folder: str
    checkpoint_folder: str
    card: Mapping[str, Any]


def run_job(job: Job) -> None:
    """Train one variant, in this process and in the others of its group, if it has one."""
    config = job.config
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        log_with=list(config.trackers) or None,
        project_dir=str(Path(job.checkpoint_folder).with_name("_curves")),
    )
    if accelerator.device.type == "cpu":
        # One thread, however many cores there are: sums in another order are other weights.
        torch.set_num_threads(1)
    model = starting_model(job)
    if job.clip_ids:
        trained = train_model(job, model, accelerator)
        save(job, model, accelerator, trained)
    else:
        save(job, model, accelerator, None)
    accelerator.end_training()


def starting_model(job: Job) -> MemoryDiT:
    """The model with the weights of ``start_folder``, or fresh ones from the seed."""
    config, settings = job.config, job.config.model_for(job.variant)
    dtype = getattr(torch, config.base_dtype)
    dit = load_base(settings.base, config.base_folder, job.card, dtype=dtype, device="cpu")
    torch.manual_seed(config.steps.seed)
    model = MemoryDiT(dit, settings)
    if job.start_folder is not None:
        model.load(Path(job.start_folder))
    return model


def train_model(job: Job, model: MemoryDiT, accelerator: Accelerator) -> Trained:
    """Train in place on the run's windows, going on from the state that an earlier process left."""
    config = job.config
    rank, num_ranks = accelerator.process_index, accelerator.num_processes
    batches = run_batches(job.run_directory, job.clip_ids, config, rank=rank, world_size=num_ranks)
    empty = empty_prompt(job.run_directory, config) if config.objective.text_free_share else None
    denoising = Denoising(model, config.objective, empty)
    if config.sharded:
        shard(denoising, device_type=accelerator.device.type, num_ranks=num_ranks)
    watcher = Watcher(
        config,
        accelerator,
        model,
        batches,
        name=Path(job.checkpoint_folder).name,
        title=job.card["title"],
        state_folder=Path(job.state_folder),
    )
    return train(
        denoising,
        lambda first: batches_from(batches, first, config),
        config.steps,
        Path(job.state_folder),
        report=watcher.look,
        accelerator=accelerator,
        sharded=config.sharded,
    )


def batches_from(batches: WindowBatches, first: int, config: TrainConfig) -> Iterable[Batch]:
    """The loader of the steps that are left."""
    steps = range(first, config.steps.num_steps)
    return batch_loader(batches, steps, num_workers=config.num_loader_workers)


def save(job: Job, model: MemoryDiT, accelerator: Accelerator, trained: Trained | None) -> None:
    """Write the checkpoint, and the averages beside it; the folder appears whole or not at all."""
    weights = own_weights(model)
    averaged = trained.whole_averages() if trained else {}
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    folder = Path(job.checkpoint_folder)
    aside = folder.with_name(f".{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    model.save_pretrained(aside, card=job.card, weights=weights)
    if averaged:
        model.save_pretrained(aside / EMA_FOLDER, card=job.card, weights={**weights, **averaged})
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def card_of(config: TrainConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint says of where it comes from."""
    return {
        "title": row["checkpoint_id"],
        "task": config.task,
        "base_sha256": row["base_sha256"],
        "vae_sha256": row["vae_sha256"],
        "start_sha256": row["start_sha256"],
        "data_sha256": row["data_sha256"],
        "clip_ids": list(row["clip_ids"]),
        "num_steps": config.steps.num_steps if row["clip_ids"] else 0,
        "seed": config.steps.seed,
        "num_text_tokens": config.num_text_tokens,
        "objective": asdict(config.objective),
    }
