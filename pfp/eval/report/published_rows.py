"""What papers print, below one's own table, as HTML and as Markdown; never mixed with it."""

from __future__ import annotations

from collections.abc import Sequence

from pfp.eval.leaderboard.published import PublishedTable
from pfp.pages.markup import Markup, tag

WARNING = (
    "As printed, measured by others on other videos with protocols that the papers leave partly "
    "open: for orientation, not for ranks."
)


def published_section(tables: Sequence[PublishedTable]) -> Markup | None:
    """A table for each, with its source."""
    if not tables:
        return None
    return tag(
        "section",
        tag("h2", "Published", id="published"),
        tag("p", WARNING, class_="lede"),
        (_table(table) for table in tables),
        aria_labelledby="published",
    )


def _table(table: PublishedTable) -> Markup:
    head = tag(
        "tr",
        tag("th", "Method", scope="col"),
        (tag("th", tag("span", column, class_="metric"), scope="col") for column in table.columns),
    )
    rows = [
        tag(
            "tr",
            tag("th", tag("span", row.method, class_="method-name"), scope="row"),
            (tag("td", tag("span", _cell(cell), class_="mean")) for cell in row.cells),
        )
        for row in table.rows
    ]
    drawn = tag(
        "table",
        tag("thead", head),
        tag("tbody", rows),
        class_="published",
        style=f"--columns: {len(table.columns)}",
    )
    return Markup(
        tag("h3", table.title, tag("small", table.source)) + tag("div", drawn, class_="scroll")
    )


def published_markdown(tables: Sequence[PublishedTable]) -> list[str]:
    """The same as lines of Markdown."""
    lines: list[str] = []
    for table in tables:
        lines += ["", f"## Published: {table.title}", "", f"{table.source}. {WARNING}", ""]
        lines.append(f"| method | {' | '.join(table.columns)} |")
        lines.append(f"| {' | '.join(['---'] * (len(table.columns) + 1))} |")
        for row in table.rows:
            lines.append(f"| {row.method} | {' | '.join(_cell(cell) for cell in row.cells)} |")
    return lines


def _cell(readings: Sequence[float]) -> str:
    """``27.12 or 27.42`` where copies of the paper differ; a dash where it prints nothing."""
    return " or ".join(f"{reading:g}" for reading in readings) or "\N{EN DASH}"
