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
from pfp.train.clip_list import write_clip_list
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
    ``pfp.train.checks`` for what would go wrong later.
    """
    # Here and not above, because they take torch, and ``--help`` needs only the settings.
    from pfp.train import checks
    from pfp.train.device_memory import told
    from pfp.train.monitor import showing_progress
    from pfp.train.window_shares import told_windows
    from pipelines.train.worker import check_device_memory, memory_plan, open_latents

    config = finetuned(config) if task == "finetune" else config
    source, out = RunDirectory(input_directory), RunDirectory(output_directory)

    # What would go wrong later is refused now, in one sentence.
    config.check(engine)
    checks.check_trackers(config.trackers)
    vae_sha256, latents, num_too_short = checks.usable_latents(
        source,
        open_latents(source, config.model.rates),
        base=config.model.base,
        windows=config.windows,
    )
    checks.check_prompts(input_directory, config.objective.text_free_share)
    for name in config.variants:
        start = start_folder(config, name, output_directory)
        checks.check_start(start, config.model_for(name), vae_sha256)

    # The clips to train on; the others are left for validation and evaluation.
    clips, held_out = split_clips(latents, held_out_share=config.held_out_share)
    data_sha256 = sha256_json(data_keys(source, [latents[clip].result_key for clip in clips]))
    if num_too_short:
        say(
            f"{num_too_short} clips are left out, shorter than the {config.windows.shortest_clip} "
            "latent frames that a window takes"
        )
    shapes = [latents[clip].hr_shape for clip in clips]
    say(told_windows(shapes, config.windows, seed=config.steps.seed))
    all_shapes = {clip.hr_shape for clip in latents.values()}
    say(told(memory_plan(config, config.num_processes), all_shapes))
    check_device_memory(config, all_shapes, config.min_processes or config.num_processes)

    # One row a variant, each a training of its own, in one process or several (worker.py).
    checkpoints = checkpoints_table(output_directory, config.task)
    with connect(engine), showing_progress(Path(out.checkpoints_path), progress):
        report = run_stage(
            train_stage(config, input_directory, output_directory),
            train_inputs(
                config,
                output_directory,
                vae_sha256,
                clips=write_clip_list(out.clip_lists_path, clips),
                held_out_ids=held_out,
                data_sha256=data_sha256,
            ),
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


def data_keys(run: RunDirectory, latents: list[str]) -> list[list[str]]:
    """The keys of all results that a training sees, which decide what it is made of."""
    return [latents, _keys(*run.storyboards), _keys(*run.conditions)]


def _keys(directory: str, record: type) -> list[str]:
    table: pa.Table = read_table(directory, record, columns=["result_key"])
    return sorted(table["result_key"].to_pylist())
