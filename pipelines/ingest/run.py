"""The ingest stage: video files in, ``videos/_measured/``, ``videos/`` and ``clips/`` out."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError, InvariantError, SchemaError
from pfp.ingest.audio_columns import audio_filters
from pfp.ingest.inputs import gather_inputs
from pfp.ingest.recipe import load_recipe
from pfp.ingest.recognise import LISTED, recognise, with_times
from pfp.ingest.text_columns import asks_text
from pfp.ingest.tiers import check_quotas
from pfp.io.tables import read_table
from pfp.measures.text import network_files
from pfp.runtime import Progress, StageReport, connect, run_stage
from pfp.runtime.run import Engine
from pfp.runtime.stage_config import StageConfig
from pfp.schema.measured import MeasuredRecord
from pfp.schema.run_directory import RunDirectory
from pipelines.ingest.config import PRESETS, IngestConfig
from pipelines.ingest.preflight import check_decoders, check_writable
from pipelines.ingest.select import select
from pipelines.ingest.stages import audio_stage, measure_stage, text_stage


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    from pfp.cli.stage import stage_main

    return stage_main(
        "ingest",
        "Measure video files and choose the clips to keep.",
        PRESETS,
        run,
        argv,
        input_help="folder or pattern of video files, or manifest; local, s3:// or gs://",
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
    """Measure every file of the input, as ``list_inputs`` takes it, and choose the clips in them.

    The reports are those of the files and of the windows. Raises as ``list_inputs`` for an input
    that cannot be used, ConfigError for a recipe or a PyAV that cannot be used, as
    ``check_writable`` for the output, all before anything is measured, and NothingUsable, after the
    tables and the reports are written, when no clip is kept.
    """
    started = time.monotonic()
    out = RunDirectory(output_directory)
    recipe = load_recipe(config.recipe)  # every threshold, from YAML

    # What would end or spoil the run later is said now; nothing is written for a bad input.
    _check_apart(input_directory, out)
    check_decoders()
    if asks_text(recipe):
        network_files()  # what is missing is told now, not after hours

    # Every file, whatever its name, with what a manifest says of it. One that was touched since an
    # earlier run, or linked, has another time of change but the bytes that were measured: it keeps
    # the time under which it was.
    files = gather_inputs(input_directory, skip=(output_directory,))
    check_quotas(recipe.quotas, files)
    check_writable(out)
    touched = recognise(files, _measured_before(out.measured.path))

    # Measure: each file is decoded once, whole, in a child process that may be killed.
    with connect(engine):
        measured = run_stage(
            measure_stage(config),
            with_times(files.select(LISTED), touched.measured_ns),
            out.measured.path,
            engine=engine,
            progress=progress,
        )
        # Sound, where somebody asks about it: a decode of its own, of what is a video.
        if config.measure_audio or audio_filters(recipe):
            run_stage(
                audio_stage(config),
                _measured_videos(out),
                out.audio.path,
                engine=engine,
                progress=progress,
            )

        def read_text(clips: pa.Table) -> StageReport:
            where = out.text.path
            return run_stage(text_stage(config), clips, where, engine=engine, progress=progress)

        # Select: which videos are kept, and which windows of them are clips. Nothing is decoded but
        # for text, so that `python -m pipelines.ingest select --recipe FILE` does this alone.
        reports = select(
            out,
            recipe,
            StageConfig.of("ingest", config),
            told=files,
            read_text=read_text,
            changed_ns=touched.changed_ns,
            reused=measured.reused,
            started=started,
            engine=engine,
            progress=progress,
        )
    if reports[0].rows_in != files.num_rows:
        message = f"{files.num_rows} files became {reports[0].rows_in} videos; please report it"
        raise InvariantError(message)
    return reports


def _check_apart(input_directory: str, out: RunDirectory) -> None:
    """Tables must not come to lie among the files that they are about."""
    for table in (out.videos, out.clips):
        if Path(input_directory).resolve() == Path(table.path).resolve():
            message = (
                f"{input_directory} is where the table of {table.record.NAME}s of {out.uri} will "
                "lie; name another --output"
            )
            raise InputError(message)


def _measured_videos(out: RunDirectory) -> pa.Table:
    """The files that are videos, with the digests of the bytes that were measured."""
    is_video = pc.equal(pc.struct_field(pc.field("verdict"), "kind"), "kept")
    columns = ["video_uri", "video_sha256", "size_bytes"]
    return read_table(*out.measured, columns=columns, filter=is_video)


def _measured_before(directory: str) -> pa.Table | None:
    """What an earlier run knows of its files; None if there was none, or of another pfp."""
    columns = ["video_uri", "size_bytes", "changed_ns", "video_sha256"]
    try:
        return read_table(directory, MeasuredRecord, columns=columns)
    except SchemaError:
        return None
