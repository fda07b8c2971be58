"""From the tables of a run to its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pfp.ingest.funnel import funnels
from pfp.ingest.recipe import load_recipe
from pfp.ingest.report.examples import Example, Outcome, Video, choose_examples, read_videos
from pfp.ingest.report.histograms import histograms
from pfp.ingest.report.html import Contents, render_html
from pfp.ingest.report.thumbnails import Thumbnail, Thumbnails
from pfp.ingest.report.words import file_name
from pfp.pages.write import write_whole
from pfp.runtime.summary import read_summary
from pfp.schema.run_directory import RunDirectory

MAX_TIMELINES: Final = 14


def write_report(run_directory: str, page: str | Path) -> None:
    """Write the page about a run's ingest.

    Memory does not grow with the tables. Raises as ``funnels``, ``ConfigError`` for a recipe that
    cannot be read, and ``SchemaError`` for tables that are missing or damaged.
    """
    run = RunDirectory(run_directory)
    files, clips = funnels(run_directory)
    recipe = load_recipe(run.recipe_path)
    outcomes = choose_examples(run, files, clips)
    examples = [example for outcome in outcomes for example in outcome.examples]
    videos = read_videos(run, [example.video_uri for example in examples])
    contents = Contents(
        name=file_name(run.uri),
        recipe=recipe,
        files=files,
        clips=clips,
        histograms=histograms(run, recipe),
        outcomes=outcomes,
        thumbnails=_thumbnails(examples, videos),
        timelines=_with_timelines(outcomes, videos),
        stages=read_summary(run_directory)["stages"],
    )
    write_whole(page, render_html(contents))


def _thumbnails(examples: Sequence[Example], videos: dict[str, Video]) -> dict[Example, Thumbnail]:
    thumbnails = Thumbnails()
    try:
        return {one: thumbnails.of(one, videos.get(one.video_uri)) for one in examples}
    finally:
        thumbnails.close()


def _with_timelines(outcomes: Sequence[Outcome], videos: dict[str, Video]) -> list[Video]:
    """Every kept video of the examples, and the first that each reason dropped; some of them."""
    chosen = [
        example.video_uri
        for outcome in outcomes
        for example in outcome.examples[: None if outcome.reason == "kept" else 1]
    ]
    known = [videos[uri] for uri in dict.fromkeys(chosen) if uri in videos]
    return [one for one in known if one.measured.duration_seconds][:MAX_TIMELINES]
