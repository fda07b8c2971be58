"""The Elo table for a terminal, and as one HTML page without network or framework."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from pfp.eval.elo import text
from pfp.eval.elo.ratings import EloBoard, Rating
from pfp.eval.report.chart import shortened
from pfp.io.filesystems import Folder, explain_write_errors
from pfp.pages.markup import Markup, tag
from pfp.pages.styles import report_style
from pfp.pages.ticks import nice_ticks

COLUMNS = 100
ROW, TOP, BOTTOM = 26, 4, 24  # of the drawing, in pixels
LEFT_PERCENT, RIGHT_PERCENT = 46.0, 96.0  # names to the left, the scale between


def write_elo(
    board: EloBoard, *, json_file: str | Path | None = None, html_file: str | Path | None = None
) -> None:
    """Write the board as JSON and as a page, each in one step, where a path is given.

    Raises:
        InputError: a file cannot be written.
    """
    if json_file:
        _write(json_file, json.dumps(board.to_json(), indent=1, sort_keys=True) + "\n")
    if html_file:
        _write(html_file, render_html(board))


def render_text(board: EloBoard) -> str:
    """The table, the gaps and the notes, at most 100 columns."""
    width = max(len(name) for name in ["model", *(r.model for r in board.ratings), *board.excluded])
    lines = [f"{'rank':<7}{'model':<{width + 2}}{'elo':>5}  {'interval':<15}{'won/lost/tied'}"]
    for rating in board.ratings:
        interval = text.bounds(rating) or "unknown"
        lines.append(
            f"{text.ranks(rating):<7}{rating.model:<{width + 2}}{text.elo(rating):>5}  "
            f"{interval:<15}{_record(rating)}"
        )
    for model, reason in board.excluded.items():
        lines.append(f"{'/':<7}{model:<{width + 2}}{'/':>5}  {reason}")
    lines.append("")
    for sentence in [*map(text.gap, board.gaps), "", *text.notes(board)]:
        lines += textwrap.wrap(sentence, COLUMNS, break_long_words=False) or [""]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_html(board: EloBoard) -> str:
    """The whole page, the same bytes for the same votes."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Elo of {len(board.ratings)} models"),
        tag("style", Markup(report_style())),
    )
    main = tag("main", _masthead(board), _table(board), _chart(board), _gaps(board), _pairs(board))
    data = json.dumps(board.to_json(), separators=(",", ":")).replace("<", "\\u003c")
    script = tag("script", Markup(data), type="application/json", id="elo")
    return f"<!doctype html>\n{tag('html', head, tag('body', main, script), lang='en')}\n"


def _record(rating: Rating) -> str:
    return f"{rating.num_wins:,}/{rating.num_losses:,}/{rating.num_ties:,}"


def _masthead(board: EloBoard) -> Markup:
    facts = [
        ("votes", f"{board.num_votes:,}"),
        ("ties", f"{board.num_ties:,}, {board.num_both_bad:,} of them both bad"),
        ("raters", f"{board.num_raters:,}" if board.num_raters else "unknown"),
        ("prompts", f"{board.num_prompts:,}" if board.num_prompts else "unknown"),
    ]
    return tag(
        "header",
        tag("p", "pfp user study", class_="eyebrow"),
        tag("h1", f"Elo of {len(board.ratings)} models"),
        tag(
            "dl",
            (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts),
            class_="facts",
        ),
    )


def _table(board: EloBoard) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", tag("span", rating.model, class_="method-name"), scope="row"),
            tag(
                "td",
                tag("b", text.elo(rating), class_="mean"),
                tag("small", text.bounds(rating) or "interval unknown"),
            ),
            tag("td", text.ranks(rating)),
            tag("td", tag("small", _record(rating))),
        )
        for rating in board.ratings
    ]
    rows += [
        tag(
            "tr",
            tag("th", tag("span", model, class_="method-name"), scope="row"),
            tag("td", "/"),
            tag("td", tag("small", f"excluded: {reason}"), colspan=2, class_="unscored"),
        )
        for model, reason in board.excluded.items()
    ]
    heads = ("Model", "Elo", "Rank", "Won/lost/tied")
    return tag(
        "section",
        tag("h2", "Ratings", id="ratings"),
        _scroll(heads, rows, name="ratings"),
        tag("div", (tag("p", sentence) for sentence in text.notes(board)), class_="notes"),
        aria_labelledby="ratings",
    )


def _gaps(board: EloBoard) -> Markup:
    return tag(
        "section",
        tag("h2", "What it takes to tell neighbours apart", id="gaps"),
        tag("ul", (tag("li", text.gap(item)) for item in board.gaps), class_="plain"),
        aria_labelledby="gaps",
    )


def _pairs(board: EloBoard) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", f"{pair.model_a} and {pair.model_b}", scope="row"),
            tag("td", f"{pair.num_a:,}"),
            tag("td", f"{pair.num_b:,}"),
            tag("td", f"{pair.num_ties:,}"),
        )
        for pair in board.pairs
    ]
    heads = ("Pair", "First won", "Second won", "Neither")
    return tag(
        "section",
        tag("h2", "Votes by pair", id="pairs"),
        _scroll(heads, rows, name="pairs"),
        aria_labelledby="pairs",
    )


def _scroll(heads: Sequence[str], rows: Sequence[Markup], *, name: str) -> Markup:
    table = tag(
        "table",
        tag("thead", tag("tr", (tag("th", head, scope="col") for head in heads))),
        tag("tbody", rows),
        aria_labelledby=name,
        style=f"--columns: {len(heads) - 1}",
    )
    return tag("div", table, class_="scroll")


def _chart(board: EloBoard) -> Markup:
    """Dots and intervals in the order of the table; horizontal positions are shares."""
    ends = [x for r in board.ratings for x in (r.low, r.elo, r.high) if x is not None]
    ticks = nice_ticks(min(ends), max(ends))
    height = TOP + ROW * len(board.ratings) + BOTTOM
    body = [_grid(tick, ticks, height) for tick in ticks]
    body += [_row(rating, i, ticks) for i, rating in enumerate(board.ratings)]
    title = "Rating and interval of each model; the numbers are in the table above."
    return tag(
        "section",
        tag(
            "figure",
            tag("figcaption", tag("b", "Elo"), ", higher is better"),
            tag("svg", tag("title", title), body, height=height, role="img", aria_label=title),
            class_="chart",
        ),
    )


def _x(value: float, ticks: Sequence[float]) -> str:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return f"{LEFT_PERCENT + (RIGHT_PERCENT - LEFT_PERCENT) * share:.2f}%"


def _grid(tick: float, ticks: Sequence[float], height: int) -> Markup:
    x = _x(tick, ticks)
    line = tag("line", x1=x, x2=x, y1=TOP, y2=height - BOTTOM + 2, class_="grid")
    return Markup(line + tag("text", f"{tick:g}", x=x, y=height - 6, class_="tick"))


def _row(rating: Rating, i: int, ticks: Sequence[float]) -> Markup:
    y = TOP + ROW * i + ROW // 2
    span = None
    if rating.low is not None and rating.high is not None:
        low, high = _x(rating.low, ticks), _x(rating.high, ticks)
        span = tag("line", x1=low, x2=high, y1=y, y2=y, class_="span")
    return tag(
        "g",
        tag("title", f"{rating.model}: {text.elo(rating)} ({text.bounds(rating) or 'unknown'})"),
        tag("text", shortened(rating.model), x="0", y=y + 4, class_="name"),
        span,
        tag("circle", cx=_x(rating.elo, ticks), cy=y, r=5),
        class_="method",
    )


def _write(path: str | Path, text: str) -> None:
    directory, _, name = str(path).rpartition("/")
    with explain_write_errors(str(path)):
        folder = Folder.at(directory or ".")
        folder.make()
        folder.write(name, text.encode())
