"""Draws the things that cross a shot: a ball, a car, a cat, a bird.

Mover units: 1 high, the foot at y = 0, x = 0 the middle; facing right.
"""

from __future__ import annotations

import math
from typing import Final

from PIL import Image

from experiments.synthetic_clips.paint import Colour, Pen, darker, ellipse, lighter, smooth
from experiments.synthetic_clips.script import MoverTrack, Prop
from experiments.synthetic_clips.things_outdoors import draw_car

NUM_PHASES: Final = 12
BOX: Final = (-1.3, -1.15, 1.3, 0.1)  # left, top, right, bottom of every sprite


def mover_x(track: MoverTrack, seconds: float) -> float:
    """Where the thing is, in scene units; it stays at its end."""
    span = track.end_seconds - track.start_seconds
    part = min(max((seconds - track.start_seconds) / span, 0.0), 1.0)
    return track.start_x + (track.end_x - track.start_x) * part


def mover_phase(track: MoverTrack, seconds: float) -> int:
    """Step of the thing's own motion: a roll, a stride, a wing beat."""
    x = mover_x(track, seconds)
    if track.kind == "ball":
        return round(abs(x - track.start_x) / (math.pi * track.size) * NUM_PHASES) % NUM_PHASES
    if track.kind == "bird":
        return int(seconds * 2.5 * NUM_PHASES) % NUM_PHASES
    if track.kind == "cat":
        return int(abs(x) / (1.1 * track.size) * NUM_PHASES) % NUM_PHASES
    return 0


def mover_lift(track: MoverTrack, seconds: float) -> float:
    """Height above its path, in scene units: a ball bounces, a bird rises and falls."""
    x = mover_x(track, seconds)
    if track.kind == "ball":
        return 0.9 * track.size * abs(math.sin(abs(x - track.start_x) * 6.0))
    if track.kind == "bird":
        return 0.02 * math.sin(2.0 * seconds)
    return 0.0


def draw_mover(track: MoverTrack, phase: int, *, pixels_per_unit: float) -> Image.Image:
    """An RGBA sprite that covers BOX, facing the way the thing goes."""
    pen = Pen(*BOX, pixels_per_unit=pixels_per_unit)
    cycle = 2 * math.pi * phase / NUM_PHASES
    if track.kind == "car":
        prop = Prop(
            kind="car", name="", x=0, y=0, size=1, first=track.colour, second=track.colour, seed=0
        )
        draw_car(pen, prop, 0.012)
    elif track.kind == "ball":
        _draw_ball(pen, track.colour, cycle)
    elif track.kind == "cat":
        _draw_cat(pen, track.colour, cycle)
    else:
        _draw_bird(pen, track.colour, cycle)
    sprite = pen.canvas
    if track.end_x < track.start_x:
        return sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return sprite


def _draw_ball(pen: Pen, colour: Colour, cycle: float) -> None:
    pen.fill(ellipse(0, -0.5, 0.49, 0.49), (250, 246, 238), shade=0.0, outline=0.02)
    for k in range(3):
        start = cycle + k * 2 * math.pi / 3
        arc = [
            (0.47 * math.cos(start + s * 0.175), -0.5 + 0.47 * math.sin(start + s * 0.175))
            for s in range(7)
        ]
        pen.fill([(0.0, -0.5), *arc], colour, shade=0.0)
    pen.fill(ellipse(0, -0.5, 0.09, 0.09), (250, 246, 238), shade=0.0)
    pen.glow(-0.17, -0.70, 0.25, (255, 255, 255), 0.6)
    rim = [(0.44 * math.cos(a), -0.5 + 0.44 * math.sin(a)) for a in (-0.3, 0.2, 0.7, 1.2, 1.7)]
    pen.stroke(smooth(rim, closed=False), 0.12, (30, 16, 44), opacity=0.25)


def _draw_cat(pen: Pen, fur: Colour, cycle: float) -> None:
    for x, offset, far in (
        (-0.42, 0.0, True),
        (0.34, math.pi, True),
        (-0.34, math.pi, False),
        (0.42, 0.0, False),
    ):
        swing = 0.13 * math.sin(cycle + offset)
        leg = [(x, -0.40), (x + swing * 0.5, -0.2), (x + swing, -0.04)]
        pen.stroke(leg, 0.13, darker(fur, 0.3 if far else 0.05), shade=0.3, outline=0.015)
    tail = [(-0.55, -0.52), (-0.80, -0.60), (-0.92, -0.85), (-0.82, -1.02 + 0.05 * math.sin(cycle))]
    pen.stroke(smooth(tail, closed=False), 0.11, fur, shade=0.3, outline=0.015)
    body = [
        (-0.62, -0.48),
        (-0.45, -0.68),
        (0.1, -0.66),
        (0.5, -0.68),
        (0.6, -0.46),
        (0.3, -0.28),
        (-0.4, -0.28),
    ]
    pen.fill(smooth(body), fur, shade=0.6, outline=0.015)
    for x in (-0.3, -0.1, 0.1):
        pen.stroke([(x, -0.65), (x - 0.04, -0.48)], 0.05, darker(fur, 0.35), opacity=0.7)
    for dx in (-0.13, 0.13):
        ear = [(0.66 + dx - 0.09, -0.90), (0.66 + dx * 1.3, -1.10), (0.66 + dx + 0.09, -0.88)]
        pen.fill(ear, fur, shade=0.3, outline=0.015)
    pen.fill(ellipse(0.66, -0.76, 0.25, 0.22), fur, shade=0.5, outline=0.015)
    for dx in (-0.02, 0.16):
        pen.fill(ellipse(0.66 + dx, -0.79, 0.045, 0.055), (90, 150, 80), shade=0.0, outline=0.012)
        pen.fill(ellipse(0.67 + dx, -0.79, 0.018, 0.045), (30, 24, 30), shade=0.0)
    pen.fill(ellipse(0.76, -0.69, 0.03, 0.022), (220, 120, 120), shade=0.0)


def _draw_bird(pen: Pen, feather: Colour, cycle: float) -> None:
    beat = math.sin(cycle)
    far = [(0.1, -0.5), (-0.25, -0.55 - 0.4 * beat), (-0.5, -0.5 - 0.55 * beat), (-0.15, -0.42)]
    pen.fill(smooth(far), darker(feather, 0.3), shade=0.3, outline=0.015)
    pen.fill(
        [(-0.45, -0.48), (-0.95, -0.62), (-0.90, -0.40), (-0.45, -0.38)],
        feather,
        shade=0.3,
        outline=0.015,
    )
    body = [(-0.55, -0.44), (0.0, -0.62), (0.5, -0.58), (0.62, -0.46), (0.3, -0.30), (-0.2, -0.30)]
    pen.fill(smooth(body), feather, shade=0.5, outline=0.015)
    pen.fill(ellipse(0.58, -0.58, 0.19, 0.17), lighter(feather, 0.15), shade=0.4, outline=0.015)
    pen.fill([(0.74, -0.62), (0.95, -0.55), (0.74, -0.52)], (240, 176, 60), shade=0.2, outline=0.01)
    pen.fill(ellipse(0.62, -0.62, 0.03, 0.03), (26, 22, 30), shade=0.0)
    near = [(0.25, -0.5), (-0.1, -0.52 - 0.5 * beat), (-0.35, -0.45 - 0.62 * beat), (-0.12, -0.40)]
    pen.fill(smooth(near), lighter(feather, 0.1), shade=0.4, outline=0.015)
