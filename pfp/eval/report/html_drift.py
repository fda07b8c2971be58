"""Metrics over the time of the videos: does quality hold, or drift away (section 5.5)?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pfp.eval.leaderboard.leaderboard import Leaderboard
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text
from pfp.eval.stats.aggregate import Bootstrap
from pfp.eval.stats.drift import Bin, Drift, Track, drift
from pfp.pages.markup import Markup, tag
from pfp.pages.ticks import nice_ticks
from pfp.schema import EvalSample, ScoreRecord

Curves: TypeAlias = Mapping[str, Mapping[str, Drift]]

MIN_BINS: Final = 3  # a curve of two points says no more than a slope
MAX_BINS: Final = 60
CURVE_DRAWS: Final = Bootstrap(num_draws=200)  # an interval for every bin of every method
WIDTH, HEIGHT = 480, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 24
DASHES: Final = ("", "7 4", "2 4", "9 3 2 3")  # methods beside the focus share a colour


def drift_curves(
    board: Leaderboard, generations: Sequence[EvalSample], scores: Sequence[ScoreRecord]
) -> Curves:
    """Curves by metric and method, of long videos that were measured frame by frame or in clips."""
    methods = {method.name for method in board.methods_of("ranked")}
    cap = {card.metric_id: card.high for card in board.metrics}
    made = {record.sample_id: record for record in generations if record.method in methods}
    tracks: dict[str, dict[str, list[Track]]] = {}
    for score in scores:
        if score.sample_id not in made or score.evidence is None:
            continue
        label = made[score.sample_id]
        track = _track(label.group, json.loads(score.evidence), cap.get(score.metric))
        if track is not None:
            tracks.setdefault(score.metric, {}).setdefault(label.method, []).append(track)
    found = {}
    for metric, by_method in sorted(tracks.items()):
        seconds = max(float(t.seconds_T.max(initial=0)) for ts in by_method.values() for t in ts)
        bin_seconds = next((b for b in (1, 2, 5, 10, 30, 60) if seconds / b < MAX_BINS), 300)
        if seconds >= bin_seconds * (MIN_BINS - 1):
            found[metric] = {
                method: drift(by_method[method], bin_seconds=bin_seconds, bootstrap=CURVE_DRAWS)
                for method in sorted(by_method)
            }
    return found


def _track(clip_id: str, evidence: Mapping[str, Any], cap: float | None) -> Track | None:
    """None of evidence that has no values over time."""
    if "fps" not in evidence:
        return None
    if "clips" in evidence:
        return Track.of_clips(clip_id, evidence["clips"], fps=evidence["fps"])
    if "per_frame" in evidence:
        return Track.of_evidence(clip_id, evidence, fps=evidence["fps"], null_value=cap)
    return None


def drift_section(board: Leaderboard, curves: Curves) -> Markup | None:
    """A drawing for each metric; the first methods of the table, the focus in colour."""
    cards = [card for card in board.metrics if card.metric_id in curves]
    if not cards:
        return None
    return tag(
        "section",
        tag("h2", "Over time", id="drift"),
        tag(
            "p",
            "Means over prompts of what lies within each stretch of the videos, with 95 % "
            "intervals. Later stretches hold only the longer videos.",
            class_="lede",
        ),
        tag(
            "div", (_figure(board, card, curves[card.metric_id]) for card in cards), class_="charts"
        ),
        aria_labelledby="drift",
    )


def _figure(board: Leaderboard, card: MetricCard, drifts: Mapping[str, Drift]) -> Markup:
    methods = [method.name for method in board.methods_of("ranked") if method.name in drifts]
    bounds = [
        bound * card.scale
        for method in methods
        for each in drifts[method].bins
        for bound in (each.summary.low, each.summary.mean, each.summary.high)
        if bound is not None
    ]
    ticks = nice_ticks(min(bounds), max(bounds))
    end = max(drifts[method].bins[-1].end_seconds for method in methods)
    body = [_grid(tick, ticks, card) for tick in ticks]
    body += [_time(second, end) for second in nice_ticks(0, end) if second <= end]
    styles = {
        method: _LineStyle.of(number, method == board.focus)
        for number, method in enumerate(methods)
    }
    body += [_curve(drifts[method].bins, ticks, end, card, styles[method]) for method in methods]
    title = f"{card.title} over time, {', '.join(methods)}"
    lines = [
        tag("li", styles[method].sample(), _change(method, drifts[method], end, card))
        for method in methods
    ]
    return tag(
        "figure",
        tag("figcaption", tag("b", card.title), text.unit_and_scale(card), ", by second of video"),
        tag(
            "svg",
            tag("title", title),
            body,
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=title,
        ),
        tag("ul", lines, class_="plain slopes"),
        class_="chart",
    )


class _LineStyle(NamedTuple):
    """How a method's line looks: its colour's class, and its dashes."""

    class_: str
    dashes: str

    @classmethod
    def of(cls, number: int, is_focus: bool) -> _LineStyle:  # noqa: FBT001 - one of two looks
        return cls("focus" if is_focus else "ranked", "" if is_focus else DASHES[number % 4])

    def sample(self) -> Markup:
        """A piece of the line, for the list below the drawing."""
        line = tag("path", d="M0 4L30 4", class_="line", stroke_dasharray=self.dashes or None)
        return tag("svg", tag("g", line, class_=self.class_), aria_hidden="true")


def _change(method: str, found: Drift, end: float, card: MetricCard) -> list[Markup | str]:
    """The slope, times the time that is drawn."""
    slope = found.slope_per_second
    if slope.mean is None:
        return [tag("b", method), ": too short for a slope"]
    low, high = (None if bound is None else bound * end for bound in (slope.low, slope.high))
    span = text.bounds(low, high, card) or f"({text.span(slope, card)})"
    shown = f": {text.signed(slope.mean * end, card)}{text.unit(card)} in {end:g} s {span}"
    return [tag("b", method), shown.replace("-", "\N{MINUS SIGN}")]


def _y(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _x(seconds: float, end: float) -> float:
    return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)


def _grid(tick: float, ticks: Sequence[float], card: MetricCard) -> Markup:
    y = f"{_y(tick, ticks):.1f}"
    line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
    decimals = 0 if ticks[1] - ticks[0] >= 1 else card.decimals
    label = tag("text", f"{tick:.{decimals}f}", x=LEFT - 6, y=y, dy=4, class_="value")
    return Markup(line + label)


def _time(second: float, end: float) -> Markup:
    return tag("text", f"{second:g}", x=f"{_x(second, end):.1f}", y=HEIGHT - 6, class_="tick")


def _curve(
    bins: Sequence[Bin], ticks: Sequence[float], end: float, card: MetricCard, style: _LineStyle
) -> Markup:
    """The line through the bins' means, over the band of their intervals."""
    line, upper, lower = [], [], []
    for each in bins:
        summary = each.summary
        if summary.mean is None:
            continue
        x = f"{_x((each.start_seconds + each.end_seconds) / 2, end):.1f}"
        line.append(f"{x},{_y(summary.mean * card.scale, ticks):.1f}")
        if summary.low is not None and summary.high is not None:
            upper.append(f"{x},{_y(summary.high * card.scale, ticks):.1f}")
            lower.append(f"{x},{_y(summary.low * card.scale, ticks):.1f}")
    band = f"M{' L'.join(upper + lower[::-1])}Z" if upper else None
    return tag(
        "g",
        tag("path", d=band, class_="band") if band else None,
        tag(
            "path",
            d=f"M{' L'.join(line)}",
            class_="line",
            stroke_dasharray=style.dashes or None,
        ),
        class_=style.class_,
    )
