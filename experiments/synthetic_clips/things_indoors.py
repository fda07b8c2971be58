"""Draws furniture, in prop units: standing on y = 0, 1 high."""

from __future__ import annotations

import math

from experiments.synthetic_clips.paint import (
    Pattern,
    Pen,
    darker,
    ellipse,
    lighter,
    mix,
    rectangle,
    rounded,
    smooth,
)
from experiments.synthetic_clips.palette import BINDINGS, GLASS, INK, LEAF, PAPER, WOOD, prop_rng
from experiments.synthetic_clips.script import Prop


def draw_plant(pen: Pen, prop: Prop, line: float) -> None:
    """A leafy plant in a pot."""
    rng = prop_rng(prop)
    for k in range(11):
        angle = math.radians(-90 + (k - 5) * 15 + float(rng.uniform(-6, 6)))
        length = 0.52 + 0.16 * float(rng.random())
        tip = (length * math.cos(angle) * 0.75, -0.33 + length * math.sin(angle))
        bend = (tip[0] * 0.45, -0.33 + (tip[1] + 0.33) * 0.62)
        side = (tip[1] - bend[1], bend[0] - tip[0])
        leaf = [
            (0, -0.30),
            (bend[0] + side[0] * 0.22, bend[1] + side[1] * 0.22),
            tip,
            (bend[0] - side[0] * 0.22, bend[1] - side[1] * 0.22),
        ]
        pen.fill(
            smooth(leaf), mix(LEAF, (36, 92, 58), float(rng.random())), shade=0.5, outline=line
        )
        pen.stroke([(0, -0.30), bend, tip], 0.010, lighter(LEAF, 0.25), opacity=0.7)
    pen.fill(
        [(-0.20, -0.32), (0.20, -0.32), (0.14, 0.0), (-0.14, 0.0)],
        prop.first,
        shade=0.6,
        outline=line,
    )
    pen.fill(
        rounded(-0.22, -0.36, 0.22, -0.29, 0.02), lighter(prop.first, 0.1), shade=0.4, outline=line
    )


def draw_lamp(pen: Pen, prop: Prop, line: float) -> None:
    """A lit floor lamp."""
    pen.glow(0.0, -0.80, 0.55, (255, 226, 150), 0.55)
    pen.fill(ellipse(0, -0.015, 0.13, 0.025), darker(WOOD, 0.3), shade=0.5, outline=line)
    pen.stroke([(0, -0.02), (0, -0.72)], 0.025, darker(WOOD, 0.2), outline=line)
    pen.fill(
        [(-0.10, -0.98), (0.10, -0.98), (0.19, -0.70), (-0.19, -0.70)],
        lighter(prop.first, 0.35),
        shade=0.4,
        outline=line,
    )
    pen.glow(0.0, -0.78, 0.16, (255, 250, 220), 0.7)


def draw_sofa(pen: Pen, prop: Prop, line: float) -> None:
    """A sofa with a striped pillow."""
    cloth = Pattern(
        kind=("plain", "dots", "plaid")[prop.seed % 3],
        first=prop.first,
        second=lighter(prop.first, 0.18),
        period=0.16,
    )
    for x in (-0.95, 0.95):
        pen.fill(rectangle(x - 0.05, -0.12, x + 0.05, 0.0), WOOD, shade=0.4, outline=line)
    pen.fill(rounded(-1.0, -1.0, 1.0, -0.2, 0.18), cloth, shade=0.5, outline=line)
    for x in (-0.46, 0.46):
        pen.fill(rounded(x - 0.44, -0.92, x + 0.44, -0.42, 0.12), cloth, shade=0.6, outline=line)
        pen.fill(rounded(x - 0.45, -0.48, x + 0.45, -0.25, 0.09), cloth, shade=0.6, outline=line)
    pen.fill(
        rounded(-1.0, -0.28, 1.0, -0.08, 0.06), darker(prop.first, 0.15), shade=0.5, outline=line
    )
    for side in (-1, 1):
        pen.fill(
            rounded(side * 1.02 - 0.15, -0.66, side * 1.02 + 0.15, -0.07, 0.14),
            cloth,
            shade=0.6,
            outline=line,
        )
    pillow = Pattern(kind="stripes", first=prop.second, second=PAPER, period=0.12)
    pen.fill(
        smooth([(-0.78, -0.76), (-0.44, -0.70), (-0.48, -0.40), (-0.80, -0.44)]),
        pillow,
        shade=0.6,
        outline=line,
    )


def draw_bookcase(pen: Pen, prop: Prop, line: float) -> None:
    """Four shelves of books, one of them shown with its title."""
    wood = mix(WOOD, prop.second, 0.15)
    pen.fill(rectangle(-0.40, -1.0, 0.40, 0.0), wood, shade=0.35, outline=line)
    rng = prop_rng(prop)
    titles = ["MAPS", "BIRDS", "TALES", "ATLAS", "POEMS", "STARS", "COOK", "OPERA"]
    for shelf in range(4):
        top, floor = -0.96 + 0.235 * shelf, -0.76 + 0.235 * shelf
        pen.fill(rectangle(-0.36, top, 0.36, floor), darker(wood, 0.62), shade=0.0)
        x = -0.345
        while x < 0.31:
            width = float(rng.uniform(0.028, 0.062))
            height = float(rng.uniform(0.125, 0.185))
            cloths = (prop.first, prop.second, *BINDINGS)
            colour = darker(cloths[int(rng.integers(6))], float(rng.uniform(0, 0.25)))
            if rng.random() < 0.12:
                x += width
                continue
            pen.fill(
                rectangle(x, floor - height, min(x + width, 0.355), floor),
                colour,
                shade=0.35,
                outline=line * 0.6,
            )
            pen.stroke(
                [
                    (x + 0.006, floor - height * 0.8),
                    (min(x + width, 0.355) - 0.006, floor - height * 0.8),
                ],
                0.008,
                lighter(colour, 0.6),
            )
            x += width + 0.003
        if shelf == 1:
            face = titles[int(rng.integers(len(titles)))]
            pen.fill(
                rectangle(-0.09, floor - 0.175, 0.07, floor), prop.first, shade=0.35, outline=line
            )
            pen.text(prop.text or face, -0.01, floor - 0.11, 0.042, PAPER, max_width=0.135)
    pen.fill(rectangle(-0.43, -1.03, 0.43, -0.98), lighter(wood, 0.1), shade=0.4, outline=line)


def draw_table(pen: Pen, prop: Prop, line: float) -> None:
    """A table with a cloth, a cup and flowers."""
    for x in (-0.52, 0.52):
        pen.stroke([(x, -0.62), (x * 1.06, -0.02)], 0.06, darker(WOOD, 0.2), outline=line)
    pen.fill(rounded(-0.72, -0.72, 0.72, -0.60, 0.04), WOOD, shade=0.5, outline=line)
    drape = Pattern(
        kind=("checks", "stripes", "dots")[prop.seed % 3],
        first=prop.first,
        second=PAPER,
        period=0.13,
    )
    pen.fill(
        [
            (-0.66, -0.735),
            (0.66, -0.735),
            (0.70, -0.42),
            (0.35, -0.36),
            (0.0, -0.43),
            (-0.35, -0.36),
            (-0.70, -0.42),
        ],
        drape,
        shade=0.4,
        outline=line,
    )
    pen.fill(
        [(-0.30, -0.90), (-0.12, -0.90), (-0.15, -0.735), (-0.27, -0.735)],
        prop.second,
        shade=0.5,
        outline=line,
    )
    pen.stroke(ellipse(-0.09, -0.82, 0.045, 0.05), 0.02, prop.second)
    pen.fill(rounded(0.16, -0.93, 0.28, -0.735, 0.05), GLASS, shade=0.5, outline=line)
    for dx in (-0.07, 0.0, 0.07):
        pen.stroke([(0.22, -0.9), (0.22 + dx, -1.02)], 0.014, LEAF)
        pen.fill(
            ellipse(0.22 + dx, -1.04, 0.045, 0.045),
            mix(prop.first, (250, 120, 120), 0.5),
            shade=0.5,
            outline=line * 0.6,
        )


def draw_fridge(pen: Pen, prop: Prop, line: float) -> None:
    """A fridge with a note."""
    body = lighter(prop.first, 0.45)
    pen.fill(rounded(-0.26, -1.0, 0.26, 0.0, 0.05), body, shade=0.4, outline=line)
    pen.stroke([(-0.26, -0.62), (0.26, -0.62)], 0.010, darker(body, 0.4))
    for y0, y1 in ((-0.80, -0.67), (-0.57, -0.38)):
        pen.stroke([(-0.20, y0), (-0.20, y1)], 0.022, (210, 214, 220), outline=line)
    pen.fill(rectangle(0.02, -0.55, 0.18, -0.40), PAPER, shade=0.2, outline=line * 0.6)
    pen.text(prop.text or "LIST", 0.10, -0.51, 0.035, INK, max_width=0.13)
    for k in range(3):
        pen.stroke([(0.05, -0.475 + 0.022 * k), (0.15, -0.475 + 0.022 * k)], 0.006, (150, 150, 160))
    pen.fill(ellipse(-0.05, -0.80, 0.03, 0.03), (214, 70, 64), shade=0.5)


def draw_counter(pen: Pen, prop: Prop, line: float) -> None:
    """A kitchen counter with a teapot and fruit."""
    pen.fill(rectangle(-1.15, -0.86, 1.15, 0.0), prop.first, shade=0.3, outline=line)
    for k in range(4):
        x = -1.08 + 0.555 * k
        pen.fill(
            rectangle(x, -0.78, x + 0.50, -0.06),
            lighter(prop.first, 0.12),
            shade=0.35,
            outline=line,
        )
        pen.fill(ellipse(x + 0.43, -0.45, 0.03, 0.03), (214, 190, 130), shade=0.5, outline=line)
    pen.fill(rectangle(-1.22, -0.95, 1.22, -0.84), (226, 222, 214), shade=0.4, outline=line)
    pen.fill(rounded(-0.85, -1.18, -0.50, -0.95, 0.08), prop.second, shade=0.6, outline=line)
    pen.stroke([(-0.90, -1.10), (-0.85, -1.05)], 0.05, prop.second)
    pen.fill(ellipse(-0.675, -1.19, 0.04, 0.03), INK, shade=0.3)
    for x, colour in ((0.1, (214, 70, 60)), (0.24, (240, 180, 60)), (0.17, (110, 170, 70))):
        pen.fill(
            ellipse(x, -1.04 if x != 0.17 else -1.13, 0.085, 0.085), colour, shade=0.6, outline=line
        )
    pen.fill(
        [(-0.08, -1.02), (0.42, -1.02), (0.32, -0.95), (0.02, -0.95)],
        PAPER,
        shade=0.4,
        outline=line,
    )


def draw_plinth(pen: Pen, prop: Prop, line: float) -> None:
    """A vase on a labelled plinth."""
    pen.fill(rectangle(-0.22, -0.5, 0.22, 0.0), (232, 228, 220), shade=0.4, outline=line)
    pen.fill(rectangle(-0.26, -0.54, 0.26, -0.48), (240, 236, 230), shade=0.3, outline=line)
    vase = [
        (-0.09, -1.0),
        (0.09, -1.0),
        (0.07, -0.92),
        (0.17, -0.76),
        (0.10, -0.56),
        (0.10, -0.54),
        (-0.10, -0.54),
        (-0.10, -0.56),
        (-0.17, -0.76),
        (-0.07, -0.92),
    ]
    glaze = Pattern(
        kind=("stripes", "checks", "dots")[prop.seed % 3],
        first=prop.first,
        second=prop.second,
        period=0.09,
    )
    pen.fill(smooth(vase, steps=4), glaze, shade=0.7, outline=line)
    if prop.text:
        pen.fill(rectangle(-0.14, -0.36, 0.14, -0.26), PAPER, shade=0.2, outline=line * 0.6)
        pen.text(prop.text, 0.0, -0.31, 0.05, INK, max_width=0.25)


def draw_boxes(pen: Pen, prop: Prop, line: float) -> None:
    """Three cardboard boxes."""
    for x, y, w, h, colour in (
        (-0.34, 0.0, 0.56, 0.46, (196, 150, 98)),
        (0.26, 0.0, 0.5, 0.38, (180, 134, 84)),
        (-0.1, -0.44, 0.54, 0.44, (208, 164, 110)),
    ):
        pen.fill(rectangle(x - w / 2, y - h, x + w / 2, y), colour, shade=0.4, outline=line)
        pen.fill(rectangle(x - 0.04, y - h, x + 0.04, y), lighter(colour, 0.4), shade=0.2)
    pen.text(prop.text or "FRAGILE", -0.1, -0.62, 0.09, (150, 40, 36), max_width=0.44)
