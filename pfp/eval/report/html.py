"""The whole page: one file, no network, no framework, the same bytes for the same run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files

from pfp.eval.leaderboard.families import families_of
from pfp.eval.leaderboard.leaderboard import Leaderboard
from pfp.eval.leaderboard.published import PublishedTable
from pfp.eval.report import text
from pfp.eval.report.chart import chart
from pfp.eval.report.html_drift import Curves, drift_section
from pfp.eval.report.html_samples import Linker, continuations_section, retrievals_section
from pfp.eval.report.html_table import (
    differences_section,
    mended_section,
    results_section,
    unmeasured_section,
)
from pfp.eval.report.published_rows import published_section
from pfp.eval.report.samples import Continuation, Retrieval
from pfp.pages.markup import Markup, tag
from pfp.pages.styles import report_style


def render_html(
    board: Leaderboard,
    *,
    retrievals: Sequence[Retrieval] = (),
    continuations: Sequence[Continuation] = (),
    curves: Curves | None = None,
    published: Sequence[PublishedTable] = (),
    link: Linker = str,
) -> str:
    """The page; ``link`` turns a video's URI into what the page can reach it by."""
    title = text.headline(board)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(report_style())),
    )
    body = tag(
        "body",
        tag(
            "main",
            _masthead(board),
            results_section(board),
            unmeasured_section(board),
            _charts(board),
            drift_section(board, curves or {}),
            differences_section(board),
            mended_section(board),
            retrievals_section(retrievals, board),
            continuations_section(continuations, link),
            published_section(published),
            _not_made(board),
        ),
        _footer(board),
        tag("script", Markup(_embedded(board)), type="application/json", id="leaderboard"),
        tag("script", Markup(_resource("page.js"))),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _resource(name: str) -> str:
    return files("pfp.eval.report").joinpath(name).read_text(encoding="utf-8")


def _embedded(board: Leaderboard) -> str:
    """The leaderboard as JSON that cannot close its own script element."""
    return json.dumps(board.to_json(), separators=(",", ":")).replace("<", "\\u003c")


def _masthead(board: Leaderboard) -> Markup:
    num_clips = len(board.groups)
    judges = sorted(set(board.judges.values()))
    facts = [
        ("clips" if board.is_retrieval else "prompts", str(num_clips)),
        *([("frames per method", str(board.num_frames))] if board.is_retrieval else []),
        ("model", ", ".join(board.model_ids)),
        ("protocol", text.protocol_names(board)),
        *([("judge", ", ".join(judges))] if judges else []),
    ]
    notes = [
        tag("p", tag("b", tag("code", model)), f" {text.TINY_NOTE}", class_="caution")
        for model in text.tiny_models(board)
    ]
    notes += [
        tag("p", tag("b", tag("code", judge)), " looks at nothing.", class_="caution")
        for judge in judges
        if text.is_fake(judge)
    ]
    return tag(
        "header",
        tag("p", "pfp leaderboard", class_="eyebrow"),
        tag("h1", text.headline(board).partition(":")[0]),
        tag("p", _lede(board), class_="lede"),
        tag(
            "dl",
            (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts),
            class_="facts",
        ),
        notes,
    )


def _lede(board: Leaderboard) -> str:
    if board.is_retrieval:
        return (
            "Each method compresses the history of a clip into a short memory and is then asked "
            f"for frames of it. Measured on {text.count(len(board.groups), 'clip')}, by "
            "comparing every frame that came back with the true one."
        )
    return (
        f"Videos for {text.count(len(board.groups), 'prompt')}, looked at by "
        f"{_measured_of(board)}. What could not be measured has no number "
        "and is listed with its cure."
    )


def _measured_of(board: Leaderboard) -> str:
    asked = text.count(len(board.metrics), "metric")
    return (
        asked if len(board.measured) == len(board.metrics) else f"{len(board.measured)} of {asked}"
    )


def _charts(board: Leaderboard) -> Markup | None:
    families = families_of(board.measured)
    if not families:
        return None
    return tag(
        "section",
        tag("h2", "At a glance", id="glance"),
        (
            [
                tag("h3", family.title) if len(families) > 1 else None,
                tag("div", (chart(board, card) for card in family.cards), class_="charts"),
            ]
            for family in families
        ),
        aria_labelledby="glance",
    )


def _not_made(board: Leaderboard) -> Markup | None:
    if not board.not_made:
        return None
    items = [
        tag("li", line, f" ({text.count(samples, 'sample')})")
        for line, samples in board.not_made.items()
    ]
    return tag(
        "section",
        tag("h2", "What could not be generated", id="missing"),
        tag("ul", items, class_="plain"),
        aria_labelledby="missing",
    )


def _footer(board: Leaderboard) -> Markup:
    checkpoints = {
        digest: [method.name for method in board.methods if digest in method.checkpoints]
        for digest in sorted({digest for method in board.methods for digest in method.checkpoints})
    }
    settings = board.bootstrap
    intervals = (
        f"{100 * settings.confidence:g} % sign-flip test over {text.drawn(board)}, "
        f"{settings.num_draws} draws, seed {settings.seed}"
    )
    rows = [
        ("Protocol", board.protocol),
        ("Decoder", ", ".join(board.decoders)),
        ("Seeds", ", ".join(str(seed) for seed in board.seeds)),
        ("Intervals", intervals),
        ("Measured with", text.environment(board)),
    ]
    rows += [(card.metric_id, f"{card.summary} {card.citation}.") for card in board.metrics]
    digests = [
        tag("div", tag("dt", "Checkpoint"), tag("dd", tag("code", digest), f" {', '.join(names)}"))
        for digest, names in checkpoints.items()
    ]
    return tag(
        "footer",
        tag("h2", "How this was made"),
        tag(
            "dl",
            (tag("div", tag("dt", name), tag("dd", value)) for name, value in rows),
            digests,
        ),
        tag(
            "p",
            "Every number on this page can be computed again from the values in leaderboard.json, "
            "which is also embedded here.",
        ),
    )
