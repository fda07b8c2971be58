"""The funnel: drawn step by step, and in full as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pfp.ingest.funnel import Funnel, FunnelStep
from pfp.ingest.report import words
from pfp.pages.markup import Markup, tag

_ROW: Final = 26
_LEFT, _RIGHT = 34.0, 80.0  # percent of the width: names to the left, numbers to the right
_MAX_STEPS: Final = 16  # that are drawn; the tables have all
_MAX_ROWS: Final = 30  # of a table that are not folded away
_MAX_NAME: Final = 26


def funnel_section(files: Funnel, clips: Funnel) -> Markup:
    """Files to kept videos, windows to clips, and the tiers of these."""
    return tag(
        "section",
        tag("h2", "What was taken out, and why", id="funnel"),
        tag(
            "p",
            "Rules are asked in this order; the first that fails names the reason. Windows are cut "
            "out of kept videos. Hours are of known lengths alone.",
            class_="lede",
        ),
        tag(
            "div",
            _drawing("Files to kept videos", files, "kept videos"),
            _drawing("Windows to clips", clips, "kept clips"),
            class_="charts",
        ),
        _table("Files", files, "kept videos"),
        _table("Windows", clips, "kept clips"),
        aria_labelledby="funnel",
    )


def _drawing(title: str, funnel: Funnel, kept: str) -> Markup:
    """What is left after each step, and what the step takes."""
    steps = _drawn(funnel.steps)
    names = {"files": "files", "clips": "windows"}
    left = funnel.num_rows
    rows = [_bar(0, names[funnel.name], (0, left), funnel.num_rows, "left")]
    for place, step in enumerate(steps, start=1):
        left -= step.num_rows
        rows.append(
            _bar(
                place, words.in_words(step.reason), (left, step.num_rows), funnel.num_rows, "taken"
            )
        )
    rows.append(_bar(len(rows), kept, (0, funnel.num_kept), funnel.num_rows, "kept"))
    for tier, number in funnel.tiers.items():
        rows.append(_bar(len(rows), f"tier {tier}", (0, number), funnel.num_rows, "kept"))
    label = (
        f"{title}: {funnel.num_kept:,} of {funnel.num_rows:,} are kept; the table below has all "
        "numbers."
    )
    return tag(
        "figure",
        tag("figcaption", tag("b", title)),
        tag("svg", rows, height=_ROW * len(rows), role="img", aria_label=label),
        class_="chart steps",
    )


def _drawn(steps: Sequence[FunnelStep]) -> list[FunnelStep]:
    """The greatest of them in their order, and the others as one."""
    if len(steps) <= _MAX_STEPS:
        return list(steps)
    by_number = sorted(steps, key=lambda step: (-step.num_rows, step.reason))
    rest = by_number[_MAX_STEPS - 1 :]
    together = FunnelStep(
        f"{len(rest):,} other reasons",
        sum(step.num_rows for step in rest),
        sum(step.hours for step in rest),
    )
    drawn = set(by_number[: _MAX_STEPS - 1])
    return [*(step for step in steps if step in drawn), together]


def _bar(place: int, name: str, span: tuple[int, int], whole: int, class_: str) -> Markup:
    """``span`` is where the bar begins and how many rows it stands for, of the whole."""
    begin, number = span
    scale = (_RIGHT - _LEFT) / max(whole, 1)
    y = place * _ROW
    shown = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."
    return tag(
        "g",
        tag("title", f"{name}: {number:,} ({words.share(number, whole)})"),
        tag("text", shown, x="0", y=y + 17, class_="name"),
        tag(
            "rect",
            x=f"{_LEFT + begin * scale:.2f}%",
            y=y + 4,
            width=f"{max(number * scale, 0.3 if number else 0):.2f}%",
            height=_ROW - 8,
            rx=2,
        ),
        tag("text", f"{number:,}", x="100%", y=y + 17, class_="value"),
        class_=class_,
    )


def _table(title: str, funnel: Funnel, kept: str) -> Markup:
    whole = funnel.num_rows
    rows = [_row(step.reason, step.num_rows, step.hours, whole) for step in funnel.steps]
    tiers = [_row(f"tier {tier}", number, None, whole) for tier, number in funnel.tiers.items()]
    ends = [_row(kept, funnel.num_kept, funnel.hours_kept, whole, class_="focus"), *tiers]
    begin = _row("all", whole, funnel.hours, whole)
    return tag(
        "div",
        tag("h3", title),
        numbers([begin, *rows[:_MAX_ROWS], *ends], ("", "rows", "share", "video"), title),
        _folded(rows[_MAX_ROWS:], title),
        class_="part",
    )


def _folded(rows: Sequence[Markup], title: str) -> Markup | None:
    if not rows:
        return None
    return tag(
        "details",
        tag("summary", f"{len(rows):,} further reasons"),
        numbers(rows, ("", "rows", "share", "video"), f"{title}: further reasons"),
    )


def numbers(rows: Sequence[Markup], names: Sequence[str], label: str) -> Markup:
    """A table of rows with a head of its own."""
    head = tag("tr", (tag("th", name or "what", scope="col") for name in names))
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", rows), aria_label=label),
        class_="scroll numbers",
        style=f"--columns: {len(names) - 1}",
        tabindex="0",
        role="region",
        aria_label=label,
    )


def row(name: str, *values: str, class_: str | None = None) -> Markup:
    """A row of a table of numbers."""
    cells = (tag("td", value) for value in values)
    return tag("tr", tag("th", name, scope="row"), cells, class_=class_)


def _row(
    name: str,
    number: int,
    hours: float | None,
    whole: int,
    class_: str | None = None,
) -> Markup:
    told = "" if hours is None else words.hours(hours)
    shown = f"{number:,}", words.share(number, whole), told
    return row(words.in_words(name), *shown, class_=class_)
