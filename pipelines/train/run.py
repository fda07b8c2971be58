"""The train stage over a run directory: ``latents/``, ``conditions/`` in, ``checkpoints/`` out."""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa

from pfp.cli.command import say
from pfp.errors import NothingUsable
from pfp.io.digests import sha256_json
from pfp.io.tables import read_records, read_table
from pfp.runtime import Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema import CheckpointRecord, Failed
from pfp.schema.run_directory import RunDirectory, TableLocation
from pfp.train.split import split_clips
from pipelines.train.config import PRESETS, Task, TrainConfig, finetuned
from pipelines.train.stages import checkpoints_table, start_folder, train_inputs, train_stage

PURPOSE = (
    "Train memory encoders on the latents of a run: frame-preservation pretraining, or fine-tuning "
    "on the next section."
)


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    from pfp.cli.stage import stage_main

    return stage_main("train", PURPOSE, PRESETS, run, argv, add_options=_add_task)


def _add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task",
        nargs="?",
        choices=("pretrain", "finetune"),
        default="pretrain",
        help="finetune goes on from the run's pretrained variants (default: pretrain)",
    )


def run(
    config: TrainConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
    task: Task = "pretrain",
) -> list[StageReport]:
    """Train every variant on the clips that are not held out.

    Raises NothingUsable when no clip has latents for a window of history, and errors of
    ``pipelines.train.checks`` for what would go wrong later.
    """
    # Here and not above, because they take torch, and ``--help`` needs only the settings.
    from pipelines.train import checks
    from pipelines.train.estimate import device_memory
    from pipelines.train.watch import following

    config = finetuned(config) if task == "finetune" else config
    checks.check_settings(config, engine)
    vae_sha256, latents = checks.usable_latents(input_directory, config)
    train_clips, _ = split_clips(latents, clips_per_train_clip=config.clips_per_train_clip)
    checks.check_prompts(input_directory, config)
    for name in config.variants:
        start = start_folder(config, name, output_directory)
        checks.check_start(start, config.model_for(name), vae_sha256)
    say(device_memory(config, [latents[clip].hr_shape for clip in latents]))
    keys = data_keys(input_directory, [latents[clip].result_key for clip in train_clips])
    inputs = train_inputs(config, output_directory, vae_sha256, train_clips, sha256_json(keys))
    checkpoints = checkpoints_table(output_directory, config.task)
    folder = Path(RunDirectory(output_directory).checkpoints_path)
    with connect(engine), following(folder, progress):
        report = run_stage(
            train_stage(config, input_directory, output_directory),
            inputs,
            checkpoints.path,
            engine=engine,
            progress=progress,
        )
    summary.merge_stage(output_directory, report)
    failures = told_failures(checkpoints)
    if not report.kept:
        raise NothingUsable(f"no variant could be trained: {failures[0]}")
    for failure in failures:
        say(failure)
    return [report]


def told_failures(table: TableLocation[CheckpointRecord]) -> list[str]:
    """A sentence for each variant whose training broke."""
    return [
        f"{record.checkpoint_id}: {record.verdict.message}"
        for record in read_records(*table)
        if isinstance(record.verdict, Failed)
    ]


def data_keys(directory: str, latents: list[str]) -> list[list[str]]:
    """The keys of all results that a training sees, which decide what it is made of."""
    run = RunDirectory(directory)
    return [
        latents,
        _keys(*run.storyboards),
        _keys(*run.conditions),
    ]


def _keys(directory: str, record: type) -> list[str]:
    table: pa.Table = read_table(directory, record, columns=["result_key"])
    return sorted(table["result_key"].to_pylist())
