"""The caption stage over a run directory: ``clips/`` in, ``storyboards/`` out."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pfp.caption.backends.sidecar import sidecar_digests
from pfp.cli.stage import stage_main
from pfp.errors import NothingUsable
from pfp.io.tables import read_table
from pfp.runtime import Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema import ClipRecord
from pfp.schema.run_directory import RunDirectory
from pipelines.caption.config import PRESETS, CaptionConfig
from pipelines.caption.stages import CLIP_COLUMNS, build_captioner, caption_stage


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    return stage_main("caption", "Write storyboards for the kept clips.", PRESETS, run, argv)


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
    clips = caption_inputs(RunDirectory(input_directory).clips.path, config)
    with connect(engine):
        report = run_stage(
            caption_stage(config),
            clips,
            RunDirectory(output_directory).storyboards.path,
            engine=engine,
            progress=progress,
        )
    summary.merge_stage(output_directory, report)
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
