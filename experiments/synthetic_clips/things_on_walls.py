"""Draws what hangs on a wall, in prop units: 1 high around (0, 0)."""

from __future__ import annotations

import math

from experiments.synthetic_clips.paint import (
    Pen,
    darker,
    ellipse,
    lighter,
    mix,
    rectangle,
    rounded,
    smooth,
)
from experiments.synthetic_clips.palette import GLASS, INK, LEAF, PAPER, WOOD, prop_rng
from experiments.synthetic_clips.script import Prop


def draw_window(pen: Pen, prop: Prop, line: float) -> None:
    """A window with curtains and a view of hills."""
    pen.fill(rectangle(-0.42, -0.5, 0.42, 0.5), PAPER, shade=0.3, outline=line)
    pen.fill(rectangle(-0.37, -0.45, 0.37, 0.45), mix(GLASS, prop.second, 0.25), shade=0.3)
    hill = [(-0.37, 0.25), (-0.15, 0.12), (0.12, 0.22), (0.37, 0.08), (0.37, 0.45), (-0.37, 0.45)]
    pen.fill(hill, mix(LEAF, GLASS, 0.35), shade=0.2)
    for x, y, size in ((-0.2, -0.2, 0.09), (-0.1, -0.22, 0.11), (0.0, -0.19, 0.08)):
        pen.fill(ellipse(x, y, size, size * 0.6), (250, 250, 252), shade=0.1)
    pen.fill(
        [(-0.30, 0.45), (-0.05, -0.45), (0.08, -0.45), (-0.17, 0.45)],
        (255, 255, 255),
        shade=0,
        opacity=0.16,
    )
    pen.stroke([(0.0, -0.46), (0.0, 0.46)], 0.035, PAPER, outline=line * 0.6)
    pen.stroke([(-0.38, 0.0), (0.38, 0.0)], 0.035, PAPER, outline=line * 0.6)
    pen.fill(rectangle(-0.48, 0.48, 0.48, 0.54), PAPER, shade=0.4, outline=line)
    for side in (-1, 1):
        folds = [
            (side * 0.52, -0.54),
            (side * 0.20, -0.54),
            (side * 0.30, 0.0),
            (side * 0.40, 0.50),
            (side * 0.53, 0.50),
        ]
        pen.fill(folds, prop.first, shade=0.5, outline=line)
        for k in range(3):
            x = side * (0.30 + 0.07 * k)
            pen.stroke(
                [(x, -0.50), (side * (0.40 + 0.04 * k), 0.46)],
                0.012,
                darker(prop.first, 0.3),
                opacity=0.6,
            )
    pen.stroke([(-0.56, -0.55), (0.56, -0.55)], 0.03, WOOD, outline=line)


def draw_poster(pen: Pen, prop: Prop, line: float) -> None:
    """A poster: a picture above a printed word."""
    pen.fill(rectangle(-0.36, -0.5, 0.36, 0.5), prop.first, shade=0.18, outline=line)
    pen.fill(rectangle(-0.33, -0.47, 0.33, 0.47), lighter(prop.first, 0.12), shade=0.0)
    rng = prop_rng(prop)
    kind = int(rng.integers(4))
    if kind == 0:
        pen.fill(ellipse(0, -0.08, 0.23, 0.23), prop.second, shade=0.3)
        for k in range(12):
            a = k * math.pi / 6
            ray = [
                (0.25 * math.cos(a), -0.08 + 0.25 * math.sin(a)),
                (0.31 * math.cos(a), -0.08 + 0.31 * math.sin(a)),
            ]
            pen.stroke(ray, 0.02, prop.second)
    elif kind == 1:
        pen.fill(
            [(-0.33, 0.18), (-0.12, -0.22), (0.02, 0.02), (0.16, -0.12), (0.33, 0.18)],
            prop.second,
            shade=0.4,
        )
        pen.fill(ellipse(0.15, -0.28, 0.08, 0.08), (250, 214, 96), shade=0.3)
    elif kind == 2:
        for k in range(4):
            y = -0.36 + 0.14 * k
            pen.fill(rectangle(-0.33, y, 0.33, y + 0.07), prop.second, shade=0.1)
        pen.fill(ellipse(0.0, -0.1, 0.16, 0.16), PAPER, shade=0.4)
    else:
        cup = [(-0.16, -0.20), (0.16, -0.20), (0.11, 0.12), (-0.11, 0.12)]
        pen.stroke(ellipse(0.18, -0.06, 0.08, 0.08), 0.03, prop.second)
        pen.fill(cup, prop.second, shade=0.4, outline=line)
        for x in (-0.07, 0.0, 0.07):
            pen.stroke(
                smooth(
                    [(x, -0.24), (x + 0.03, -0.29), (x - 0.02, -0.34), (x + 0.02, -0.39)],
                    closed=False,
                ),
                0.016,
                PAPER,
            )
    pen.fill(rectangle(-0.33, 0.22, 0.33, 0.47), PAPER, shade=0.0)
    pen.text(prop.text or "", 0.0, 0.345, 0.14, darker(prop.second, 0.5), max_width=0.58)


def draw_sign(pen: Pen, prop: Prop, line: float) -> None:
    """A hanging sign with a printed word."""
    half = 1.75
    for x in (-half * 0.7, half * 0.7):
        pen.stroke([(x, -0.9), (x, -0.4)], 0.05, INK)
    pen.fill(rounded(-half, -0.5, half, 0.5, 0.16), prop.first, shade=0.35, outline=line)
    pen.fill(
        rounded(-half + 0.08, -0.42, half - 0.08, 0.42, 0.12), lighter(prop.first, 0.75), shade=0.0
    )
    pen.fill(rounded(-half + 0.12, -0.38, half - 0.12, 0.38, 0.10), prop.first, shade=0.25)
    pen.text(prop.text or "", 0.0, 0.0, 0.46, lighter(prop.second, 0.75), max_width=half * 1.75)


def draw_menu(pen: Pen, prop: Prop, line: float) -> None:
    """A chalkboard with a heading and four prices."""
    pen.fill(rectangle(-0.44, -0.5, 0.44, 0.5), WOOD, shade=0.5, outline=line)
    pen.fill(rectangle(-0.39, -0.45, 0.39, 0.45), (38, 50, 48), shade=0.2)
    pen.glow(-0.1, -0.1, 0.4, (220, 230, 220), 0.10)
    pen.text(prop.text or "MENU", 0.0, -0.33, 0.13, (250, 238, 200), max_width=0.68)
    rng = prop_rng(prop)
    dishes = [
        "TEA 2.50",
        "COFFEE 3.00",
        "SOUP 4.80",
        "CAKE 3.60",
        "BREAD 1.90",
        "PIE 4.20",
        "JUICE 2.80",
    ]
    for k, pick in enumerate(rng.choice(len(dishes), 4, replace=False)):
        pen.text(
            dishes[int(pick)],
            0.0,
            -0.12 + 0.145 * k,
            0.075,
            (226, 232, 226),
            max_width=0.66,
            bold=False,
        )


def draw_clock(pen: Pen, prop: Prop, line: float) -> None:
    """A round wall clock."""
    pen.fill(ellipse(0, 0, 0.5, 0.5), prop.first, shade=0.5, outline=line)
    pen.fill(ellipse(0, 0, 0.42, 0.42), (252, 248, 238), shade=0.2)
    for k in range(12):
        a = k * math.pi / 6
        pen.stroke(
            [(0.34 * math.cos(a), 0.34 * math.sin(a)), (0.39 * math.cos(a), 0.39 * math.sin(a))],
            0.025,
            INK,
        )
    hour, minute = prop_rng(prop).uniform(0, 2 * math.pi, 2)
    pen.stroke([(0, 0), (0.21 * math.cos(hour), 0.21 * math.sin(hour))], 0.05, INK)
    pen.stroke([(0, 0), (0.32 * math.cos(minute), 0.32 * math.sin(minute))], 0.034, INK)
    pen.fill(ellipse(0, 0, 0.04, 0.04), (196, 50, 44), shade=0.3)


def draw_painting(pen: Pen, prop: Prop, line: float) -> None:
    """A framed landscape, abstract or still life, with a label."""
    frame = (176, 136, 66) if prop.seed % 2 else (66, 46, 40)
    pen.fill(rectangle(-0.62, -0.5, 0.62, 0.5), frame, shade=0.6, outline=line)
    pen.fill(rectangle(-0.56, -0.44, 0.56, 0.44), darker(frame, 0.4), shade=0.0)
    pen.fill(rectangle(-0.54, -0.42, 0.54, 0.42), lighter(prop.first, 0.35), shade=0.15)
    rng = prop_rng(prop)
    kind = int(rng.integers(3))
    if kind == 0:
        pen.fill(ellipse(0.2, -0.16, 0.11, 0.11), (252, 208, 104), shade=0.2)
        for k in range(3):
            y = 0.02 + 0.12 * k
            hill = [
                (-0.54, y + 0.08),
                (-0.3, y - 0.1 * rng.random()),
                (0.0, y + 0.06),
                (0.3, y - 0.12 * rng.random()),
                (0.54, y + 0.02),
                (0.54, 0.42),
                (-0.54, 0.42),
            ]
            pen.fill(hill, mix(prop.first, darker(prop.second, 0.3), k / 2), shade=0.2)
    elif kind == 1:
        for _ in range(7):
            x, y = rng.uniform(-0.36, 0.36), rng.uniform(-0.26, 0.26)
            w = rng.uniform(0.07, 0.16)
            colour = mix(prop.first, prop.second, float(rng.random()))
            shape = (
                ellipse(x, y, w, w)
                if rng.random() < 0.5
                else rectangle(x - w, y - w * 0.7, x + w, y + w * 0.7)
            )
            pen.fill(shape, colour, shade=0.35, opacity=0.9)
        pen.stroke([(-0.45, 0.3), (0.42, -0.3)], 0.03, INK)
    else:
        pen.fill([(-0.12, 0.42), (-0.10, 0.12), (0.10, 0.12), (0.12, 0.42)], prop.second, shade=0.5)
        for _ in range(9):
            x, y = rng.uniform(-0.24, 0.24), rng.uniform(-0.3, 0.06)
            pen.stroke([(0, 0.16), (x, y)], 0.014, LEAF)
            pen.fill(
                ellipse(x, y, 0.065, 0.065),
                mix(prop.first, (240, 90, 90), float(rng.random())),
                shade=0.5,
            )
    if prop.text:
        pen.fill(rectangle(-0.28, 0.56, 0.28, 0.68), PAPER, shade=0.2, outline=line * 0.7)
        pen.text(prop.text, 0.0, 0.62, 0.075, INK, max_width=0.5)


def draw_shelf(pen: Pen, prop: Prop, line: float) -> None:
    """A shelf with cups, jars and plants."""
    rng = prop_rng(prop)
    x = -0.95
    while x < 0.8:
        kind = int(rng.integers(3))
        colour = [prop.first, prop.second, (222, 178, 84)][int(rng.integers(3))]
        if kind == 0:
            pen.fill(
                [(x, -0.05), (x + 0.24, -0.05), (x + 0.20, 0.26), (x + 0.04, 0.26)],
                colour,
                shade=0.5,
                outline=line,
            )
        elif kind == 1:
            pen.fill(rounded(x, -0.26, x + 0.20, 0.26, 0.07), colour, shade=0.6, outline=line)
            pen.fill(rectangle(x + 0.02, -0.06, x + 0.18, 0.10), PAPER, shade=0.1)
        else:
            pen.fill(rectangle(x + 0.02, 0.02, x + 0.22, 0.26), WOOD, shade=0.5, outline=line)
            for dx in (-0.06, 0.03, 0.12):
                pen.fill(
                    ellipse(x + 0.09 + dx, -0.08 - abs(dx), 0.09, 0.13, tilt=dx * 4),
                    LEAF,
                    shade=0.5,
                    outline=line * 0.7,
                )
        x += 0.33
    pen.fill(rectangle(-1.05, 0.26, 1.05, 0.37), WOOD, shade=0.5, outline=line)
    for side in (-0.8, 0.8):
        pen.fill(
            [(side - 0.04, 0.37), (side + 0.04, 0.37), (side, 0.5)], darker(WOOD, 0.3), shade=0.2
        )


def draw_pendant(pen: Pen, prop: Prop, line: float) -> None:
    """A lit lamp on a cord."""
    pen.stroke([(0, -3.0), (0, -0.2)], 0.05, INK)
    pen.glow(0.0, 0.5, 1.5, (255, 232, 170), 0.45)
    pen.fill(ellipse(0, 0.42, 0.2, 0.14), (255, 246, 210), shade=0.0)
    pen.fill(
        smooth(
            [(-0.12, -0.25), (0.12, -0.25), (0.42, 0.30), (0.5, 0.42), (-0.5, 0.42), (-0.42, 0.30)],
            steps=4,
        ),
        prop.first,
        shade=0.6,
        outline=line,
    )


def draw_arrivals(pen: Pen, prop: Prop, line: float) -> None:
    """A board with times and towns."""
    pen.fill(rounded(-1.3, -0.5, 1.3, 0.5, 0.05), (40, 44, 54), shade=0.4, outline=line)
    pen.text(prop.text or "", 0.0, -0.31, 0.20, (255, 214, 90), max_width=2.3)
    rng = prop_rng(prop)
    towns = ["NORTHWICK", "LAKESIDE", "OLD HARBOR", "PINE HILL", "RIVERTON", "STONE BAY"]
    for k, pick in enumerate(rng.choice(len(towns), 3, replace=False)):
        y = -0.05 + 0.19 * k
        when = f"{int(rng.integers(6, 23)):02d}:{int(rng.integers(0, 60)):02d}"
        pen.text(when, -0.92, y, 0.115, (240, 240, 240), max_width=0.6, bold=False)
        pen.text(towns[int(pick)], 0.05, y, 0.115, (240, 240, 240), max_width=1.1, bold=False)
        pen.text(str(int(rng.integers(1, 9))), 1.05, y, 0.115, (255, 214, 90), max_width=0.3)
