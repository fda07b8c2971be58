"""From what was measured to ``videos/`` and ``clips/``: the part of ingest that decodes nothing.

    python -m pipelines.ingest select --recipe RECIPE --output RUN

decides again, by another recipe, upon all that a run has measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import pyarrow as pa
import yaml

from pfp.cli.command import exit_status, prints_safely
from pfp.errors import NothingUsable, SchemaError
from pfp.ingest.audio_columns import NEEDED, AudioColumns, audio_filters
from pfp.ingest.clip_tables import TOLD, clip_tables, video_tables
from pfp.ingest.near_candidates import Samples
from pfp.ingest.recipe import Recipe, load_recipe
from pfp.ingest.recognise import with_times
from pfp.ingest.select import (
    Candidates,
    drop_exact_duplicates,
    drop_near_duplicates,
    drop_without_window,
    judge,
)
from pfp.ingest.text_columns import NEEDED as NEEDED_TEXT
from pfp.ingest.text_columns import asks_text, clips_to_read, drop_by_text, not_read
from pfp.ingest.tiers import assign_tiers, check_quotas, limit_to_quotas
from pfp.io.filesystems import Folder
from pfp.io.run_tables import has_table
from pfp.io.tables import iter_tables, read_table, write_tables
from pfp.runtime import ConsoleProgress, Engine, Progress, StageReport, connect, report_of, summary
from pfp.runtime.shared_tasks import TasksHere, TasksOnRay
from pfp.runtime.stage_config import StageConfig, read_config
from pfp.schema import ClipRecord, VideoRecord
from pfp.schema.run_directory import RECIPE_NAME, RunDirectory

_MAX_REASONS = 3


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Decide again as the command line says; the exit status is 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.ingest select",
        description="Choose clips again by another recipe, from what a run has measured.",
    )
    parser.add_argument("--recipe", required=True, help="name of a recipe, or a YAML file")
    parser.add_argument("--output", required=True, help="run directory of the ingest stage")
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where near duplicates are looked for: in this process, or on Ray (default local)",
    )
    arguments = parser.parse_args(argv)

    def decide_again() -> None:
        out = RunDirectory(arguments.output)
        recipe, told = load_recipe(arguments.recipe), _told_before(out)
        check_quotas(recipe.quotas, told)
        select(
            out,
            recipe,
            _config_with(arguments.recipe, out),
            told=told,
            engine=arguments.engine,
            progress=ConsoleProgress(),
        )

    return exit_status("ingest select", decide_again)


def select(
    out: RunDirectory,
    recipe: Recipe,
    config: StageConfig,
    *,
    told: pa.Table | None,
    read_text: Callable[[pa.Table], object] | None = None,
    changed_ns: Mapping[str, int] | None = None,
    reused: int = 0,
    started: float | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> list[StageReport]:
    """Write the tables of videos and clips, and report on both.

    ``told`` is what a manifest says of the files, and ``changed_ns`` when they were touched since
    they were measured, by URI. ``reused`` rows of measures are from an earlier run, and the clock
    began at ``started``. Near duplicates are looked for by ``engine``. Where the recipe asks about
    text, ``read_text`` brings its table up to date with ``clips_to_read``; None: what is stored
    must do. Raises ConfigError for a recipe that asks about audio or text that was not measured,
    and NothingUsable, after all is written, when no clip is kept.
    """
    started = time.monotonic() if started is None else started
    if asks_text(recipe) and read_text is None and not has_table(out.text):
        raise not_read("any clip")
    audio = AudioColumns(_audio_of(out), audio_filters(recipe))
    times = changed_ns or {}
    measured = (audio.beside(with_times(table, times)) for table in iter_tables(*out.measured))

    # Filters, in the recipe's order; the first names the reason. Windows of what they keep.
    candidates = judge(measured, recipe)
    videos = drop_without_window(candidates, recipe.windows)
    # Of equal videos the first stays, of those that show the same the best.
    videos = drop_exact_duplicates(videos)
    if recipe.near_duplicates is not None:
        with connect(engine):
            tasks_over = TasksOnRay[Samples] if engine == "ray" else TasksHere[Samples]
            videos = drop_near_duplicates(videos, recipe.near_duplicates, tasks_over)
    candidates = Candidates(videos, candidates.windows).of_kept()
    # Text in the clips that all else leaves; after copies, which cost nothing then, and before
    # quotas, so that others take the place of what it drops.
    if asks_text(recipe) and read_text is not None:
        read_text(clips_to_read(candidates))
    candidates = drop_by_text(candidates, recipe, _text_of(out))
    # The best tier that takes a clip; of no kind more than the recipe's shares leave room for.
    candidates = assign_tiers(candidates, recipe.tiers)
    candidates = limit_to_quotas(candidates, recipe.quotas, told)

    # Every file is one row: kept, dropped for a reason, or failed. So is every window.
    write_tables(out.videos.path, video_tables(candidates, recipe, told), VideoRecord)
    write_tables(out.clips.path, clip_tables(candidates, recipe), ClipRecord)
    _write_recipe(out.videos.path, recipe)
    for table in (out.videos, out.clips):
        config.write(table.path)
    seconds = time.monotonic() - started
    windows = candidates.windows
    are_old = reused == candidates.videos.num_rows  # nothing was measured anew
    reports = [
        report_of("ingest", candidates.videos, seconds=seconds, reused=reused),
        report_of("clips", windows, seconds=seconds, reused=windows.num_rows * are_old),
    ]
    for report in reports:
        summary.merge_stage(out.uri, report)
        if progress is not None:
            progress.finish(report)
    if not reports[1].kept:
        raise NothingUsable(_nothing_kept(reports, out))
    return reports


def _audio_of(out: RunDirectory) -> pa.Table | None:
    return read_table(*out.audio, columns=NEEDED) if has_table(out.audio) else None


def _text_of(out: RunDirectory) -> pa.Table | None:
    return read_table(*out.text, columns=NEEDED_TEXT) if has_table(out.text) else None


def _told_before(out: RunDirectory) -> pa.Table | None:
    """What the run's own table of videos has of the manifest; None if there is none of this pfp."""
    try:
        return read_table(*out.videos, columns=["video_uri", *TOLD])
    except SchemaError:
        return None


def _config_with(recipe: str, out: RunDirectory) -> StageConfig:
    """The settings of the run that measured, with another recipe."""
    measured = read_config(out.measured.path)
    return StageConfig.of("ingest", {**(measured.config if measured else {}), "recipe": recipe})


def _write_recipe(folder: str, recipe: Recipe) -> None:
    """Leave the thresholds beside the decisions, for ``pfp why``."""
    text = yaml.safe_dump(recipe.to_json(), sort_keys=False)
    Folder.at(folder).write(RECIPE_NAME, text.encode())


def _nothing_kept(reports: list[StageReport], out: RunDirectory) -> str:
    """Why there are no clips; ``reports`` are those of the videos and of their windows."""
    videos, clips = reports
    reasons = clips.reasons if videos.kept else videos.reasons
    common = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:_MAX_REASONS]
    told = ", ".join(f"{name} {count}" for name, count in common)
    if videos.kept:
        what = f"none of the {clips.rows_in} windows is kept"
    elif videos.rows_in == 1:
        what = "the one file is not a usable video"
    else:
        what = f"none of the {videos.rows_in} files is a usable video"
    where = f"most often: {told}; see {out.videos.path}"
    return f"{what} ({where}); add other videos, or loosen the recipe"
