"""The caption stage over a run directory: ``clips/`` in, ``storyboards/`` out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from pfp.cli.stage import stage_main
from pfp.runtime import Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema.run_directory import RunDirectory
from pipelines.caption.config import PRESETS, CaptionConfig, route_of
from pipelines.caption.stages import caption_inputs, caption_stage
from pipelines.caption.worker import build_captioner


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    purpose = "Write storyboards for the kept clips."
    return stage_main("caption", purpose, PRESETS, run, argv, add_options=_add_options)


def run(
    config: CaptionConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
    backend: Sequence[str] = (),
) -> list[StageReport]:
    """Caption the kept clips of a run directory; ``backend`` replaces the config's route.

    Raises NothingUsable when ingest kept no clip, ConfigError before any work when a backend could
    not answer.
    """
    if backend:
        config = replace(config, route=route_of(backend))
    # 1. Every backend of the route can answer: keys, folders and settings are there.
    build_captioner(config).check_ready()
    # 2. The kept clips, each with the digest of the storyboard file beside its video.
    clips = caption_inputs(RunDirectory(input_directory).clips.path, config)
    # 3. For each clip: ask the backends in order, check, ask once more, ask the next.
    with connect(engine):
        report = run_stage(
            caption_stage(config),
            clips,
            RunDirectory(output_directory).storyboards.path,
            engine=engine,
            progress=progress,
        )
    # 4. What became of the rows, in the run's summary.
    summary.merge_stage(output_directory, report)
    return [report]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="who writes captions: sidecar, offline, gemini:MODEL, openai:MODEL@URL, "
        "qwen:DIRECTORY, replay:FILE; several are asked in order",
    )
