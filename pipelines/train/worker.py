"""The worker that trains an arm, resumable in the middle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import torch

from pfp.models._folders import weights_sha256
from pfp.models.memory_dit import MemoryDiT
from pfp.models.tiny import load_arm
from pfp.models.tiny_names import arm_folder, tiny_folder
from pfp.runtime import map_rows
from pfp.schema import KEPT, CheckpointRecord, Failed
from pfp.train.loop import TrainSettings, train
from pfp.train.order import WindowPlan
from pipelines.train.config import TrainConfig
from pipelines.train.data import run_batches


class TrainArm:
    """Trains one arm from its shipped weights; the folder appears whole or not at all."""

    def __init__(self, config: TrainConfig, input_directory: str, output_directory: str) -> None:
        self._config = config
        self._input_directory = input_directory
        self._output = Path(output_directory)
        # One thread, however many cores there are: sums in another order are other weights.
        torch.set_num_threads(1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``CheckpointRecord`` row per arm."""
        return map_rows(batch, self._train, failed_checkpoint)

    def _train(self, row: Mapping[str, Any]) -> CheckpointRecord:
        config = self._config
        model = load_arm(arm_folder(row["arm"]))
        if row["clip_ids"]:
            plan = WindowPlan(
                batch_size=config.batch_size,
                history_frames=config.history_frames,
                num_targets=config.num_targets,
                continue_share=config.continue_share,
            )
            batches = run_batches(
                self._input_directory, row["clip_ids"], self._vae_sha256(), plan, seed=config.seed
            )
            train(
                model,
                lambda step, _generator: batches[step].to("cpu"),
                self._settings(),
                self._state_folder(row),
                report=lambda _step, _loss: None,
            )
        return self._record(row, model)

    def _record(self, row: Mapping[str, Any], model: MemoryDiT) -> CheckpointRecord:
        config, num_steps = self._config, self._config.num_steps if row["clip_ids"] else 0
        folder = self._output / "checkpoints" / row["checkpoint_id"].replace(" ", "-")
        aside = folder.with_name(f".{folder.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        card = {
            "base_sha256": row["base_sha256"],
            "vae_sha256": row["vae_sha256"],
            "start_sha256": row["start_sha256"],
            "clip_ids": row["clip_ids"],
            "num_steps": num_steps,
            "seed": config.seed,
        }
        model.save_pretrained(aside, dtype=torch.float32, card=card)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
        shutil.rmtree(self._state_folder(row), ignore_errors=True)
        return CheckpointRecord(
            **{name: row[name] for name in _SHARED_COLUMNS},
            num_steps=num_steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            seed=config.seed,
            num_trained=sum(parameter.numel() for parameter in model.trainable_parameters()),
            uri=folder.relative_to(self._output).as_posix(),
            sha256=weights_sha256(folder),
            verdict=KEPT,
        )

    def _settings(self) -> TrainSettings:
        return TrainSettings(
            num_steps=self._config.num_steps,
            learning_rate=self._config.learning_rate,
            warmup_steps=max(1, self._config.num_steps // 10),
            seed=self._config.seed,
            save_every_steps=self._config.save_every_steps,
        )

    def _state_folder(self, row: Mapping[str, Any]) -> Path:
        """Where a training that is under way keeps its state; named after all it depends on."""
        return self._output / "checkpoints" / f".state-{row['result_key'][:16]}"

    def _vae_sha256(self) -> str:
        return weights_sha256(tiny_folder() / "vae")


_SHARED_COLUMNS: Final = (
    *(
        "checkpoint_id",
        "arm",
        "rate",
        "base",
        "base_sha256",
        "vae_sha256",
        "start_sha256",
        "clip_ids",
    ),
)


def failed_checkpoint(row: Mapping[str, Any], verdict: Failed) -> CheckpointRecord:
    """The record of an arm whose training broke."""
    return CheckpointRecord(**{name: row[name] for name in _SHARED_COLUMNS}, verdict=verdict)
