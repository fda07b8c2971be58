"""Small line charts as SVG, for pages in light and in dark colours. No torch, no plotting library.

Colours are of middling lightness, so that they stand out from white and from near black alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from pfp.pages.ticks import nice_ticks

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 196, 34, 46
INK: Final = "#808080"
COLOURS: Final = (
    *("#8c8c8c", "#d0622d", "#3d87d9", "#2f9e77", "#c2459b", "#b08a1e", "#7a6fe0", "#d24b4b"),
    *("#4aa3b8", "#8aa33a"),
)
DASHES: Final = ("", "7 3", "2 3")
LABEL_ROW: Final = 15


def line_chart(
    title: str,
    *,
    x_title: str,
    y_title: str,
    lines: Mapping[str, Mapping[float, float]],
) -> str:
    """Lines of (x, y) points by name, with the names at their right ends."""
    xs = sorted({x for points in lines.values() for x in points})
    ys = [y for points in lines.values() for y in points.values()]
    x_ticks = xs if len(xs) <= 13 else nice_ticks(xs[0], xs[-1])
    y_ticks = nice_ticks(min(ys), max(ys), at_most=9)
    x_range = (min(xs[0], x_ticks[0]), max(xs[-1], x_ticks[-1]))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / ((x_range[1] - x_range[0]) or 1.0)
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (
            HEIGHT - TOP - BOTTOM
        )

    body = [_grid_x(tick, *place(tick, y_ticks[0])) for tick in x_ticks]
    body += [_grid_y(tick, place(x_range[0], tick)[1]) for tick in y_ticks]
    ends = {name: place(*max(points.items()))[1] for name, points in lines.items()}
    rows = _spread(ends)
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = DASHES[number // len(COLOURS) % len(DASHES)]
        placed = [place(x, y) for x, y in sorted(points.items())]
        body.append(_line(placed, f'stroke="{colour}" stroke-dasharray="{dash}"', colour))
        body.append(_name(name, rows[name], colour))
    return _page(title, x_title, y_title, body)


def _spread(ends: Mapping[str, float]) -> dict[str, float]:
    """Heights of the names, near their lines' ends and a row apart."""
    rows: dict[str, float] = {}
    last: float = TOP - LABEL_ROW
    for name, y in sorted(ends.items(), key=lambda item: item[1]):
        last = max(y, last + LABEL_ROW)
        rows[name] = last
    over = last - (HEIGHT - BOTTOM)
    return {name: y - max(0.0, over) for name, y in rows.items()}


def _grid_x(tick: float, x: float, y: float) -> str:
    return f'<text x="{x:.1f}" y="{y + 17:.1f}" text-anchor="middle">{tick:g}</text>'


def _grid_y(tick: float, y: float) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{INK}" '
        f'stroke-opacity="0.3"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
        f"{tick:g}</text>"
    )


def _line(
    placed: Sequence[tuple[float, float]],
    stroke: str,
    colour: str,
) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    parts = [f'<polyline points="{points}" fill="none" stroke-width="2" {stroke}/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
    return "<g>" + "".join(parts) + "</g>"


def _name(name: str, row: float, colour: str) -> str:
    x = WIDTH - RIGHT + 10
    return f'<text x="{x}" y="{row + 4:.1f}" fill="{colour}">{escape(name)}</text>'


def _page(title: str, x_title: str, y_title: str, body: Sequence[str]) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}">'
        f"<title>{escape(title)}</title>"
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(title)}</text>'
        f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>'
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_title)}</text>'
    )
    return head + "\n" + "\n".join(body) + "\n</svg>\n"
