"""The proposed variant of ``test_train_processes``, trained by the processes that torchrun starts.

Arguments: the run directory, and the run directory for the checkpoint.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from pfp.schema.run_directory import RunDirectory
from pfp.train import checks
from pfp.train.clip_list import write_clip_list
from pfp.train.settings import ValidationPlan
from pfp.train.split import split_clips
from pipelines.train.config import TrainConfig, debug
from pipelines.train.stages import train_inputs
from pipelines.train.worker import TrainVariant, open_latents, run_job

NUM_STEPS = 12


def config() -> TrainConfig:
    """Steps enough to be killed between two states."""
    told = debug()
    return replace(
        told,
        variants=("proposed",),
        num_processes=2,
        num_cpus_per_process=0.5,
        steps=replace(told.steps, num_steps=NUM_STEPS, save_every_steps=4, learning_rate=1e-3),
        export_every_steps=3,
        validate_every_steps=3,
        validation=ValidationPlan(num_windows=3, num_psnr_windows=0),
    )


def main(run_directory: str, output_directory: str) -> None:
    """What the stage's worker has its processes do."""
    told = config()
    run = RunDirectory(run_directory)
    vae_sha256, latents, _ = checks.usable_latents(
        run,
        open_latents(run, told.model.rates),
        base=told.model.base,
        windows=told.windows,
    )
    clips, held_out = split_clips(latents, held_out_share=told.held_out_share)
    rows = train_inputs(
        told,
        output_directory,
        vae_sha256,
        clips=write_clip_list(RunDirectory(output_directory).clip_lists_path, clips),
        held_out_ids=held_out,
        data_sha256="data",
    )
    (row,) = rows.to_pylist()
    worker = TrainVariant(told, run_directory, output_directory)
    run_job(worker.job({**row, "result_key": "0" * 16}))


if __name__ == "__main__":
    main(*sys.argv[1:])
