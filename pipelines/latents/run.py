"""The latents stage over a run directory: clips and storyboards in, latents and conditions out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pfp.cli.stage import stage_main
from pfp.errors import ConfigError, SchemaError
from pfp.io.filesystems import explain_write_errors
from pfp.io.tables import read_table
from pfp.latents.inputs import clip_of, prompt_table, read_inputs
from pfp.latents.plan import (
    LatentsPlan,
    PromptRates,
    TablePlan,
    buckets_of,
    clip_size,
    describe,
    embedding_bytes,
    estimated_bytes,
    num_clip_frames,
)
from pfp.models.vae import spatial_stride_of
from pfp.runtime import (
    NoProgress,
    Progress,
    StageReport,
    backlog,
    connect,
    run_stage,
    summary,
)
from pfp.runtime.run import Backlog, Engine
from pfp.schema.latent import ITEM_BYTES
from pfp.schema.run_directory import RunDirectory
from pipelines.latents.config import PRESETS, LatentsConfig
from pipelines.latents.stages import conditions_stage, latents_stage, lr_copy_stage
from pipelines.latents.worker import decode_guard, load_text_encoder_here, load_vae_here

if TYPE_CHECKING:  # importing it takes torch
    from pfp.models.vae.latent_vae import LatentVAE

USD_PER_GB_MONTH = 0.023  # the list price of the first tier of Amazon S3 Standard


def main(argv: list[str] | None = None) -> int:
    """Run or plan the stage as the command line says; the exit status is 0, or 2 for bad input."""
    purpose = "Encode the captioned clips and their prompts."
    return stage_main("latents", purpose, PRESETS, _run_or_plan, argv, add_options=_add_options)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plan",
        action="store_true",
        help="encode nothing; measure on a few clips and print bytes, hours and price",
    )
    parser.add_argument("--plan-json", metavar="FILE", help="with --plan: also write it as JSON")
    parser.add_argument(
        "--usd-per-gb-month",
        type=float,
        default=USD_PER_GB_MONTH,
        metavar="USD",
        help="with --plan: the price of storage (default: %(default)s)",
    )


def _run_or_plan(
    config: LatentsConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine,
    progress: Progress,
    plan: bool,
    plan_json: str | None,
    usd_per_gb_month: float,
) -> None:
    where = {"input_directory": input_directory, "output_directory": output_directory}
    if not plan:
        if plan_json is not None:
            raise ConfigError(f"--plan-json {plan_json} is for a plan; give --plan too")
        run(config, **where, engine=engine, progress=progress)
        return
    planned = plan_run(config, **where, usd_per_gb_month=usd_per_gb_month, progress=progress)
    print(describe(planned))
    if plan_json is not None:
        with explain_write_errors(plan_json):
            Path(plan_json).write_text(json.dumps(planned.to_json(), indent=2) + "\n")


def run(
    config: LatentsConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> list[StageReport]:
    """Encode every kept clip that has a kept storyboard, and every distinct prompt of these.

    Raises NothingUsable when there is no such clip, ConfigError and WeightsError before any work
    when the VAE or the text encoder do not fit the settings or are not there.
    """
    config.check_stride(spatial_stride_of(config.vae))
    out = RunDirectory(output_directory)

    # The tables to make, each resumed by itself: HR latents with the LR copy for the config's rate,
    # further LR copies, and the conditions of each text encoder. Missing weights are missed here.
    of_clips = [latents_stage(config), *map(lr_copy_stage, config.lr_copies)]
    of_prompts = [
        (conditions_stage(config, name, encoder), encoder)
        for name, encoder in config.text_encoders.items()
    ]

    # Every kept clip that has a kept storyboard, and the distinct captions of these storyboards.
    clips, prompts = read_inputs(
        RunDirectory(input_directory), with_empty_prompt=config.with_empty_prompt
    )
    work = [
        *((stage, clips) for stage in of_clips),
        *((stage, prompt_table(prompts, encoder)) for stage, encoder in of_prompts),
    ]
    with connect(engine):
        reports = [
            run_stage(stage, rows, out.table(stage.name).path, engine=engine, progress=progress)
            for stage, rows in work
        ]
    for report in reports:
        summary.merge_stage(output_directory, report)
    return reports


def plan_run(
    config: LatentsConfig,
    *,
    input_directory: str,
    output_directory: str,
    usd_per_gb_month: float,
    progress: Progress | None = None,
) -> LatentsPlan:
    """What ``run`` would do with the same arguments; nothing is written.

    Pooled conditions, one vector a prompt, are too few bytes to count.

    Raises what ``run`` raises before any work, and NothingUsable when no clip that it tries can be
    decoded. Without ``num_workers`` the hours are those of one worker.
    """
    config.check_stride(spatial_stride_of(config.vae))
    out = RunDirectory(output_directory)
    stage = conditions_stage(config, "conditions", config.text_encoder)
    clips, prompts = read_inputs(
        RunDirectory(input_directory), with_empty_prompt=config.with_empty_prompt
    )
    tables = plan_tables(config, clips, out, progress or NoProgress())
    left = backlog(stage, prompt_table(prompts, config.text_encoder), out.conditions.path)
    rates = prompt_rates(config, left.todo["prompt"].to_pylist())
    known = condition_bytes(out, left.kept_keys)
    return LatentsPlan(
        tables=tables,
        num_prompts=len(prompts),
        num_prompts_left=left.todo.num_rows,
        condition_bytes=sum(known) + estimated_bytes(known, rates, len(prompts) - len(known)),
        num_workers=config.num_workers or 1,
        num_decoders=config.num_decoders,
        prompt_rates=rates,
        usd_per_gb_month=usd_per_gb_month,
    )


def plan_tables(
    config: LatentsConfig, clips: pa.Table, out: RunDirectory, progress: Progress
) -> tuple[TablePlan, ...]:
    """The tables of latents: what they hold in the end, and how fast this machine makes it."""
    vae = load_vae_here(config)
    work = [
        (config, latents_stage(config), True),
        *((copy, lr_copy_stage(copy), False) for copy in config.lr_copies),
    ]
    return tuple(
        plan_table(
            own,
            stage.name,
            clips,
            backlog(stage, clips, out.table(stage.name).path),
            vae,
            progress=progress,
            with_hr=with_hr,
        )
        for own, stage, with_hr in work
    )


def plan_table(
    config: LatentsConfig,
    name: str,
    clips: pa.Table,
    left: Backlog,
    vae: LatentVAE,
    *,
    progress: Progress,
    with_hr: bool,
) -> TablePlan:
    """One table. Clips that failed for good, or that decoding will refuse, get no latents."""
    # Here and not above, because it takes torch, and ``--help`` needs only the settings.
    from pfp.latents.timing import measure_clips

    clips_left = [clip_of(row) for row in left.todo.to_pylist()]
    usable = {*left.kept_keys, *(clip.clip_id for clip in clips_left)}
    sizes = (
        clip_size(clip) if clip.clip_id in usable else None
        for clip in map(clip_of, clips.to_pylist())
    )
    with decode_guard(config) as guard:
        rates = measure_clips(
            vae,
            clips_left,
            config.preprocess,
            guard,
            progress,
            with_hr=with_hr,
            max_held_bytes=config.handover_bytes,
        )
    return TablePlan(
        name=name,
        buckets=buckets_of(
            sizes,
            config.preprocess,
            z_channels=vae.z_channels,
            spatial_stride=vae.spatial_stride,
            bytes_per_value=ITEM_BYTES[config.stored_dtype],
            with_hr=with_hr,
        ),
        num_clips_left=len(clips_left),
        num_frames_left=sum(
            num_clip_frames(clip, fps=config.preprocess.fps) for clip in clips_left
        ),
        clip_rates=rates,
    )


def prompt_rates(config: LatentsConfig, prompts: list[str]) -> PromptRates | None:
    """How fast this machine embeds some of the prompts; None without prompts."""
    from pfp.latents.timing import measure_prompts

    if not prompts:
        return None
    return measure_prompts(load_text_encoder_here(config, config.text_encoder), prompts)


def condition_bytes(out: RunDirectory, kept_keys: frozenset[str]) -> list[int]:
    """The sizes of the embeddings that the table has already; none without a table."""
    try:
        table = read_table(*out.conditions, columns=["prompt_sha256", "embedding_shape"])
    except SchemaError:
        return []
    rows = table.filter(
        pc.is_in(table["prompt_sha256"], value_set=pa.array(sorted(kept_keys), pa.string()))
    )
    return [embedding_bytes(shape) for shape in rows["embedding_shape"].to_pylist()]
