"""The whole page: one file, no network, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from typing import Any

from pfp import __version__
from pfp.ingest.funnel import Funnel
from pfp.ingest.recipe import Recipe
from pfp.ingest.report import words
from pfp.ingest.report.examples import Example, Outcome, Video
from pfp.ingest.report.histograms import Histogram
from pfp.ingest.report.html_funnel import funnel_section, numbers, row
from pfp.ingest.report.html_histograms import histograms_section
from pfp.ingest.report.thumbnails import Thumbnail
from pfp.ingest.report.timeline import timeline
from pfp.pages.images import image_tag
from pfp.pages.markup import Markup, tag
from pfp.pages.styles import report_style


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that the page shows. ``thumbnails`` has one for each example of ``outcomes``.

    ``timelines`` are the videos whose time is drawn, and ``stages`` is that of ``summary.json``.
    """

    name: str
    recipe: Recipe
    files: Funnel
    clips: Funnel
    histograms: Sequence[Histogram]
    outcomes: Sequence[Outcome]
    thumbnails: Mapping[Example, Thumbnail]
    timelines: Sequence[Video]
    stages: Mapping[str, Any]


def render_html(contents: Contents) -> str:
    """The page."""
    title = f"What ingest made of {contents.name}"
    style = report_style() + resources("pfp.ingest.report").joinpath("report.css").read_text(
        "utf-8"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag(
            "main",
            _masthead(title, contents),
            funnel_section(contents.files, contents.clips),
            histograms_section(contents.histograms),
            _examples(contents),
            _timelines(contents.timelines),
            _throughput(contents.stages),
        ),
        _footer(contents.recipe),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _masthead(title: str, contents: Contents) -> Markup:
    files, clips = contents.files, contents.clips
    facts = [
        ("files", f"{files.num_rows:,}"),
        ("kept videos", f"{files.num_kept:,} ({words.share(files.num_kept, files.num_rows)})"),
        ("kept clips", f"{clips.num_kept:,}"),
        ("video in", words.hours(files.hours)),
        ("video kept", words.hours(clips.hours_kept)),
        ("recipe", contents.recipe.name),
    ]
    return tag(
        "header",
        tag("p", "pfp ingest", class_="eyebrow"),
        tag("h1", title),
        tag(
            "dl",
            (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts),
            class_="facts",
        ),
        None if clips.num_kept else tag("p", tag("b", "No clip is kept."), class_="caution"),
    )


def _examples(contents: Contents) -> Markup | None:
    if not contents.outcomes:
        return None
    return tag(
        "section",
        tag("h2", "Examples", id="examples"),
        tag(
            "p",
            "The first of the tables, with the frame that is shown where the clip begins; of the "
            "most frequent reasons. Nothing is picked by its looks.",
            class_="lede",
        ),
        tag(
            "div",
            (_outcome(one, contents.thumbnails) for one in contents.outcomes),
            class_="outcomes",
        ),
        aria_labelledby="examples",
    )


def _outcome(one: Outcome, thumbnails: Mapping[Example, Thumbnail]) -> Markup:
    rows = "file" if one.rows == "files" else "clip"
    return tag(
        "div",
        tag(
            "h3",
            f"{rows.capitalize()}s: {words.in_words(one.reason)}",
            tag("small", f"{len(one.examples)} of {words.count(one.num_rows, rows)}"),
        ),
        tag(
            "div",
            (_example(each, thumbnails[each]) for each in one.examples),
            class_="frames examples",
        ),
        class_="clip",
    )


def _example(example: Example, thumbnail: Thumbnail) -> Markup:
    name = words.file_name(example.video_uri)
    moment = "" if example.clip_id is None else f", at {example.start_seconds:.2f} s"
    picture = (
        tag("div", thumbnail, class_="empty")
        if isinstance(thumbnail, str)
        else image_tag(thumbnail, f"{name}{moment}")
    )
    said = example.detail if example.clip_id is None else _said_of_clip(example)
    return tag(
        "figure", picture, tag("figcaption", tag("b", name), tag("span", said) if said else None)
    )


def _said_of_clip(example: Example) -> str:
    span = f"{words.seconds(example.start_seconds)} to {words.seconds(example.end_seconds)}"
    return f"{span}; {example.detail}" if example.detail else span


def _timelines(videos: Sequence[Video]) -> Markup | None:
    drawn = [one for one in map(timeline, videos) if one is not None]
    if not drawn:
        return None
    return tag(
        "section",
        tag("h2", "Timelines", id="timelines"),
        tag(
            "p",
            "Of the examples above. A second is marked when half of it is black or frozen, or "
            "when a frame of it is damaged.",
            class_="lede",
        ),
        drawn,
        aria_labelledby="timelines",
    )


def _throughput(stages: Mapping[str, Any]) -> Markup | None:
    if not stages:
        return None
    rows = [_stage(name, stage) for name, stage in stages.items() if isinstance(stage, dict)]
    return tag(
        "section",
        tag("h2", "Throughput", id="throughput"),
        tag(
            "p",
            "Of the last run of each stage. Rows that were reused cost nothing, and rows per "
            "second are of those that were computed.",
            class_="lede",
        ),
        numbers(
            rows,
            ("stage", "rows", "computed", "reused", "seconds", "rows per second"),
            "Throughput",
        ),
        aria_labelledby="throughput",
    )


def _stage(name: str, stage: Mapping[str, Any]) -> Markup:
    computed, seconds = (_number(stage.get(key)) for key in ("computed", "seconds"))
    rate = f"{computed / seconds:,.3g}" if computed and seconds else "\N{EN DASH}"
    counts = (_whole(stage.get(key)) for key in ("rows_in", "computed", "reused"))
    shown = "unknown" if seconds is None else f"{seconds:,.1f}"
    return row(name, *counts, shown, rate)


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _whole(value: object) -> str:
    number = _number(value)
    return "unknown" if number is None else f"{number:,.0f}"


def _footer(recipe: Recipe) -> Markup:
    facts = [
        ("Recipe", recipe.name),
        ("Its digest", recipe.sha256),
        ("Made by", f"pfp {__version__}"),
    ]
    return tag(
        "footer",
        tag("h2", "How this was made"),
        tag("dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)),
        tag(
            "p",
            tag("code", "pfp why NAME --run RUN"),
            " tells all that is known of one file or clip.",
        ),
    )
