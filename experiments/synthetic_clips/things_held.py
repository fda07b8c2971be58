"""Things a person carries; drawn in person units at the hand."""

from __future__ import annotations

from typing import Final

from experiments.synthetic_clips.paint import (
    Colour,
    Pen,
    Point,
    darker,
    ellipse,
    lighter,
    rounded,
    smooth,
)

HELD: Final = ("book", "cup", "ball", "balloon", "flowers", "umbrella", "bag")


def draw_held(pen: Pen, kind: str, colour: Colour, hand: Point, side: float) -> None:
    """Draw one thing of HELD at a hand; side is -1 or 1, the way the person faces."""
    x, y = hand
    if kind == "book":
        left, right = sorted((x - side * 0.02, x + side * 0.085))
        pen.fill(rounded(left, y - 0.10, right, y + 0.03, 0.008), colour, shade=0.4, outline=0.004)
        pen.stroke(
            [(left + 0.02, y - 0.065), (right - 0.02, y - 0.065)], 0.010, lighter(colour, 0.7)
        )
        pen.stroke(
            [(left + 0.03, y - 0.040), (right - 0.03, y - 0.040)], 0.007, lighter(colour, 0.7)
        )
    elif kind == "cup":
        cx = x + side * 0.02
        pen.stroke(ellipse(cx + side * 0.032, y - 0.02, 0.016, 0.020), 0.008, darker(colour, 0.2))
        body = [(cx - 0.032, y - 0.055), (cx + 0.032, y - 0.055), (cx + 0.026, y + 0.022)]
        pen.fill([*body, (cx - 0.026, y + 0.022)], colour, shade=0.5, outline=0.004)
        pen.fill(ellipse(cx, y - 0.055, 0.032, 0.009), (92, 56, 36), shade=0.0, outline=0.003)
    elif kind == "ball":
        cx, cy = x + side * 0.03, y - 0.04
        pen.fill(ellipse(cx, cy, 0.065, 0.065), colour, shade=0.7, outline=0.004)
        pen.stroke(
            [(cx - 0.055, cy - 0.02), (cx, cy + 0.012), (cx + 0.055, cy - 0.02)],
            0.010,
            (250, 246, 236),
        )
    elif kind == "balloon":
        top = y - 0.42
        pen.stroke([(x, y), (x + side * 0.02, y - 0.16), (x, top + 0.09)], 0.004, (70, 60, 70))
        pen.fill(ellipse(x, top, 0.075, 0.092), colour, shade=0.7, outline=0.004)
        pen.fill(
            ellipse(x - 0.028, top - 0.035, 0.014, 0.022, tilt=0.5), lighter(colour, 0.8), shade=0.0
        )
    elif kind == "flowers":
        for dx, dy in (
            (-0.035, -0.10),
            (0.0, -0.125),
            (0.035, -0.10),
            (-0.015, -0.085),
            (0.02, -0.078),
        ):
            pen.stroke([(x, y), (x + dx, y + dy)], 0.005, (58, 120, 52))
            pen.fill(ellipse(x + dx, y + dy, 0.020, 0.020), colour, shade=0.5, outline=0.003)
            pen.fill(ellipse(x + dx, y + dy, 0.007, 0.007), (250, 216, 90), shade=0.0)
        wrap = [
            (x - 0.03, y - 0.05),
            (x + 0.03, y - 0.05),
            (x + 0.008, y + 0.03),
            (x - 0.008, y + 0.03),
        ]
        pen.fill(wrap, (244, 238, 224), shade=0.4, outline=0.003)
    elif kind == "umbrella":
        top, wide = y - 0.38, 0.27
        tip = x - side * 0.13  # leans over the head
        pen.stroke([(x + side * 0.01, y + 0.03), (tip, top - 0.12)], 0.009, (80, 60, 50))
        arch = [(tip + dx * wide, top + 0.04 - 0.15 * (1 - dx * dx)) for dx in (-1, -0.7, -0.3, 0)]
        arch += [(2 * tip - ax, ay) for ax, ay in reversed(arch[:-1])]
        hem = [(tip + dx * wide, top + dy) for dx, dy in ((0.67, 0.02), (0.33, 0.04), (0, 0.015))]
        hem += [(2 * tip - hx, hy) for hx, hy in reversed(hem[:-1])]
        pen.fill([*smooth(arch, closed=False), *hem], colour, shade=0.6, outline=0.004)
        for dx in (-0.33, 0.33):
            rib = [(tip, top - 0.11), (tip + dx * wide * 0.7, top - 0.06)]
            rib.append((tip + dx * wide, top + 0.035))
            pen.stroke(smooth(rib, closed=False), 0.004, darker(colour, 0.4))
    elif kind == "bag":
        pen.stroke(
            [(x - 0.03, y + 0.05), (x - 0.01, y), (x + 0.01, y), (x + 0.03, y + 0.05)],
            0.008,
            darker(colour, 0.4),
        )
        pen.fill(
            rounded(x - 0.055, y + 0.035, x + 0.055, y + 0.125, 0.014),
            colour,
            shade=0.5,
            outline=0.004,
        )
        pen.fill(
            rounded(x - 0.012, y + 0.058, x + 0.012, y + 0.078, 0.003), (230, 200, 110), shade=0.3
        )
