"""The train stage: one row a variant, each a training of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pfp.errors import WeightsError
from pfp.io.digests import sha256_json
from pfp.models._folders import weights_sha256
from pfp.models.tiny_names import tiny_folder, variant_folder
from pfp.runtime import Resources, Stage
from pfp.schema import CheckpointRecord
from pfp.schema.run_directory import RunDirectory, TableLocation
from pfp.train.clip_list import ClipList
from pfp.train.split import lowest_digests
from pipelines.train.config import WITHOUT_PRETRAIN, Task, TrainConfig, checkpoint_folder

VERSION: Final = 2  # raise it when equal settings come to mean another training
_WAITING_CPUS: Final = 0.01  # of a worker that has other processes do the work
# How a checkpoint is watched and by how many it is made changes nothing in it. (At which step it is
# taken does, and is a column.)
_IRRELEVANT: Final = (
    *("variants", "num_workers", "num_gpus_per_process", "num_cpus_per_process", "max_restarts"),
    *("num_loader_workers", "trackers", "log_every_steps", "sample_every_steps", "vae"),
    *("base_folder", "device_memory_gb", "export_every_steps", "keep_checkpoints"),
    *("validate_every_steps", "validation", "finish_at"),
)


def checkpoints_table(run_directory: str, task: Task) -> TableLocation[CheckpointRecord]:
    """Beside the variants' folders, which are not Parquet, a table for each task."""
    run = RunDirectory(run_directory)
    return run.pretrained if task == "pretrain" else run.finetuned


def train_stage(config: TrainConfig, input_directory: str, output_directory: str) -> Stage:
    """The stage; a checkpoint depends on its start, its data (a column) and all settings."""
    # Here and not above, because it takes torch, and ``--help`` needs only the settings.
    from pipelines.train.worker import TrainVariant, failed_checkpoint

    alone = config.num_processes == 1
    return Stage(
        name="train" if config.task == "pretrain" else config.task,
        record=CheckpointRecord,
        worker=TrainVariant,
        worker_args={
            "config": config,
            "input_directory": input_directory,
            "output_directory": output_directory,
        },
        input_key="checkpoint_id",
        content_columns=("training_sha256", "finish_at"),
        fingerprint=sha256_json({"version": VERSION}),  # the rest is in training_sha256
        resources=Resources(
            batch_size=1,
            num_workers=config.num_workers,
            num_cpus=config.num_cpus_per_process if alone else _WAITING_CPUS,
            num_gpus=config.num_gpus_per_process if alone else 0,
        ),
        on_error=failed_checkpoint,
        config=config,
    )


def train_inputs(
    config: TrainConfig,
    run_directory: str,
    vae_sha256: str,
    *,
    clips: ClipList,
    held_out_ids: list[str],
    data_sha256: str,
) -> pa.Table:
    """One row a variant: where it starts, what it sees, and what its loss is measured on."""
    base = tiny_folder() / "base" if config.base_folder is None else Path(config.base_folder)
    rows: list[dict[str, Any]] = []
    for name in config.variants:
        model = config.model_for(name)
        start = start_folder(config, name, run_directory)
        row = {
            "checkpoint_id": config.title(name),
            "task": config.task,
            "variant": name,
            "rate": model.rate,
            "base": model.base,
            "base_sha256": weights_sha256(base),
            "vae_sha256": vae_sha256,
            "start_folder": None if start is None else str(start),
            "start_sha256": None if start is None else weights_sha256(start),
            "clip_ids_sha256": clips.sha256,
            "num_clips": clips.num_clips,
            "held_out_ids": lowest_digests(held_out_ids, config.validation.num_windows),
            "data_sha256": data_sha256,
            "finish_at": config.finish_at,
        }
        rows.append({**row, "training_sha256": training_sha256(config, row)})
    return pa.Table.from_pylist(rows, schema=_INPUT_SCHEMA)


def training_sha256(config: TrainConfig, row: Mapping[str, Any]) -> str:
    """The digest of all that a training depends on: its start, its data and the settings."""
    settings = {name: value for name, value in asdict(config).items() if name not in _IRRELEVANT}
    return sha256_json({"version": VERSION, **settings, **{name: row[name] for name in _CONTENT}})


def start_folder(config: TrainConfig, name: str, run_directory: str) -> Path | None:
    """The folder whose weights a variant starts from; None for fresh ones.

    Raises WeightsError when the variant to go on from was not pretrained in this run.
    """
    if config.start == "shipped":
        return variant_folder(name)
    if config.start == "nothing" or name in (WITHOUT_PRETRAIN, "no_memory"):
        return None
    folder = checkpoint_folder(run_directory, config.model_for(name).title)
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"{folder} does not exist; run python -m pipelines.train pretrain for this variant "
            "first, or give start=nothing"
        )
    trained = json.loads((folder / "config.json").read_text())
    if trained.get("task") == "finetune":
        raise WeightsError(f"{folder} is fine-tuned already; name the run of its pretraining")
    return folder


# What a training depends on beside the settings.
_CONTENT: Final = ("variant", "start_sha256", "base_sha256", "clip_ids_sha256", "data_sha256")
_TEXT: Final = pa.string()
_INPUT_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, _TEXT) for name in ("checkpoint_id", "task", "variant", "rate", "base")),
        *(pa.field(name, _TEXT) for name in ("base_sha256", "vae_sha256")),
        *(pa.field(name, _TEXT) for name in ("start_folder", "start_sha256")),
        pa.field("clip_ids_sha256", _TEXT),
        pa.field("num_clips", pa.int64()),
        pa.field("held_out_ids", pa.list_(_TEXT)),
        *(pa.field(name, _TEXT) for name in ("data_sha256", "finish_at", "training_sha256")),
    ]
)
