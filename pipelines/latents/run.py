"""The latents stage over a run directory: clips and storyboards in, latents and conditions out."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.cli.stage import stage_main
from pfp.errors import NothingUsable
from pfp.io.prompts import prompt_sha256
from pfp.io.tables import read_records, read_table
from pfp.latents.conditions import prompts_of
from pfp.models.text import identify_text_encoder
from pfp.models.vae import spatial_stride_of
from pfp.runtime import Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema import ClipRecord, StoryboardRecord
from pipelines.latents.config import PRESETS, LatentsConfig
from pipelines.latents.stages import CLIP_COLUMNS, conditions_stage, latents_stage

PROMPT_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("prompt_sha256", "prompt", "encoder_id", "encoder_sha256")]
)


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    return stage_main(
        "latents", "Encode the captioned clips and their prompts.", PRESETS, run, argv
    )


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
    config.preprocess.check_stride(spatial_stride_of(config.vae))
    latents, conditions = latents_stage(config), conditions_stage(config)
    storyboards = read_records(f"{input_directory}/storyboards", StoryboardRecord, verdict="kept")
    clips = captioned_clips(f"{input_directory}/clips", storyboards)
    wanted = set(clips["clip_id"].to_pylist())
    prompts = prompts_of(story for story in storyboards if story.clip_id in wanted)
    if config.with_empty_prompt:
        prompts = sorted({"", *prompts})
    with connect(engine):
        reports = [
            run_stage(
                latents, clips, f"{output_directory}/latents", engine=engine, progress=progress
            ),
            run_stage(
                conditions,
                prompt_table(prompts, config.text_encoder),
                f"{output_directory}/conditions",
                engine=engine,
                progress=progress,
            ),
        ]
    for report in reports:
        summary.merge_stage(output_directory, report)
    return reports


def captioned_clips(directory: str, storyboards: list[StoryboardRecord]) -> pa.Table:
    """The kept clips that have one of these storyboards."""
    kept = pc.field("verdict", "kind") == "kept"
    clips = read_table(directory, ClipRecord, columns=list(CLIP_COLUMNS), filter=kept)
    names = pa.array([storyboard.clip_id for storyboard in storyboards], pa.string())
    captioned = clips.filter(pc.is_in(clips["clip_id"], value_set=names))
    if not captioned.num_rows:
        raise NothingUsable(
            f"{directory} holds {clips.num_rows} kept clips, none with a kept storyboard; look at "
            "why ingest and caption dropped them"
        )
    return captioned


def prompt_table(prompts: list[str], text_encoder: str) -> pa.Table:
    """The prompts as inputs of the conditions stage."""
    encoder_id, encoder_sha256 = identify_text_encoder(text_encoder)
    rows = [
        {
            "prompt_sha256": prompt_sha256(prompt),
            "prompt": prompt,
            "encoder_id": encoder_id,
            "encoder_sha256": encoder_sha256,
        }
        for prompt in prompts
    ]
    return pa.Table.from_pylist(rows, schema=PROMPT_SCHEMA)
