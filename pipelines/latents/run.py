"""The latents stage over a run directory: clips and storyboards in, latents and conditions out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pfp.cli.stage import stage_main
from pfp.errors import ConfigError
from pfp.io.filesystems import explain_write_errors
from pfp.latents.plan import describe
from pfp.models.vae import spatial_stride_of
from pfp.runtime import Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema.run_directory import RunDirectory
from pipelines.latents.config import PRESETS, LatentsConfig
from pipelines.latents.inputs import read_inputs
from pipelines.latents.stages import conditions_stages, latents_stages

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
    # Here and not above, because it takes torch.
    from pipelines.latents.plan import plan_run

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
    of_clips = latents_stages(config)
    stages = [*of_clips, *conditions_stages(config)]
    clips, prompts = read_inputs(config, input_directory)
    inputs = [*(clips for _ in of_clips), *prompts]
    output = RunDirectory(output_directory)
    with connect(engine):
        reports = [
            run_stage(stage, rows, output.table(stage.name).path, engine=engine, progress=progress)
            for stage, rows in zip(stages, inputs, strict=True)
        ]
    for report in reports:
        summary.merge_stage(output_directory, report)
    return reports
