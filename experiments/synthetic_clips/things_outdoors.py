"""Draws what stands in streets, parks and on beaches, in prop units: on y = 0, 1 high."""

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
from experiments.synthetic_clips.palette import GLASS, INK, LEAF, PAPER, WOOD, prop_rng
from experiments.synthetic_clips.script import Prop


def draw_tree(pen: Pen, prop: Prop, line: float) -> None:
    """A tree in leaf, lit from above."""
    rng = prop_rng(prop)
    trunk = [
        (-0.055, 0.0),
        (-0.035, -0.3),
        (-0.03, -0.55),
        (0.03, -0.55),
        (0.035, -0.3),
        (0.06, 0.0),
    ]
    pen.fill(trunk, (112, 80, 56), shade=0.6, outline=line)
    for side in (-1, 1):
        pen.stroke([(0, -0.42), (side * 0.14, -0.60)], 0.03, (112, 80, 56), outline=line)
    crown = mix(LEAF, prop.first, 0.10)
    blobs = []
    for _ in range(34):
        angle, reach = float(rng.uniform(0, 2 * math.pi)), 0.27 * float(rng.random()) ** 0.6
        blobs.append((1.15 * reach * math.cos(angle), -0.70 + 0.92 * reach * math.sin(angle)))
    blobs.sort(key=lambda at: -at[1])  # the top of the crown lies in front and in the sun
    for k, (x, y) in enumerate(blobs):
        size = float(rng.uniform(0.075, 0.12))
        height = (-0.45 - y) / 0.52 - 0.6 * x
        tone = mix(darker(crown, 0.38), lighter(crown, 0.16), min(max(height, 0.0), 1.0))
        pen.fill(ellipse(x, y, size, size * 0.88), tone, shade=0.3, outline=0.0 if k > 14 else line)
        for _ in range(4):
            dx, dy = rng.uniform(-0.7, 0.7, 2) * size
            spot = lighter(tone, 0.22) if rng.random() < 0.6 else darker(tone, 0.25)
            leaf = ellipse(x + dx, y + dy, 0.016, 0.008, tilt=float(rng.uniform(0, 3)))
            pen.fill(leaf, spot, shade=0.0, opacity=0.8)


def draw_bush(pen: Pen, prop: Prop, line: float) -> None:
    """A bush with flowers."""
    rng = prop_rng(prop)
    green = mix(LEAF, prop.first, 0.2)
    for _ in range(16):
        x, y, size = rng.uniform(-0.7, 0.7), -0.35 - 0.3 * rng.random(), rng.uniform(0.22, 0.36)
        y *= 1 - 0.5 * abs(x)
        pen.fill(
            ellipse(x, y, size, size * 0.9),
            mix(green, (40, 96, 54), float(rng.random()) * 0.7),
            shade=0.5,
            outline=line * 0.5,
        )
    for _ in range(12):
        x, y = rng.uniform(-0.7, 0.7), -0.15 - 0.6 * rng.random()
        pen.fill(ellipse(x, y, 0.05, 0.05), prop.second, shade=0.4)


def draw_bench(pen: Pen, prop: Prop, line: float) -> None:
    """A slatted bench."""
    for x in (-0.85, 0.85):
        pen.stroke([(x, -0.5), (x * 1.02, -0.02)], 0.07, INK)
        pen.stroke([(x, -1.0), (x, -0.45)], 0.06, INK)
    for y in (-0.95, -0.80, -0.65):
        pen.fill(rounded(-1.1, y - 0.05, 1.1, y + 0.05, 0.03), prop.first, shade=0.4, outline=line)
    pen.fill(
        rounded(-1.14, -0.50, 1.14, -0.40, 0.03), lighter(prop.first, 0.08), shade=0.4, outline=line
    )


def draw_streetlamp(pen: Pen, prop: Prop, line: float) -> None:
    """A lit street lamp."""
    iron = mix((50, 56, 62), prop.first, 0.2)
    pen.fill(
        [(-0.05, 0.0), (0.05, 0.0), (0.025, -0.10), (-0.025, -0.10)], iron, shade=0.5, outline=line
    )
    pen.stroke([(0, -0.08), (0, -0.86)], 0.022, iron, shade=0.3, outline=line)
    pen.glow(0.0, -0.92, 0.14, (255, 236, 180), 0.5)
    pen.fill(
        [(-0.035, -0.87), (0.035, -0.87), (0.05, -0.97), (-0.05, -0.97)],
        (255, 244, 206),
        shade=0.3,
        outline=line,
    )
    pen.fill([(-0.06, -0.965), (0.06, -0.965), (0.0, -1.01)], iron, shade=0.4, outline=line)


def draw_door(pen: Pen, prop: Prop, line: float) -> None:
    """A front door with a number."""
    pen.fill(rectangle(-0.27, -1.0, 0.27, 0.0), PAPER, shade=0.3, outline=line)
    pen.fill(rectangle(-0.225, -0.96, 0.225, 0.0), prop.first, shade=0.3, outline=line)
    pen.fill(rectangle(-0.15, -0.90, 0.15, -0.58), GLASS, shade=0.4, outline=line)
    pen.stroke([(0, -0.90), (0, -0.58)], 0.014, darker(prop.first, 0.2))
    pen.fill(
        rectangle(-0.15, -0.48, 0.15, -0.10), darker(prop.first, 0.14), shade=0.4, outline=line
    )
    pen.fill(ellipse(0.18, -0.46, 0.018, 0.018), (232, 196, 96), shade=0.5, outline=line)
    pen.text(prop.text or "12", 0.0, -0.535, 0.045, (240, 220, 150), max_width=0.2)


def draw_shopfront(pen: Pen, prop: Prop, line: float) -> None:
    """A shop window under an awning, with the name above."""
    pen.fill(rectangle(-0.72, -0.80, 0.72, 0.0), darker(prop.first, 0.2), shade=0.3, outline=line)
    pen.fill(rectangle(-0.64, -0.56, 0.64, -0.14), (255, 232, 176), shade=0.2, outline=line)
    rng = prop_rng(prop)
    for k in range(6):
        x = -0.53 + 0.21 * k
        colour = [prop.first, prop.second, (222, 178, 84), (120, 150, 110)][int(rng.integers(4))]
        tall = float(rng.uniform(0.10, 0.2))
        pen.fill(
            rounded(x - 0.055, -0.16 - tall, x + 0.055, -0.16, 0.025),
            colour,
            shade=0.5,
            outline=line,
        )
    pen.fill(
        [(-0.50, -0.14), (-0.22, -0.56), (-0.08, -0.56), (-0.36, -0.14)],
        (255, 255, 255),
        shade=0.0,
        opacity=0.2,
    )
    pen.fill(rectangle(-0.76, -1.0, 0.76, -0.80), prop.first, shade=0.4, outline=line)
    pen.text(prop.text or "", 0.0, -0.90, 0.115, lighter(prop.first, 0.85), max_width=1.4)
    count = 10
    for k in range(count):
        x0, x1 = -0.78 + 1.56 * k / count, -0.78 + 1.56 * (k + 1) / count
        colour = prop.second if k % 2 else PAPER
        strip = [
            (x0 * 0.97, -0.80),
            (x1 * 0.97, -0.80),
            (x1 * 1.04, -0.61),
            *ellipse((x0 + x1) / 2 * 1.04, -0.61, (x1 - x0) * 0.52, 0.03)[:19],
            (x0 * 1.04, -0.61),
        ]
        pen.fill(strip, colour, shade=0.15, outline=line * 0.6)


def draw_bicycle(pen: Pen, prop: Prop, line: float) -> None:
    """A leaning bicycle."""
    for x in (-0.56, 0.56):
        pen.stroke(ellipse(x, -0.36, 0.33, 0.33), 0.055, INK)
        pen.stroke(ellipse(x, -0.36, 0.29, 0.29), 0.02, (196, 198, 204))
        for k in range(8):
            a = k * math.pi / 8
            pen.stroke(
                [
                    (x - 0.28 * math.cos(a), -0.36 - 0.28 * math.sin(a)),
                    (x + 0.28 * math.cos(a), -0.36 + 0.28 * math.sin(a)),
                ],
                0.010,
                (180, 184, 190),
            )
    for part in (
        [(-0.56, -0.36), (-0.20, -0.80), (0.36, -0.80), (-0.02, -0.34), (-0.56, -0.36)],
        [(-0.20, -0.80), (-0.02, -0.34)],
        [(0.56, -0.36), (0.34, -0.94)],
    ):
        pen.stroke(part, 0.05, prop.first, shade=0.3, outline=line)
    pen.stroke([(-0.20, -0.80), (-0.24, -0.92)], 0.035, INK)
    pen.fill(rounded(-0.40, -0.99, -0.10, -0.91, 0.04), INK, shade=0.5)
    pen.stroke([(0.34, -0.94), (0.30, -1.02), (0.16, -0.98)], 0.04, INK)
    pen.fill(ellipse(-0.02, -0.34, 0.07, 0.07), (120, 124, 130), shade=0.4, outline=line)


def draw_mailbox(pen: Pen, prop: Prop, line: float) -> None:
    """A mailbox."""
    pen.fill(rectangle(-0.16, -0.12, 0.16, 0.0), INK, shade=0.4)
    pen.fill(rounded(-0.21, -1.0, 0.21, -0.08, 0.18), prop.first, shade=0.6, outline=line)
    pen.fill(rounded(-0.14, -0.80, 0.14, -0.75, 0.02), INK, shade=0.0)
    pen.fill(rectangle(-0.12, -0.66, 0.12, -0.46), PAPER, shade=0.2, outline=line)
    pen.text(prop.text or "POST", 0.0, -0.56, 0.075, prop.first, max_width=0.2)


def draw_car(pen: Pen, prop: Prop, line: float) -> None:
    """A small car that faces right."""
    body = [
        (-1.1, -0.22),
        (-1.12, -0.48),
        (-0.78, -0.56),
        (-0.48, -0.94),
        (0.22, -0.96),
        (0.58, -0.58),
        (1.04, -0.50),
        (1.14, -0.30),
        (1.12, -0.20),
    ]
    pen.fill(smooth(body, steps=5), prop.first, shade=0.6, outline=line)
    pen.fill(
        [(-0.60, -0.58), (-0.40, -0.86), (-0.14, -0.87), (-0.14, -0.58)],
        GLASS,
        shade=0.4,
        outline=line,
    )
    pen.fill(
        [(-0.06, -0.58), (-0.06, -0.87), (0.16, -0.87), (0.42, -0.58)],
        GLASS,
        shade=0.4,
        outline=line,
    )
    pen.stroke([(-0.10, -0.58), (-0.10, -0.24)], 0.014, darker(prop.first, 0.4))
    pen.stroke([(-1.05, -0.30), (1.08, -0.30)], 0.02, lighter(prop.first, 0.4), opacity=0.7)
    pen.fill(ellipse(1.03, -0.42, 0.07, 0.06), (255, 246, 200), shade=0.3, outline=line)
    pen.fill(ellipse(-1.06, -0.42, 0.05, 0.06), (220, 60, 50), shade=0.3, outline=line)
    for x in (-0.66, 0.68):
        pen.fill(ellipse(x, -0.20, 0.22, 0.22), (40, 38, 44), shade=0.5, outline=line)
        pen.fill(ellipse(x, -0.20, 0.11, 0.11), (196, 200, 206), shade=0.5, outline=line)


def draw_palm(pen: Pen, prop: Prop, line: float) -> None:
    """A palm tree."""
    trunk = smooth([(-0.02, 0.0), (0.03, -0.3), (0.02, -0.55), (-0.04, -0.76)], closed=False)
    pen.stroke(trunk, 0.055, (150, 112, 74), shade=0.4, outline=line)
    for k in range(8):
        y = -0.08 - 0.085 * k
        pen.stroke([(-0.02, y), (0.05, y - 0.01)], 0.008, (112, 82, 54))
    for angle in (-170, -145, -115, -80, -50, -25, 0, 170):
        a = math.radians(angle)
        tip = (-0.04 + 0.36 * math.cos(a), -0.74 + 0.26 * math.sin(a) + 0.10)
        middle = (-0.04 + 0.2 * math.cos(a), -0.80 + 0.2 * math.sin(a))
        frond = [(-0.04, -0.77), (middle[0], middle[1] - 0.05), tip, (middle[0], middle[1] + 0.04)]
        pen.fill(smooth(frond), mix(LEAF, prop.first, 0.2), shade=0.4, outline=line)
    pen.fill(ellipse(-0.06, -0.74, 0.035, 0.035), (120, 78, 48), shade=0.5, outline=line)


def draw_parasol(pen: Pen, prop: Prop, line: float) -> None:
    """A beach parasol."""
    pen.stroke([(0, 0), (0.04, -0.95)], 0.025, PAPER, outline=line)
    ribs = 6
    for k in range(ribs):
        a0, a1 = -0.62 + 1.24 * k / ribs, -0.62 + 1.24 * (k + 1) / ribs
        edge = [
            (a0, -0.62 - 0.10 * (1 - (a0 / 0.62) ** 2)),
            (a1, -0.62 - 0.10 * (1 - (a1 / 0.62) ** 2)),
        ]
        bow = [(0.03 + a0 * 0.6, -0.92), (0.04, -1.0), (0.03 + a1 * 0.6, -0.92)]
        pen.fill(
            [edge[0], *bow, edge[1]], prop.first if k % 2 else PAPER, shade=0.25, outline=line * 0.7
        )


def draw_hut(pen: Pen, prop: Prop, line: float) -> None:
    """A beach hut with a printed board."""
    boards = Pattern(
        kind="pinstripes", first=prop.first, second=lighter(prop.first, 0.6), period=0.18
    )
    pen.fill(rectangle(-0.42, -0.70, 0.42, 0.0), boards, shade=0.3, outline=line)
    pen.fill(
        [(-0.50, -0.68), (0.0, -1.0), (0.50, -0.68), (0.50, -0.63), (-0.50, -0.63)],
        prop.second,
        shade=0.4,
        outline=line,
    )
    pen.fill(rectangle(-0.15, -0.44, 0.15, 0.0), lighter(prop.second, 0.2), shade=0.3, outline=line)
    pen.fill(rectangle(-0.36, -0.60, 0.36, -0.47), PAPER, shade=0.2, outline=line)
    pen.text(prop.text or "", 0.0, -0.535, 0.085, darker(prop.second, 0.4), max_width=0.66)


def draw_vending(pen: Pen, prop: Prop, line: float) -> None:
    """A vending machine."""
    pen.fill(rounded(-0.28, -1.0, 0.28, 0.0, 0.03), prop.first, shade=0.4, outline=line)
    pen.text(prop.text or "DRINKS", 0.0, -0.94, 0.06, PAPER, max_width=0.5)
    pen.fill(rectangle(-0.23, -0.88, 0.11, -0.26), (30, 40, 56), shade=0.2, outline=line)
    rng = prop_rng(prop)
    for row in range(4):
        for column in range(4):
            x, y = -0.19 + 0.085 * column, -0.74 + 0.145 * row
            colour = [(220, 70, 60), (240, 190, 70), (90, 170, 110), (90, 140, 220)][
                int(rng.integers(4))
            ]
            pen.fill(rounded(x - 0.025, y - 0.09, x + 0.025, y, 0.01), colour, shade=0.5)
    pen.fill(rectangle(0.15, -0.70, 0.24, -0.50), INK, shade=0.2)
    pen.fill(rectangle(-0.18, -0.18, 0.10, -0.08), INK, shade=0.2, outline=line)


def draw_signpost(pen: Pen, prop: Prop, line: float) -> None:
    """A printed board on two posts."""
    for x in (-0.42, 0.42):
        pen.stroke([(x, 0.0), (x, -0.8)], 0.06, WOOD, shade=0.4, outline=line)
    pen.fill(rounded(-0.62, -1.0, 0.62, -0.52, 0.05), prop.first, shade=0.4, outline=line)
    pen.fill(rounded(-0.57, -0.95, 0.57, -0.57, 0.03), lighter(prop.first, 0.8), shade=0.1)
    pen.text(prop.text or "", 0.0, -0.76, 0.17, darker(prop.first, 0.4), max_width=1.0)
