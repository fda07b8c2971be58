"""The train stage: one row an arm, each trained by one worker."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

import pyarrow as pa

from pfp.io.digests import sha256_json
from pfp.models._folders import weights_sha256
from pfp.models.tiny_names import arm_folder, tiny_folder
from pfp.models.vae import vae_digest
from pfp.runtime import Resources, Stage
from pfp.schema import CheckpointRecord
from pipelines.train.config import TrainConfig

VERSION: Final = 1  # raise it when equal settings come to mean another training


def train_stage(config: TrainConfig, input_directory: str, output_directory: str) -> Stage:
    """The stage; a checkpoint depends on its start, its data (a column) and all settings."""
    # Here and not above, because it takes torch, and ``--help`` needs only the settings.
    from pipelines.train.worker import TrainArm, failed_checkpoint

    settings = {k: v for k, v in asdict(config).items() if k not in {"arms", "num_workers"}}
    return Stage(
        name="train",
        record=CheckpointRecord,
        worker=TrainArm,
        worker_args={
            "config": config,
            "input_directory": input_directory,
            "output_directory": output_directory,
        },
        input_key="checkpoint_id",
        content_columns=("arm", "start_sha256", "base_sha256", "clip_ids", "data_sha256"),
        fingerprint=sha256_json({"version": VERSION, **settings}),
        resources=Resources(batch_size=1, num_workers=config.num_workers),
        on_error=failed_checkpoint,
    )


def train_inputs(config: TrainConfig, clip_ids: list[str], data_sha256: str) -> pa.Table:
    """One row an arm: where it starts and what it sees."""
    rows = []
    for arm in config.arms:
        folder = arm_folder(arm)
        described = json.loads((folder / "config.json").read_text())
        title = arm if arm == "no_memory" else f"{arm} {described['rate']}"
        rows.append(
            {
                "checkpoint_id": title,
                "arm": arm,
                "rate": described["rate"],
                "base": described["base"],
                "base_sha256": weights_sha256(tiny_folder() / "base"),
                "vae_sha256": vae_digest("tiny"),
                "start_sha256": weights_sha256(folder),
                "clip_ids": clip_ids,
                "data_sha256": data_sha256,
            }
        )
    return pa.Table.from_pylist(rows)
