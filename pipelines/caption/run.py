"""The caption stage over a run directory: ``clips/`` in, ``storyboards/`` out."""

from __future__ import annotations

import argparse
import sys

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import NothingUsable, PfpError
from pfp.io.tables import read_table
from pfp.runtime import ConsoleProgress, Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema import ClipRecord
from pfp.vlm.sidecar import sidecar_digests
from pipelines.caption.config import PRESETS, CaptionConfig, with_settings
from pipelines.caption.stages import CLIP_COLUMNS, build_captioner, caption_stage


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        config = with_settings(PRESETS[arguments.preset](), arguments.set)
        run(
            config,
            input_directory=arguments.input or arguments.output,
            output_directory=arguments.output,
            engine=arguments.engine,
            progress=ConsoleProgress(),
        )
    except PfpError as error:
        print(f"caption: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def run(
    config: CaptionConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> list[StageReport]:
    """Caption the kept clips of a run directory.

    Raises NothingUsable when ingest kept no clip, ConfigError before any work when a backend could
    not answer.
    """
    build_captioner(config).check_ready()
    clips = caption_inputs(f"{input_directory.rstrip('/')}/clips", config)
    output = output_directory.rstrip("/")
    with connect(engine):
        report = run_stage(
            caption_stage(config), clips, f"{output}/storyboards", engine=engine, progress=progress
        )
    summary.merge_stage(output, report)
    return [report]


def caption_inputs(directory: str, config: CaptionConfig) -> pa.Table:
    """The kept clips, with the digest of each one's own storyboard where the route looks at it.

    That column is what makes a storyboard that was edited, added or removed recompute its row.
    """
    kept = pc.field("verdict", "kind") == "kept"
    clips = read_table(directory, ClipRecord, columns=list(CLIP_COLUMNS), filter=kept)
    if not clips.num_rows:
        raise NothingUsable(f"{directory} holds no kept clip; look at why ingest dropped them")
    digests: list[str | None] = [None] * clips.num_rows
    if "sidecar" in config.backends:
        digests = sidecar_digests(clips["video_uri"].to_pylist())
    return clips.append_column("sidecar_sha256", pa.array(digests, pa.string()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.caption", description="Write storyboards for the kept clips."
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="demo")
    parser.add_argument("--input", help="run directory that holds clips/ (default: --output)")
    parser.add_argument("--output", required=True, help="run directory to write storyboards/ to")
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting"
    )
    return parser
