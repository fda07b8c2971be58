"""Histograms with their thresholds, and a table of what lies on each side of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from pfp.ingest.report.histograms import NUM_BINS, Histogram, Limit
from pfp.ingest.report.html_funnel import numbers, row
from pfp.pages.markup import Markup, tag

_HEIGHT: Final = 110
_TOP, _BOTTOM = 8, 22
_LEFT, _RIGHT = 3.0, 97.0  # percent of the width


def histograms_section(found: Sequence[Histogram]) -> Markup | None:
    """Nothing where the recipe has no filters."""
    if not found:
        return None
    return tag(
        "section",
        tag("h2", "What filters looked at", id="measures"),
        tag(
            "p",
            "Each measure of all rows that were asked for it, whatever another rule made of them; "
            "dashed lines are thresholds. What is unknown is not drawn. The first and the last bar "
            "hold what lies beyond the scale, too.",
            class_="lede",
        ),
        tag("div", map(_figure, found), class_="charts"),
        tag("h3", "On each side of the thresholds"),
        numbers(
            [one for each in found for one in _rows(each)],
            ("measure", "threshold", "inside", "outside", "unknown"),
            "On each side of the thresholds",
        ),
        aria_labelledby="measures",
    )


def _figure(found: Histogram) -> Markup:
    label = f"Histogram of {found.what} of {found.rows}: {_extent(found)}"
    return tag(
        "figure",
        tag("figcaption", tag("b", _capital(found.what)), f", of {found.rows}"),
        tag("svg", _bars(found), _axis(found), height=_HEIGHT, role="img", aria_label=label)
        if found.num_known
        else tag("p", "No value is known.", class_="none"),
        tag("p", _extent(found), class_="notes"),
        class_="chart histogram",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _extent(found: Histogram) -> str:
    if found.low is None or found.high is None:
        return f"{found.num_unknown:,} unknown"
    return (
        f"{found.num_known:,} known, {found.low:.4g} to {found.high:.4g}; "
        f"{found.num_unknown:,} unknown"
    )


def _x(found: Histogram, value: float) -> float:
    low, high = found.ticks[0], found.ticks[-1]
    inside = min(max(value, low), high)
    return _LEFT + (_RIGHT - _LEFT) * (inside - low) / (high - low)


def _bars(found: Histogram) -> Iterator[Markup]:
    """Of each bin what is inside all limits, and on it what is not."""
    most = int((found.inside + found.outside).max())
    edges = found.edges
    width = (_RIGHT - _LEFT) / NUM_BINS
    for place in np.flatnonzero(found.inside + found.outside).tolist():
        y = float(_HEIGHT - _BOTTOM)
        span = f"{edges[place]:.4g} to {edges[place + 1]:.4g}"
        for class_, counts in (("kept", found.inside), ("taken", found.outside)):
            number = int(counts[place])
            if not number:
                continue
            height = max(2.0, number / most * (_HEIGHT - _BOTTOM - _TOP))
            y -= height
            yield tag(
                "rect",
                tag("title", f"{span}: {number:,}"),
                x=f"{_LEFT + place * width + 0.1:.2f}%",
                y=f"{y:.1f}",
                width=f"{width - 0.2:.2f}%",
                height=f"{height:.1f}",
                class_=class_,
            )


def _axis(found: Histogram) -> Iterator[Markup]:
    base = _HEIGHT - _BOTTOM
    yield tag("line", x1=f"{_LEFT}%", x2=f"{_RIGHT}%", y1=base, y2=base, class_="grid")
    for tick in found.ticks:
        x = f"{_x(found, tick):.2f}%"
        yield tag("text", f"{tick:g}", x=x, y=_HEIGHT - 6, class_="tick")
    for limit in found.limits:
        if np.isfinite(limit.threshold):
            x = f"{_x(found, limit.threshold):.2f}%"
            hint = tag("title", _threshold(limit))
            yield tag("line", hint, x1=x, x2=x, y1=0, y2=base, class_="threshold")


def _threshold(limit: Limit) -> str:
    side = "at least" if limit.is_min else "at most"
    tier = "" if limit.tier is None else f" for tier {limit.tier}"
    return f"{side} {limit.threshold:.4g}{tier}"


def _rows(found: Histogram) -> Iterator[Markup]:
    for limit in found.limits:
        yield row(
            f"{found.what}, of {found.rows}",
            _threshold(limit),
            f"{limit.num_inside:,}",
            f"{limit.num_outside:,}",
            f"{found.num_unknown:,}",
        )
