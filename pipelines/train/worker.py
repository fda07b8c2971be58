"""The worker that has a variant trained: by itself, or by several processes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from safetensors import safe_open

from pfp.models._folders import weights_sha256
from pfp.runtime import map_rows
from pfp.schema import KEPT, CheckpointRecord, Failed
from pfp.schema.run_directory import RunDirectory
from pipelines.train.config import TrainConfig, checkpoint_folder
from pipelines.train.job import Job, card_of, run_job


class TrainVariant:
    """Trains one variant after the other; a checkpoint's folder appears whole or not at all."""

    def __init__(self, config: TrainConfig, input_directory: str, output_directory: str) -> None:
        self._config = config
        self._input_directory = input_directory
        self._output = Path(output_directory)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``CheckpointRecord`` row per variant."""
        return map_rows(batch, self._train, failed_checkpoint)

    def _train(self, row: Mapping[str, Any]) -> CheckpointRecord:
        job = self.job(row)
        if self._config.num_processes == 1:
            run_job(job)
        else:
            from pipelines.train.distributed import run_on_processes

            run_on_processes(job)
        shutil.rmtree(job.state_folder, ignore_errors=True)
        return self._record(row, Path(job.checkpoint_folder))

    def job(self, row: Mapping[str, Any]) -> Job:
        """What the processes of a variant's training are told."""
        # Named after all that the training depends on, so that no other goes on from it.
        state = (
            Path(RunDirectory(self._output).checkpoints_path) / f".state-{row['result_key'][:16]}"
        )
        return Job(
            config=self._config,
            variant=row["variant"],
            clip_ids=tuple(row["clip_ids"]),
            run_directory=self._input_directory,
            start_folder=row["start_folder"],
            state_folder=str(state),
            checkpoint_folder=str(checkpoint_folder(str(self._output), row["checkpoint_id"])),
            card=card_of(self._config, row),
        )

    def _record(self, row: Mapping[str, Any], folder: Path) -> CheckpointRecord:
        config, steps = self._config, self._config.steps
        return CheckpointRecord(
            **{name: row[name] for name in _SHARED_COLUMNS},
            num_steps=steps.num_steps if row["clip_ids"] else 0,
            batch_size=config.windows.batch_size * config.num_processes,
            learning_rate=steps.learning_rate,
            seed=steps.seed,
            num_trained=_num_values(folder),
            uri=folder.relative_to(self._output).as_posix(),
            sha256=weights_sha256(folder),
            verdict=KEPT,
        )


def _num_values(folder: Path) -> int:
    """How many numbers a checkpoint's weight files hold."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            sizes = (file.get_slice(name).get_shape() for name in file.keys())  # noqa: SIM118 - not a dict
            total += sum(_product(size) for size in sizes)
    return total


def _product(size: list[int]) -> int:
    product = 1
    for side in size:
        product *= side
    return product


_SHARED_COLUMNS: Final = (
    *("checkpoint_id", "task", "variant", "rate", "base", "base_sha256", "vae_sha256"),
    *("start_sha256", "clip_ids"),
)


def failed_checkpoint(row: Mapping[str, Any], verdict: Failed) -> CheckpointRecord:
    """The record of a variant whose training broke."""
    return CheckpointRecord(**{name: row[name] for name in _SHARED_COLUMNS}, verdict=verdict)
