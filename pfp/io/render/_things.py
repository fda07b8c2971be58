"""Draws the fixed objects of a place.

Prop units: a floor prop stands on y = 0 and is 1 high; a wall prop is 1 high around (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pfp.io.render._paint import (
    Colour,
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
from pfp.io.render._script import Prop

INK: Final[Colour] = (44, 34, 40)
PAPER: Final[Colour] = (246, 240, 226)
WOOD: Final[Colour] = (140, 92, 56)
LEAF: Final[Colour] = (72, 138, 66)
GLASS: Final[Colour] = (176, 214, 232)

Draw = Callable[[Pen, Prop, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """How a kind of prop is drawn and how much room it takes, in prop units."""

    draw: Draw
    half_width: float
    on_wall: bool
    bottom: float = 0.04


def _rng(prop: Prop) -> np.random.Generator:
    return np.random.default_rng((prop.seed, 17))


# -- on the wall --------------------------------------------------------------------------


def _window(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.42, -0.5, 0.42, 0.5), PAPER, shade=0.3, outline=line)
    pen.fill(rectangle(-0.37, -0.45, 0.37, 0.45), mix(GLASS, prop.second, 0.25), shade=0.3)
    hill = [(-0.37, 0.25), (-0.15, 0.12), (0.12, 0.22), (0.37, 0.08), (0.37, 0.45), (-0.37, 0.45)]
    pen.fill(hill, mix(LEAF, GLASS, 0.35), shade=0.2)
    for x, y, size in ((-0.2, -0.2, 0.09), (-0.1, -0.22, 0.11), (0.0, -0.19, 0.08)):
        pen.fill(ellipse(x, y, size, size * 0.6), (250, 250, 252), shade=0.1)
    pen.fill([(-0.30, 0.45), (-0.05, -0.45), (0.08, -0.45), (-0.17, 0.45)], (255, 255, 255), shade=0, opacity=0.16)
    pen.stroke([(0.0, -0.46), (0.0, 0.46)], 0.035, PAPER, outline=line * 0.6)
    pen.stroke([(-0.38, 0.0), (0.38, 0.0)], 0.035, PAPER, outline=line * 0.6)
    pen.fill(rectangle(-0.48, 0.48, 0.48, 0.54), PAPER, shade=0.4, outline=line)
    for side in (-1, 1):
        folds = [(side * 0.52, -0.54), (side * 0.20, -0.54), (side * 0.30, 0.0), (side * 0.40, 0.50), (side * 0.53, 0.50)]
        pen.fill(folds, prop.first, shade=0.5, outline=line)
        for k in range(3):
            x = side * (0.30 + 0.07 * k)
            pen.stroke([(x, -0.50), (side * (0.40 + 0.04 * k), 0.46)], 0.012, darker(prop.first, 0.3), opacity=0.6)
    pen.stroke([(-0.56, -0.55), (0.56, -0.55)], 0.03, WOOD, outline=line)


def _poster(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.36, -0.5, 0.36, 0.5), prop.first, shade=0.18, outline=line)
    pen.fill(rectangle(-0.33, -0.47, 0.33, 0.47), lighter(prop.first, 0.12), shade=0.0)
    rng = _rng(prop)
    kind = int(rng.integers(4))
    if kind == 0:
        pen.fill(ellipse(0, -0.08, 0.23, 0.23), prop.second, shade=0.3)
        for k in range(12):
            a = k * math.pi / 6
            ray = [(0.25 * math.cos(a), -0.08 + 0.25 * math.sin(a)), (0.31 * math.cos(a), -0.08 + 0.31 * math.sin(a))]
            pen.stroke(ray, 0.02, prop.second)
    elif kind == 1:
        pen.fill([(-0.33, 0.18), (-0.12, -0.22), (0.02, 0.02), (0.16, -0.12), (0.33, 0.18)], prop.second, shade=0.4)
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
            pen.stroke(smooth([(x, -0.24), (x + 0.03, -0.29), (x - 0.02, -0.34), (x + 0.02, -0.39)], closed=False), 0.016, PAPER)
    pen.fill(rectangle(-0.33, 0.22, 0.33, 0.47), PAPER, shade=0.0)
    pen.text(prop.text or "", 0.0, 0.345, 0.14, darker(prop.second, 0.5), max_width=0.58)


def _sign(pen: Pen, prop: Prop, line: float) -> None:
    half = 1.75
    for x in (-half * 0.7, half * 0.7):
        pen.stroke([(x, -0.9), (x, -0.4)], 0.05, INK)
    pen.fill(rounded(-half, -0.5, half, 0.5, 0.16), prop.first, shade=0.35, outline=line)
    pen.fill(rounded(-half + 0.08, -0.42, half - 0.08, 0.42, 0.12), lighter(prop.first, 0.75), shade=0.0)
    pen.fill(rounded(-half + 0.12, -0.38, half - 0.12, 0.38, 0.10), prop.first, shade=0.25)
    pen.text(prop.text or "", 0.0, 0.0, 0.46, lighter(prop.second, 0.75), max_width=half * 1.75)


def _menu(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.44, -0.5, 0.44, 0.5), WOOD, shade=0.5, outline=line)
    pen.fill(rectangle(-0.39, -0.45, 0.39, 0.45), (38, 50, 48), shade=0.2)
    pen.glow(-0.1, -0.1, 0.4, (220, 230, 220), 0.10)
    pen.text(prop.text or "MENU", 0.0, -0.33, 0.13, (250, 238, 200), max_width=0.68)
    rng = _rng(prop)
    dishes = ["TEA 2.50", "COFFEE 3.00", "SOUP 4.80", "CAKE 3.60", "BREAD 1.90", "PIE 4.20", "JUICE 2.80"]
    for k, pick in enumerate(rng.choice(len(dishes), 4, replace=False)):
        pen.text(dishes[int(pick)], 0.0, -0.12 + 0.145 * k, 0.075, (226, 232, 226), max_width=0.66, bold=False)


def _clock(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(ellipse(0, 0, 0.5, 0.5), prop.first, shade=0.5, outline=line)
    pen.fill(ellipse(0, 0, 0.42, 0.42), (252, 248, 238), shade=0.2)
    for k in range(12):
        a = k * math.pi / 6
        pen.stroke([(0.34 * math.cos(a), 0.34 * math.sin(a)), (0.39 * math.cos(a), 0.39 * math.sin(a))], 0.025, INK)
    hour, minute = _rng(prop).uniform(0, 2 * math.pi, 2)
    pen.stroke([(0, 0), (0.21 * math.cos(hour), 0.21 * math.sin(hour))], 0.05, INK)
    pen.stroke([(0, 0), (0.32 * math.cos(minute), 0.32 * math.sin(minute))], 0.034, INK)
    pen.fill(ellipse(0, 0, 0.04, 0.04), (196, 50, 44), shade=0.3)


def _painting(pen: Pen, prop: Prop, line: float) -> None:
    frame = (176, 136, 66) if prop.seed % 2 else (66, 46, 40)
    pen.fill(rectangle(-0.62, -0.5, 0.62, 0.5), frame, shade=0.6, outline=line)
    pen.fill(rectangle(-0.56, -0.44, 0.56, 0.44), darker(frame, 0.4), shade=0.0)
    pen.fill(rectangle(-0.54, -0.42, 0.54, 0.42), lighter(prop.first, 0.35), shade=0.15)
    rng = _rng(prop)
    kind = int(rng.integers(3))
    if kind == 0:
        pen.fill(ellipse(0.2, -0.16, 0.11, 0.11), (252, 208, 104), shade=0.2)
        for k in range(3):
            y = 0.02 + 0.12 * k
            hill = [(-0.54, y + 0.08), (-0.3, y - 0.1 * rng.random()), (0.0, y + 0.06), (0.3, y - 0.12 * rng.random()), (0.54, y + 0.02), (0.54, 0.42), (-0.54, 0.42)]
            pen.fill(hill, mix(prop.first, darker(prop.second, 0.3), k / 2), shade=0.2)
    elif kind == 1:
        for _ in range(7):
            x, y = rng.uniform(-0.36, 0.36), rng.uniform(-0.26, 0.26)
            w = rng.uniform(0.07, 0.16)
            colour = mix(prop.first, prop.second, float(rng.random()))
            shape = ellipse(x, y, w, w) if rng.random() < 0.5 else rectangle(x - w, y - w * 0.7, x + w, y + w * 0.7)
            pen.fill(shape, colour, shade=0.35, opacity=0.9)
        pen.stroke([(-0.45, 0.3), (0.42, -0.3)], 0.03, INK)
    else:
        pen.fill([(-0.12, 0.42), (-0.10, 0.12), (0.10, 0.12), (0.12, 0.42)], prop.second, shade=0.5)
        for _ in range(9):
            x, y = rng.uniform(-0.24, 0.24), rng.uniform(-0.3, 0.06)
            pen.stroke([(0, 0.16), (x, y)], 0.014, LEAF)
            pen.fill(ellipse(x, y, 0.065, 0.065), mix(prop.first, (240, 90, 90), float(rng.random())), shade=0.5)
    if prop.text:
        pen.fill(rectangle(-0.28, 0.56, 0.28, 0.68), PAPER, shade=0.2, outline=line * 0.7)
        pen.text(prop.text, 0.0, 0.62, 0.075, INK, max_width=0.5)


def _shelf(pen: Pen, prop: Prop, line: float) -> None:
    rng = _rng(prop)
    x = -0.95
    while x < 0.8:
        kind = int(rng.integers(3))
        colour = [prop.first, prop.second, (222, 178, 84)][int(rng.integers(3))]
        if kind == 0:
            pen.fill([(x, -0.05), (x + 0.24, -0.05), (x + 0.20, 0.26), (x + 0.04, 0.26)], colour, shade=0.5, outline=line)
        elif kind == 1:
            pen.fill(rounded(x, -0.26, x + 0.20, 0.26, 0.07), colour, shade=0.6, outline=line)
            pen.fill(rectangle(x + 0.02, -0.06, x + 0.18, 0.10), PAPER, shade=0.1)
        else:
            pen.fill(rectangle(x + 0.02, 0.02, x + 0.22, 0.26), WOOD, shade=0.5, outline=line)
            for dx in (-0.06, 0.03, 0.12):
                pen.fill(ellipse(x + 0.09 + dx, -0.08 - abs(dx), 0.09, 0.13, tilt=dx * 4), LEAF, shade=0.5, outline=line * 0.7)
        x += 0.33
    pen.fill(rectangle(-1.05, 0.26, 1.05, 0.37), WOOD, shade=0.5, outline=line)
    for side in (-0.8, 0.8):
        pen.fill([(side - 0.04, 0.37), (side + 0.04, 0.37), (side, 0.5)], darker(WOOD, 0.3), shade=0.2)


def _pendant(pen: Pen, prop: Prop, line: float) -> None:
    pen.stroke([(0, -3.0), (0, -0.2)], 0.05, INK)
    pen.glow(0.0, 0.5, 1.5, (255, 232, 170), 0.45)
    pen.fill(ellipse(0, 0.42, 0.2, 0.14), (255, 246, 210), shade=0.0)
    pen.fill(smooth([(-0.12, -0.25), (0.12, -0.25), (0.42, 0.30), (0.5, 0.42), (-0.5, 0.42), (-0.42, 0.30)], steps=4), prop.first, shade=0.6, outline=line)


def _arrivals(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rounded(-1.3, -0.5, 1.3, 0.5, 0.05), (40, 44, 54), shade=0.4, outline=line)
    pen.text(prop.text or "", 0.0, -0.31, 0.20, (255, 214, 90), max_width=2.3)
    rng = _rng(prop)
    towns = ["NORTHWICK", "LAKESIDE", "OLD HARBOR", "PINE HILL", "RIVERTON", "STONE BAY"]
    for k, pick in enumerate(rng.choice(len(towns), 3, replace=False)):
        y = -0.05 + 0.19 * k
        when = f"{int(rng.integers(6, 23)):02d}:{int(rng.integers(0, 60)):02d}"
        pen.text(when, -0.92, y, 0.115, (240, 240, 240), max_width=0.6, bold=False)
        pen.text(towns[int(pick)], 0.05, y, 0.115, (240, 240, 240), max_width=1.1, bold=False)
        pen.text(str(int(rng.integers(1, 9))), 1.05, y, 0.115, (255, 214, 90), max_width=0.3)


# -- on the floor, indoors ----------------------------------------------------------------


def _plant(pen: Pen, prop: Prop, line: float) -> None:
    rng = _rng(prop)
    for k in range(11):
        angle = math.radians(-90 + (k - 5) * 15 + float(rng.uniform(-6, 6)))
        length = 0.52 + 0.16 * float(rng.random())
        tip = (length * math.cos(angle) * 0.75, -0.33 + length * math.sin(angle))
        bend = (tip[0] * 0.45, -0.33 + (tip[1] + 0.33) * 0.62)
        side = (tip[1] - bend[1], bend[0] - tip[0])
        leaf = [(0, -0.30), (bend[0] + side[0] * 0.22, bend[1] + side[1] * 0.22), tip, (bend[0] - side[0] * 0.22, bend[1] - side[1] * 0.22)]
        pen.fill(smooth(leaf), mix(LEAF, (36, 92, 58), float(rng.random())), shade=0.5, outline=line)
        pen.stroke([(0, -0.30), bend, tip], 0.010, lighter(LEAF, 0.25), opacity=0.7)
    pen.fill([(-0.20, -0.32), (0.20, -0.32), (0.14, 0.0), (-0.14, 0.0)], prop.first, shade=0.6, outline=line)
    pen.fill(rounded(-0.22, -0.36, 0.22, -0.29, 0.02), lighter(prop.first, 0.1), shade=0.4, outline=line)


def _lamp(pen: Pen, prop: Prop, line: float) -> None:
    pen.glow(0.0, -0.80, 0.55, (255, 226, 150), 0.55)
    pen.fill(ellipse(0, -0.015, 0.13, 0.025), darker(WOOD, 0.3), shade=0.5, outline=line)
    pen.stroke([(0, -0.02), (0, -0.72)], 0.025, darker(WOOD, 0.2), outline=line)
    pen.fill([(-0.10, -0.98), (0.10, -0.98), (0.19, -0.70), (-0.19, -0.70)], lighter(prop.first, 0.35), shade=0.4, outline=line)
    pen.glow(0.0, -0.78, 0.16, (255, 250, 220), 0.7)


def _sofa(pen: Pen, prop: Prop, line: float) -> None:
    cloth = Pattern(kind=("plain", "dots", "plaid")[prop.seed % 3], first=prop.first, second=lighter(prop.first, 0.18), period=0.16)
    for x in (-0.95, 0.95):
        pen.fill(rectangle(x - 0.05, -0.12, x + 0.05, 0.0), WOOD, shade=0.4, outline=line)
    pen.fill(rounded(-1.0, -1.0, 1.0, -0.2, 0.18), cloth, shade=0.5, outline=line)
    for x in (-0.46, 0.46):
        pen.fill(rounded(x - 0.44, -0.92, x + 0.44, -0.42, 0.12), cloth, shade=0.6, outline=line)
        pen.fill(rounded(x - 0.45, -0.48, x + 0.45, -0.25, 0.09), cloth, shade=0.6, outline=line)
    pen.fill(rounded(-1.0, -0.28, 1.0, -0.08, 0.06), darker(prop.first, 0.15), shade=0.5, outline=line)
    for side in (-1, 1):
        pen.fill(rounded(side * 1.02 - 0.15, -0.66, side * 1.02 + 0.15, -0.07, 0.14), cloth, shade=0.6, outline=line)
    pillow = Pattern(kind="stripes", first=prop.second, second=PAPER, period=0.12)
    pen.fill(smooth([(-0.78, -0.76), (-0.44, -0.70), (-0.48, -0.40), (-0.80, -0.44)]), pillow, shade=0.6, outline=line)


def _bookcase(pen: Pen, prop: Prop, line: float) -> None:
    wood = mix(WOOD, prop.second, 0.15)
    pen.fill(rectangle(-0.40, -1.0, 0.40, 0.0), wood, shade=0.35, outline=line)
    rng = _rng(prop)
    titles = ["MAPS", "BIRDS", "TALES", "ATLAS", "POEMS", "STARS", "COOK", "OPERA"]
    for shelf in range(4):
        top, floor = -0.96 + 0.235 * shelf, -0.76 + 0.235 * shelf
        pen.fill(rectangle(-0.36, top, 0.36, floor), darker(wood, 0.62), shade=0.0)
        x = -0.345
        while x < 0.31:
            width = float(rng.uniform(0.028, 0.062))
            height = float(rng.uniform(0.125, 0.185))
            hue = np.array([prop.first, prop.second, (206, 170, 92), (64, 92, 120), (150, 60, 58), (92, 120, 84)])
            colour = darker(tuple(int(v) for v in hue[int(rng.integers(6))]), float(rng.uniform(0, 0.25)))  # type: ignore[arg-type]
            if rng.random() < 0.12:
                x += width
                continue
            pen.fill(rectangle(x, floor - height, min(x + width, 0.355), floor), colour, shade=0.35, outline=line * 0.6)
            pen.stroke([(x + 0.006, floor - height * 0.8), (min(x + width, 0.355) - 0.006, floor - height * 0.8)], 0.008, lighter(colour, 0.6))
            x += width + 0.003
        if shelf == 1:
            face = titles[int(rng.integers(len(titles)))]
            pen.fill(rectangle(-0.09, floor - 0.175, 0.07, floor), prop.first, shade=0.35, outline=line)
            pen.text(prop.text or face, -0.01, floor - 0.11, 0.042, PAPER, max_width=0.135)
    pen.fill(rectangle(-0.43, -1.03, 0.43, -0.98), lighter(wood, 0.1), shade=0.4, outline=line)


def _table(pen: Pen, prop: Prop, line: float) -> None:
    for x in (-0.52, 0.52):
        pen.stroke([(x, -0.62), (x * 1.06, -0.02)], 0.06, darker(WOOD, 0.2), outline=line)
    pen.fill(rounded(-0.72, -0.72, 0.72, -0.60, 0.04), WOOD, shade=0.5, outline=line)
    drape = Pattern(kind=("checks", "stripes", "dots")[prop.seed % 3], first=prop.first, second=PAPER, period=0.13)
    pen.fill([(-0.66, -0.735), (0.66, -0.735), (0.70, -0.42), (0.35, -0.36), (0.0, -0.43), (-0.35, -0.36), (-0.70, -0.42)], drape, shade=0.4, outline=line)
    pen.fill([(-0.30, -0.90), (-0.12, -0.90), (-0.15, -0.735), (-0.27, -0.735)], prop.second, shade=0.5, outline=line)
    pen.stroke(ellipse(-0.09, -0.82, 0.045, 0.05), 0.02, prop.second)
    pen.fill(rounded(0.16, -0.93, 0.28, -0.735, 0.05), GLASS, shade=0.5, outline=line)
    for dx in (-0.07, 0.0, 0.07):
        pen.stroke([(0.22, -0.9), (0.22 + dx, -1.02)], 0.014, LEAF)
        pen.fill(ellipse(0.22 + dx, -1.04, 0.045, 0.045), mix(prop.first, (250, 120, 120), 0.5), shade=0.5, outline=line * 0.6)


def _fridge(pen: Pen, prop: Prop, line: float) -> None:
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


def _counter(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-1.15, -0.86, 1.15, 0.0), prop.first, shade=0.3, outline=line)
    for k in range(4):
        x = -1.08 + 0.555 * k
        pen.fill(rectangle(x, -0.78, x + 0.50, -0.06), lighter(prop.first, 0.12), shade=0.35, outline=line)
        pen.fill(ellipse(x + 0.43, -0.45, 0.03, 0.03), (214, 190, 130), shade=0.5, outline=line)
    pen.fill(rectangle(-1.22, -0.95, 1.22, -0.84), (226, 222, 214), shade=0.4, outline=line)
    pen.fill(rounded(-0.85, -1.18, -0.50, -0.95, 0.08), prop.second, shade=0.6, outline=line)
    pen.stroke([(-0.90, -1.10), (-0.85, -1.05)], 0.05, prop.second)
    pen.fill(ellipse(-0.675, -1.19, 0.04, 0.03), INK, shade=0.3)
    for x, colour in ((0.1, (214, 70, 60)), (0.24, (240, 180, 60)), (0.17, (110, 170, 70))):
        pen.fill(ellipse(x, -1.04 if x != 0.17 else -1.13, 0.085, 0.085), colour, shade=0.6, outline=line)
    pen.fill([(-0.08, -1.02), (0.42, -1.02), (0.32, -0.95), (0.02, -0.95)], PAPER, shade=0.4, outline=line)


def _plinth(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.22, -0.5, 0.22, 0.0), (232, 228, 220), shade=0.4, outline=line)
    pen.fill(rectangle(-0.26, -0.54, 0.26, -0.48), (240, 236, 230), shade=0.3, outline=line)
    vase = [(-0.09, -1.0), (0.09, -1.0), (0.07, -0.92), (0.17, -0.76), (0.10, -0.56), (0.10, -0.54), (-0.10, -0.54), (-0.10, -0.56), (-0.17, -0.76), (-0.07, -0.92)]
    glaze = Pattern(kind=("stripes", "checks", "dots")[prop.seed % 3], first=prop.first, second=prop.second, period=0.09)
    pen.fill(smooth(vase, steps=4), glaze, shade=0.7, outline=line)
    if prop.text:
        pen.fill(rectangle(-0.14, -0.36, 0.14, -0.26), PAPER, shade=0.2, outline=line * 0.6)
        pen.text(prop.text, 0.0, -0.31, 0.05, INK, max_width=0.25)


def _boxes(pen: Pen, prop: Prop, line: float) -> None:
    for x, y, w, h, colour in ((-0.34, 0.0, 0.56, 0.46, (196, 150, 98)), (0.26, 0.0, 0.5, 0.38, (180, 134, 84)), (-0.1, -0.44, 0.54, 0.44, (208, 164, 110))):
        pen.fill(rectangle(x - w / 2, y - h, x + w / 2, y), colour, shade=0.4, outline=line)
        pen.fill(rectangle(x - 0.04, y - h, x + 0.04, y), lighter(colour, 0.4), shade=0.2)
    pen.text(prop.text or "FRAGILE", -0.1, -0.62, 0.09, (150, 40, 36), max_width=0.44)


# -- on the floor, outdoors ---------------------------------------------------------------


def _tree(pen: Pen, prop: Prop, line: float) -> None:
    rng = _rng(prop)
    trunk = [(-0.055, 0.0), (-0.035, -0.3), (-0.03, -0.55), (0.03, -0.55), (0.035, -0.3), (0.06, 0.0)]
    pen.fill(trunk, (112, 80, 56), shade=0.6, outline=line)
    for side in (-1, 1):
        pen.stroke([(0, -0.42), (side * 0.14, -0.60)], 0.03, (112, 80, 56), outline=line)
    crown = mix(LEAF, prop.first, 0.35)
    for k in range(22):
        angle, reach = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.1, 0.27))
        x, y = reach * math.cos(angle) * 1.15, -0.70 + reach * math.sin(angle) * 0.95
        size = float(rng.uniform(0.09, 0.14))
        tone = mix(darker(crown, 0.25), lighter(crown, 0.18), (1 - y - 1.45) / 0.6 if y > -0.97 else 0.9)
        pen.fill(ellipse(x, y, size, size * 0.9), tone, shade=0.35, outline=line * 0.5 if k < 10 else 0.0)
    for _ in range(60):
        angle, reach = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.0, 0.3))
        x, y = reach * math.cos(angle) * 1.15, -0.70 + reach * math.sin(angle) * 0.95
        spot = lighter(crown, 0.3) if rng.random() < 0.5 else darker(crown, 0.3)
        pen.fill(ellipse(x, y, 0.014, 0.010, tilt=angle), spot, shade=0.0, opacity=0.7)


def _bush(pen: Pen, prop: Prop, line: float) -> None:
    rng = _rng(prop)
    green = mix(LEAF, prop.first, 0.2)
    for _ in range(16):
        x, y, size = rng.uniform(-0.7, 0.7), -0.35 - 0.3 * rng.random(), rng.uniform(0.22, 0.36)
        y *= 1 - 0.5 * abs(x)
        pen.fill(ellipse(x, y, size, size * 0.9), mix(green, (40, 96, 54), float(rng.random()) * 0.7), shade=0.5, outline=line * 0.5)
    for _ in range(12):
        x, y = rng.uniform(-0.7, 0.7), -0.15 - 0.6 * rng.random()
        pen.fill(ellipse(x, y, 0.05, 0.05), prop.second, shade=0.4)


def _bench(pen: Pen, prop: Prop, line: float) -> None:
    for x in (-0.85, 0.85):
        pen.stroke([(x, -0.5), (x * 1.02, -0.02)], 0.07, INK)
        pen.stroke([(x, -1.0), (x, -0.45)], 0.06, INK)
    for y in (-0.95, -0.80, -0.65):
        pen.fill(rounded(-1.1, y - 0.05, 1.1, y + 0.05, 0.03), prop.first, shade=0.4, outline=line)
    pen.fill(rounded(-1.14, -0.50, 1.14, -0.40, 0.03), lighter(prop.first, 0.08), shade=0.4, outline=line)


def _streetlamp(pen: Pen, prop: Prop, line: float) -> None:
    iron = mix((50, 56, 62), prop.first, 0.2)
    pen.fill([(-0.05, 0.0), (0.05, 0.0), (0.025, -0.10), (-0.025, -0.10)], iron, shade=0.5, outline=line)
    pen.stroke([(0, -0.08), (0, -0.86)], 0.022, iron, shade=0.3, outline=line)
    pen.glow(0.0, -0.92, 0.14, (255, 236, 180), 0.5)
    pen.fill([(-0.035, -0.87), (0.035, -0.87), (0.05, -0.97), (-0.05, -0.97)], (255, 244, 206), shade=0.3, outline=line)
    pen.fill([(-0.06, -0.965), (0.06, -0.965), (0.0, -1.01)], iron, shade=0.4, outline=line)


def _door(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.27, -1.0, 0.27, 0.0), PAPER, shade=0.3, outline=line)
    pen.fill(rectangle(-0.225, -0.96, 0.225, 0.0), prop.first, shade=0.3, outline=line)
    pen.fill(rectangle(-0.15, -0.90, 0.15, -0.58), GLASS, shade=0.4, outline=line)
    pen.stroke([(0, -0.90), (0, -0.58)], 0.014, darker(prop.first, 0.2))
    pen.fill(rectangle(-0.15, -0.48, 0.15, -0.10), darker(prop.first, 0.14), shade=0.4, outline=line)
    pen.fill(ellipse(0.18, -0.46, 0.018, 0.018), (232, 196, 96), shade=0.5, outline=line)
    pen.text(prop.text or "12", 0.0, -0.535, 0.045, (240, 220, 150), max_width=0.2)


def _shopfront(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.72, -0.80, 0.72, 0.0), darker(prop.first, 0.2), shade=0.3, outline=line)
    pen.fill(rectangle(-0.64, -0.56, 0.64, -0.14), (255, 232, 176), shade=0.2, outline=line)
    rng = _rng(prop)
    for k in range(6):
        x = -0.53 + 0.21 * k
        colour = [prop.first, prop.second, (222, 178, 84), (120, 150, 110)][int(rng.integers(4))]
        tall = float(rng.uniform(0.10, 0.2))
        pen.fill(rounded(x - 0.055, -0.16 - tall, x + 0.055, -0.16, 0.025), colour, shade=0.5, outline=line)
    pen.fill([(-0.50, -0.14), (-0.22, -0.56), (-0.08, -0.56), (-0.36, -0.14)], (255, 255, 255), shade=0.0, opacity=0.2)
    pen.fill(rectangle(-0.76, -1.0, 0.76, -0.80), prop.first, shade=0.4, outline=line)
    pen.text(prop.text or "", 0.0, -0.90, 0.115, lighter(prop.first, 0.85), max_width=1.4)
    count = 10
    for k in range(count):
        x0, x1 = -0.78 + 1.56 * k / count, -0.78 + 1.56 * (k + 1) / count
        colour = prop.second if k % 2 else PAPER
        strip = [(x0 * 0.97, -0.80), (x1 * 0.97, -0.80), (x1 * 1.04, -0.61), *ellipse((x0 + x1) / 2 * 1.04, -0.61, (x1 - x0) * 0.52, 0.03)[:19], (x0 * 1.04, -0.61)]
        pen.fill(strip, colour, shade=0.15, outline=line * 0.6)


def _bicycle(pen: Pen, prop: Prop, line: float) -> None:
    for x in (-0.56, 0.56):
        pen.stroke(ellipse(x, -0.36, 0.33, 0.33), 0.055, INK)
        pen.stroke(ellipse(x, -0.36, 0.29, 0.29), 0.02, (196, 198, 204))
        for k in range(8):
            a = k * math.pi / 8
            pen.stroke([(x - 0.28 * math.cos(a), -0.36 - 0.28 * math.sin(a)), (x + 0.28 * math.cos(a), -0.36 + 0.28 * math.sin(a))], 0.010, (180, 184, 190))
    for part in ([(-0.56, -0.36), (-0.20, -0.80), (0.36, -0.80), (-0.02, -0.34), (-0.56, -0.36)], [(-0.20, -0.80), (-0.02, -0.34)], [(0.56, -0.36), (0.34, -0.94)]):
        pen.stroke(part, 0.05, prop.first, shade=0.3, outline=line)
    pen.stroke([(-0.20, -0.80), (-0.24, -0.92)], 0.035, INK)
    pen.fill(rounded(-0.40, -0.99, -0.10, -0.91, 0.04), INK, shade=0.5)
    pen.stroke([(0.34, -0.94), (0.30, -1.02), (0.16, -0.98)], 0.04, INK)
    pen.fill(ellipse(-0.02, -0.34, 0.07, 0.07), (120, 124, 130), shade=0.4, outline=line)


def _mailbox(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rectangle(-0.16, -0.12, 0.16, 0.0), INK, shade=0.4)
    pen.fill(rounded(-0.21, -1.0, 0.21, -0.08, 0.18), prop.first, shade=0.6, outline=line)
    pen.fill(rounded(-0.14, -0.80, 0.14, -0.75, 0.02), INK, shade=0.0)
    pen.fill(rectangle(-0.12, -0.66, 0.12, -0.46), PAPER, shade=0.2, outline=line)
    pen.text(prop.text or "POST", 0.0, -0.56, 0.075, prop.first, max_width=0.2)


def draw_car(pen: Pen, prop: Prop, line: float) -> None:
    """A small car that faces right."""
    body = [(-1.1, -0.22), (-1.12, -0.48), (-0.78, -0.56), (-0.48, -0.94), (0.22, -0.96), (0.58, -0.58), (1.04, -0.50), (1.14, -0.30), (1.12, -0.20)]
    pen.fill(smooth(body, steps=5), prop.first, shade=0.6, outline=line)
    pen.fill([(-0.60, -0.58), (-0.40, -0.86), (-0.14, -0.87), (-0.14, -0.58)], GLASS, shade=0.4, outline=line)
    pen.fill([(-0.06, -0.58), (-0.06, -0.87), (0.16, -0.87), (0.42, -0.58)], GLASS, shade=0.4, outline=line)
    pen.stroke([(-0.10, -0.58), (-0.10, -0.24)], 0.014, darker(prop.first, 0.4))
    pen.stroke([(-1.05, -0.30), (1.08, -0.30)], 0.02, lighter(prop.first, 0.4), opacity=0.7)
    pen.fill(ellipse(1.03, -0.42, 0.07, 0.06), (255, 246, 200), shade=0.3, outline=line)
    pen.fill(ellipse(-1.06, -0.42, 0.05, 0.06), (220, 60, 50), shade=0.3, outline=line)
    for x in (-0.66, 0.68):
        pen.fill(ellipse(x, -0.20, 0.22, 0.22), (40, 38, 44), shade=0.5, outline=line)
        pen.fill(ellipse(x, -0.20, 0.11, 0.11), (196, 200, 206), shade=0.5, outline=line)


def _palm(pen: Pen, prop: Prop, line: float) -> None:
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


def _parasol(pen: Pen, prop: Prop, line: float) -> None:
    pen.stroke([(0, 0), (0.04, -0.95)], 0.025, PAPER, outline=line)
    ribs = 6
    for k in range(ribs):
        a0, a1 = -0.62 + 1.24 * k / ribs, -0.62 + 1.24 * (k + 1) / ribs
        edge = [(a0, -0.62 - 0.10 * (1 - (a0 / 0.62) ** 2)), (a1, -0.62 - 0.10 * (1 - (a1 / 0.62) ** 2))]
        bow = [(0.03 + a0 * 0.6, -0.92), (0.04, -1.0), (0.03 + a1 * 0.6, -0.92)]
        pen.fill([edge[0], *bow, edge[1]], prop.first if k % 2 else PAPER, shade=0.25, outline=line * 0.7)


def _hut(pen: Pen, prop: Prop, line: float) -> None:
    boards = Pattern(kind="pinstripes", first=prop.first, second=lighter(prop.first, 0.6), period=0.18)
    pen.fill(rectangle(-0.42, -0.70, 0.42, 0.0), boards, shade=0.3, outline=line)
    pen.fill([(-0.50, -0.68), (0.0, -1.0), (0.50, -0.68), (0.50, -0.63), (-0.50, -0.63)], prop.second, shade=0.4, outline=line)
    pen.fill(rectangle(-0.15, -0.44, 0.15, 0.0), lighter(prop.second, 0.2), shade=0.3, outline=line)
    pen.fill(rectangle(-0.36, -0.60, 0.36, -0.47), PAPER, shade=0.2, outline=line)
    pen.text(prop.text or "", 0.0, -0.535, 0.085, darker(prop.second, 0.4), max_width=0.66)


def _vending(pen: Pen, prop: Prop, line: float) -> None:
    pen.fill(rounded(-0.28, -1.0, 0.28, 0.0, 0.03), prop.first, shade=0.4, outline=line)
    pen.text(prop.text or "DRINKS", 0.0, -0.94, 0.06, PAPER, max_width=0.5)
    pen.fill(rectangle(-0.23, -0.88, 0.11, -0.26), (30, 40, 56), shade=0.2, outline=line)
    rng = _rng(prop)
    for row in range(4):
        for column in range(4):
            x, y = -0.19 + 0.085 * column, -0.74 + 0.145 * row
            colour = [(220, 70, 60), (240, 190, 70), (90, 170, 110), (90, 140, 220)][int(rng.integers(4))]
            pen.fill(rounded(x - 0.025, y - 0.09, x + 0.025, y, 0.01), colour, shade=0.5)
    pen.fill(rectangle(0.15, -0.70, 0.24, -0.50), INK, shade=0.2)
    pen.fill(rectangle(-0.18, -0.18, 0.10, -0.08), INK, shade=0.2, outline=line)


def _signpost(pen: Pen, prop: Prop, line: float) -> None:
    for x in (-0.42, 0.42):
        pen.stroke([(x, 0.0), (x, -0.8)], 0.06, WOOD, shade=0.4, outline=line)
    pen.fill(rounded(-0.62, -1.0, 0.62, -0.52, 0.05), prop.first, shade=0.4, outline=line)
    pen.fill(rounded(-0.57, -0.95, 0.57, -0.57, 0.03), lighter(prop.first, 0.8), shade=0.1)
    pen.text(prop.text or "", 0.0, -0.76, 0.17, darker(prop.first, 0.4), max_width=1.0)


THINGS: Final[dict[str, Thing]] = {
    "window": Thing(draw=_window, half_width=0.62, on_wall=True, bottom=0.6),
    "poster": Thing(draw=_poster, half_width=0.42, on_wall=True, bottom=0.55),
    "sign": Thing(draw=_sign, half_width=1.85, on_wall=True, bottom=0.6),
    "menu": Thing(draw=_menu, half_width=0.5, on_wall=True, bottom=0.55),
    "clock": Thing(draw=_clock, half_width=0.55, on_wall=True, bottom=0.55),
    "painting": Thing(draw=_painting, half_width=0.68, on_wall=True, bottom=0.75),
    "shelf": Thing(draw=_shelf, half_width=1.12, on_wall=True, bottom=0.55),
    "pendant": Thing(draw=_pendant, half_width=1.6, on_wall=True, bottom=2.0),
    "arrivals": Thing(draw=_arrivals, half_width=1.36, on_wall=True, bottom=0.56),
    "plant": Thing(draw=_plant, half_width=0.62, on_wall=False),
    "lamp": Thing(draw=_lamp, half_width=0.6, on_wall=False),
    "sofa": Thing(draw=_sofa, half_width=1.25, on_wall=False),
    "bookcase": Thing(draw=_bookcase, half_width=0.46, on_wall=False),
    "table": Thing(draw=_table, half_width=0.8, on_wall=False),
    "fridge": Thing(draw=_fridge, half_width=0.3, on_wall=False),
    "counter": Thing(draw=_counter, half_width=1.28, on_wall=False),
    "plinth": Thing(draw=_plinth, half_width=0.3, on_wall=False),
    "boxes": Thing(draw=_boxes, half_width=0.66, on_wall=False),
    "tree": Thing(draw=_tree, half_width=0.5, on_wall=False),
    "bush": Thing(draw=_bush, half_width=1.1, on_wall=False),
    "bench": Thing(draw=_bench, half_width=1.2, on_wall=False),
    "streetlamp": Thing(draw=_streetlamp, half_width=0.18, on_wall=False),
    "door": Thing(draw=_door, half_width=0.3, on_wall=False),
    "shopfront": Thing(draw=_shopfront, half_width=0.84, on_wall=False),
    "bicycle": Thing(draw=_bicycle, half_width=0.96, on_wall=False),
    "mailbox": Thing(draw=_mailbox, half_width=0.26, on_wall=False),
    "car": Thing(draw=draw_car, half_width=1.2, on_wall=False),
    "palm": Thing(draw=_palm, half_width=0.5, on_wall=False),
    "parasol": Thing(draw=_parasol, half_width=0.7, on_wall=False),
    "hut": Thing(draw=_hut, half_width=0.54, on_wall=False),
    "vending": Thing(draw=_vending, half_width=0.32, on_wall=False),
    "signpost": Thing(draw=_signpost, half_width=0.7, on_wall=False),
}


def prop_box(prop: Prop) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a prop in scene units, without its soft glow."""
    thing = THINGS[prop.kind]
    reach = min(thing.half_width, 0.5) if prop.kind in {"pendant", "lamp"} else thing.half_width
    half = reach * prop.size
    if thing.on_wall:
        return prop.x - half, prop.y - 0.5 * prop.size, prop.x + half, prop.y + 0.5 * prop.size
    return prop.x - half, prop.y - prop.size, prop.x + half, prop.y


def draw_prop(prop: Prop, *, pixels_per_unit: float) -> tuple[Pen, float, float]:
    """The painted prop, and the scene position of its canvas' upper left corner."""
    thing = THINGS[prop.kind]
    top = -3.0 if prop.kind == "pendant" else (-0.95 if thing.on_wall else -1.25)
    scale = pixels_per_unit * prop.size
    pen = Pen(-thing.half_width, top, thing.half_width, thing.bottom, pixels_per_unit=scale)
    thing.draw(pen, prop, 0.0028 / prop.size)
    return pen, prop.x - thing.half_width * prop.size, prop.y + top * prop.size
