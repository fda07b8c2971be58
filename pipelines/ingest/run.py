"""The ingest stage: a folder of video files in, ``clips/`` and ``clips/_measured/`` out."""

from __future__ import annotations

import time

import pyarrow as pa
import yaml

from pfp.errors import InvariantError, NothingUsable, SchemaError
from pfp.ingest.decide import (
    decide,
    drop_by_filters,
    drop_exact_duplicates,
    drop_near_duplicates,
)
from pfp.ingest.discover import discover
from pfp.ingest.recipe import Recipe, load_recipe
from pfp.ingest.recognise import recognise, with_times
from pfp.io.filesystems import Folder
from pfp.io.tables import read_table, write_table
from pfp.runtime import Progress, StageReport, connect, report_of, run_stage, summary
from pfp.runtime.run import Engine
from pfp.runtime.stage_config import StageConfig
from pfp.schema import ClipRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.run_directory import RECIPE_NAME, RunDirectory
from pipelines.ingest.config import PRESETS, IngestConfig
from pipelines.ingest.stages import measure_stage

_MAX_REASONS = 3


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    from pfp.cli.stage import stage_main

    return stage_main(
        "ingest",
        "Measure the video files of a folder and choose the clips to keep.",
        PRESETS,
        run,
        argv,
        input_help="folder of video files",
        input_required=True,
    )


def run(
    config: IngestConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> list[StageReport]:
    """Measure every file below the input folder and decide which are clips.

    Raises InputError for a folder without files, ConfigError for a recipe that cannot be used, and
    NothingUsable, after the tables and the report are written, when no clip is kept.
    """
    started = time.monotonic()
    out = RunDirectory(output_directory)
    recipe = load_recipe(config.recipe)  # every threshold, from YAML

    # Every file, whatever its name. One that was touched since an earlier run, or linked, has
    # another time of change but the bytes that were measured: it keeps the time under which it was.
    files = discover(input_directory, skip=(output_directory,))
    touched = recognise(files, _measured_before(out.measured.path))

    # Measure: each file is decoded once, whole, in a child process that may be killed.
    with connect(engine):
        measured = run_stage(
            measure_stage(config),
            with_times(files, touched.measured_ns),
            out.measured.path,
            engine=engine,
            progress=progress,
        )

    # Decide: one step after the other drops some. Nothing is decoded for other thresholds.
    videos = with_times(read_table(*out.measured), touched.changed_ns)
    clips = decide(
        videos,
        [
            drop_by_filters(recipe.filters),  # in the recipe's order; the first names the reason
            drop_exact_duplicates(),
            drop_near_duplicates(recipe.near_duplicates),
        ],
        recipe,
    )

    # Every file is one row: kept, dropped for a reason, or failed.
    if clips.num_rows != files.num_rows:
        message = f"{files.num_rows} files became {clips.num_rows} clips; please report it"
        raise InvariantError(message)
    write_table(out.clips.path, clips, ClipRecord)
    _write_recipe(out.clips.path, recipe)
    StageConfig.of("ingest", config).write(out.clips.path)
    report = report_of("ingest", clips, seconds=time.monotonic() - started, reused=measured.reused)
    summary.merge_stage(output_directory, report)
    if progress is not None:
        progress.finish(report)
    if not report.kept:
        raise NothingUsable(_nothing_kept(report, input_directory))
    return [report]


def _measured_before(directory: str) -> pa.Table | None:
    """What an earlier run knows of its files; None if there was none, or of another pfp."""
    columns = ["video_uri", "size_bytes", "changed_ns", "video_sha256"]
    try:
        return read_table(directory, MeasuredRecord, columns=columns)
    except SchemaError:
        return None


def _write_recipe(folder: str, recipe: Recipe) -> None:
    """Leave the thresholds beside the decisions, for ``pfp why``."""
    text = yaml.safe_dump(recipe.to_json(), sort_keys=False)
    Folder.at(folder).write(RECIPE_NAME, text.encode())


def _nothing_kept(report: StageReport, input_directory: str) -> str:
    common = sorted(report.reasons.items(), key=lambda item: (-item[1], item[0]))[:_MAX_REASONS]
    reasons = ", ".join(f"{name} {count}" for name, count in common)
    files = "the one file" if report.rows_in == 1 else f"none of the {report.rows_in} files"
    kept = "is not" if report.rows_in == 1 else "is"
    return (
        f"{files} in {input_directory} {kept} a usable clip (most often: {reasons}); "
        "add other videos, or loosen the recipe"
    )
