"""All values, their mean and its interval, one small drawing per metric, in SVG that scales."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pfp.eval.leaderboard.leaderboard import Leaderboard, Method
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text
from pfp.pages.markup import Markup, tag
from pfp.pages.ticks import nice_ticks

ROW = 30
TOP = 4
BOTTOM = 24
LEFT_PERCENT, RIGHT_PERCENT = 46.0, 96.0  # of the width: names to the left, the scale between
MAX_NAME = 24
MAX_DOTS = 120  # small dots in a row; more values are shown by as many of their quantiles


def chart(board: Leaderboard, card: MetricCard) -> Markup:
    """All methods under one metric in the order of the table; horizontal positions are shares."""
    methods = [
        method for method in board.methods if method.cells[card.metric_id].summary.mean is not None
    ]
    ticks = nice_ticks(*_range(board, methods, card))
    height = TOP + ROW * len(methods) + BOTTOM
    body = [_grid(tick, ticks, height, card) for tick in ticks]
    for i, method in enumerate(methods):
        values = board.values[card.metric_id][method.name].values()
        body.append(_row(method, i, ticks, card, board.focus, values=quantiles(values)))
    title = (
        f"{card.title}: every clip (small), mean and interval of each method; "
        "the numbers are in the table above."
    )
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("b", card.title),
            text.unit_and_scale(card),
            f", {card.direction} is better",
        ),
        tag("svg", tag("title", title), body, height=height, role="img", aria_label=title),
        class_="chart",
    )


def _range(board: Leaderboard, methods: Sequence[Method], card: MetricCard) -> tuple[float, float]:
    summaries = [method.cells[card.metric_id].summary for method in methods]
    values = [value for s in summaries for value in (s.low, s.mean, s.high) if value is not None]
    for method in methods:
        values += quantiles(board.values[card.metric_id][method.name].values())
    return min(values) * card.scale, max(values) * card.scale


def quantiles(values: Iterable[float], *, at_most: int = MAX_DOTS) -> list[float]:
    """The values in order, or evenly spaced ones of them with both ends when there are many."""
    ordered = sorted(values)
    if len(ordered) <= at_most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (at_most - 1))] for i in range(at_most)]


def shortened(name: str) -> str:
    """The name, cut where the scale begins."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}..."


def _x(value: float, ticks: Sequence[float]) -> str:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return f"{LEFT_PERCENT + (RIGHT_PERCENT - LEFT_PERCENT) * share:.2f}%"


def _grid(tick: float, ticks: Sequence[float], height: int, card: MetricCard) -> Markup:
    x = _x(tick, ticks)
    step = ticks[1] - ticks[0]
    decimals = min(card.decimals, max(0, -math.floor(math.log10(step) + 1e-9)))
    line = tag("line", x1=x, x2=x, y1=TOP, y2=height - BOTTOM + 2, class_="grid")
    return Markup(line + tag("text", f"{tick:.{decimals}f}", x=x, y=height - 6, class_="tick"))


def _row(
    method: Method,
    i: int,
    ticks: Sequence[float],
    card: MetricCard,
    focus: str | None,
    *,
    values: Sequence[float],
) -> Markup:
    summary = method.cells[card.metric_id].summary
    mean = summary.mean
    assert mean is not None
    y = TOP + ROW * i + ROW // 2 - 2
    low, high = summary.low, summary.high
    span = None
    if low is not None and high is not None:
        left, right = (_x(bound * card.scale, ticks) for bound in (low, high))
        span = tag("line", x1=left, x2=right, y1=y, y2=y, class_="span")
    shown = f"{text.number(mean, card)}{text.unit(card)}"
    name = shortened(method.name.removesuffix(" (upper bound)"))  # italics say so; the hint, too
    hint = f"{method.name}: {shown} {text.bounds(low, high, card) or ''}"
    return tag(
        "g",
        tag("title", hint),
        tag("text", name, x="0", y=y + 4, class_="name"),
        (
            tag("circle", cx=_x(value * card.scale, ticks), cy=y + 9, r=2, class_="one")
            for value in values
        ),
        span,
        tag("circle", cx=_x(mean * card.scale, ticks), cy=y, r=5),
        class_="focus" if method.name == focus else method.role,
    )
