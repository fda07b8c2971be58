"""Draws one head, in person units (see people.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from experiments.synthetic_clips.paint import (
    Colour,
    Pen,
    Point,
    darker,
    ellipse,
    lighter,
    mix,
    rounded,
    smooth,
)
from experiments.synthetic_clips.script import Character

YAW_STEPS: Final = 4  # a pose's yaw is in quarters
HEAD_Y: Final = -0.835
INK: Final[Colour] = (38, 26, 34)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The moving parts of a face, in few steps so that drawings can be kept."""

    yaw: int = 0  # quarters, -4 to 4
    lids: int = 0  # 0 open, 1 half, 2 shut
    mouth: int = 0  # 0 at rest, 1 ajar, 2 open


def body_turn(yaw: int) -> float:
    """How far a yaw in quarters moves what faces forward: 0 to the camera, 1 fully right."""
    return math.sin(yaw / YAW_STEPS * math.radians(62))


class Head:
    """A head seen under a yaw: the face slides over the skull as it turns."""

    def __init__(self, character: Character, face: Face, turn: float) -> None:
        self.who = character
        self.face = face
        look = body_turn(face.yaw)
        self.look = look
        self.squeeze = 1.0 - 0.22 * abs(look)
        self.cx = 0.018 * turn + 0.006 * look
        self.face_x = self.cx + 0.052 * look
        child = character.noun in {"girl", "boy"}
        self.rx = 0.112 if child else 0.100
        self.ry = 0.122 if child else 0.126
        self.cy = HEAD_Y - (0.005 if child else 0.0)

    # -- layers ---------------------------------------------------------------------------

    def draw_back(self, pen: Pen) -> None:
        """Hair that hangs behind the shoulders."""
        style, hair = self.who.hair_style, darker(self.who.hair, 0.22)
        back = self.cx - 0.022 * self.look
        if style in {"long", "wavy"}:
            wave = 0.012 if style == "wavy" else 0.0
            left = [(back - 0.112 - wave * (i % 2), self.cy + 0.075 * i) for i in range(4)]
            right = [(back + 0.112 + wave * (i % 2), self.cy + 0.075 * i) for i in range(3, -1, -1)]
            crown = [(back + 0.08, self.cy - 0.10), (back - 0.08, self.cy - 0.10)]
            pen.fill(smooth([*left, *right, *crown]), hair, shade=0.5, outline=0.004)
        elif style == "curly":
            for angle in range(0, 360, 24):
                if 50 < angle < 130:
                    continue
                x = back + 0.106 * math.cos(math.radians(angle))
                y = self.cy - 0.022 + 0.122 * math.sin(math.radians(angle))
                pen.fill(ellipse(x, y, 0.047, 0.047), hair, shade=0.5, outline=0.003)
        elif style == "ponytail":
            side = -1.0 if self.look >= 0 else 1.0
            x = back + side * (0.075 + 0.05 * abs(self.look))
            tail = [(x, self.cy - 0.06), (x + side * 0.075, self.cy - 0.02)]
            tail += [(x + side * 0.085, self.cy + 0.10), (x + side * 0.05, self.cy + 0.19)]
            tail += [(x + side * 0.03, self.cy + 0.08), (x, self.cy + 0.02)]
            pen.fill(smooth(tail), hair, shade=0.5, outline=0.004)
        elif style == "bun":
            pen.fill(ellipse(back, self.cy - 0.142, 0.052, 0.046), hair, shade=0.55, outline=0.004)
        elif style == "braids":
            for side in (-1, 1):
                for step in range(6):
                    x = back + side * (0.103 + 0.006 * step)
                    y = self.cy + 0.03 + 0.038 * step
                    size = 0.027 - 0.002 * step
                    pen.fill(ellipse(x, y, size, size * 0.95), hair, shade=0.6, outline=0.003)
        elif style == "bob":
            shape = rounded(back - 0.118, self.cy - 0.10, back + 0.118, self.cy + 0.105, 0.05)
            pen.fill(shape, hair, shade=0.5, outline=0.004)

    def draw_front(self, pen: Pen) -> None:
        """Skull, face, hair on top, glasses and hat."""
        self._draw_skull(pen)
        self._draw_cheeks(pen)
        if self.who.beard == "beard":
            self._draw_beard(pen)
        self._draw_mouth(pen)
        self._draw_eyes(pen)
        self._draw_nose(pen)
        if self.who.beard == "moustache":
            self._draw_moustache(pen)
        self._draw_hair(pen)
        if self.who.glasses != "none":
            self._draw_glasses(pen)
        if self.who.hat != "none":
            self._draw_hat(pen)

    # -- the face -------------------------------------------------------------------------

    def _outline(self) -> list[Point]:
        jaw = 0.56 + 0.26 * self.who.jaw
        chin_x = self.cx + 0.030 * self.look
        return smooth(
            [
                (self.cx - self.rx, self.cy - 0.02),
                (self.cx - self.rx * 0.88, self.cy - self.ry * 0.66),
                (self.cx, self.cy - self.ry),
                (self.cx + self.rx * 0.88, self.cy - self.ry * 0.66),
                (self.cx + self.rx, self.cy - 0.02),
                (chin_x + self.rx * (jaw + 0.16), self.cy + self.ry * 0.55),
                (chin_x + self.rx * 0.40 * (0.7 + jaw * 0.5), self.cy + self.ry * 0.90),
                (chin_x, self.cy + self.ry * 0.97),
                (chin_x - self.rx * 0.40 * (0.7 + jaw * 0.5), self.cy + self.ry * 0.90),
                (chin_x - self.rx * (jaw + 0.16), self.cy + self.ry * 0.55),
            ]
        )

    def _draw_skull(self, pen: Pen) -> None:
        turned = abs(self.look) > 0.3
        if not turned:
            self._draw_ear(pen, -1)
            self._draw_ear(pen, 1)
        pen.fill(self._outline(), self.who.skin, shade=0.42, outline=0.004)
        if turned:  # only the near ear shows, on the side of the head
            self._draw_ear(pen, -1 if self.look > 0 else 1)

    def _draw_ear(self, pen: Pen, side: int) -> None:
        skin = self.who.skin
        x = self.cx + side * self.rx * 0.97 + 0.042 * self.look * (side * self.look < 0)
        pen.fill(ellipse(x, self.cy + 0.012, 0.021, 0.030), skin, shade=0.4, outline=0.0035)
        pen.fill(ellipse(x, self.cy + 0.014, 0.010, 0.017), darker(skin, 0.22), shade=0.0)
        if self.who.earrings:
            pen.fill(ellipse(x, self.cy + 0.047, 0.009, 0.009), (236, 196, 70), outline=0.002)

    def _draw_cheeks(self, pen: Pen) -> None:
        pale = sum(self.who.skin) / 765
        blush = mix(self.who.skin, (226, 70, 70), 0.55 * pale)
        for side in (-1, 1):
            x = self.face_x + side * 0.058 * self.squeeze
            pen.glow(x, self.cy + 0.040, 0.036, blush, 0.6 * pale)
            if self.who.freckles:
                for dx, dy in ((-0.012, 0.024), (0.0, 0.032), (0.012, 0.025), (0.005, 0.043)):
                    dot = ellipse(x + dx * 1.2, self.cy + dy, 0.0028, 0.0028)
                    pen.fill(dot, darker(blush, 0.3), shade=0.0)

    def _draw_eyes(self, pen: Pen) -> None:
        for side in (-1, 1):
            x = self.face_x + side * 0.043 * self.squeeze
            narrow = 1.0 - 0.35 * max(0.0, side * self.look)
            self._draw_eye(pen, x, self.cy + 0.002, narrow)
            self._draw_brow(pen, x, side, narrow)

    def _draw_eye(self, pen: Pen, x: float, y: float, narrow: float) -> None:
        rx, ry = 0.0215 * narrow, (0.025, 0.013, 0.0)[self.face.lids]
        if self.face.lids == 2:
            lid = [(x - rx, y + 0.004), (x, y + 0.012), (x + rx, y + 0.004)]
            pen.stroke(smooth(lid, closed=False), 0.006, INK)
            return
        white = ellipse(x, y, rx, ry)
        pen.fill(white, (250, 248, 244), shade=0.25, outline=0.003)
        gaze = 0.006 * self.look
        iris = min(0.0165, ry)
        pen.fill(ellipse(x + gaze, y - 0.001, 0.0150 * narrow, iris), self.who.eyes, shade=0.3)
        pen.fill(ellipse(x + gaze, y - 0.001, 0.0085 * narrow, min(0.0095, ry)), INK, shade=0.0)
        pen.fill(ellipse(x + gaze - 0.005, y - 0.006, 0.0038, 0.0038), (255, 255, 255), shade=0.0)
        top = [(x - rx, y - ry * 0.55), (x, y - ry * 0.98), (x + rx, y - ry * 0.55)]
        pen.stroke(smooth(top, closed=False), 0.011, darker(self.who.skin, 0.14))
        lid = [(x - rx * 1.12, y - ry * 0.18), (x - rx * 0.5, y - ry * 0.72)]
        lid += [(x + rx * 0.5, y - ry * 0.72), (x + rx * 1.12, y - ry * 0.18)]
        lashes = 0.0075 if self.who.noun in {"woman", "girl"} else 0.0050
        pen.stroke(smooth(lid, closed=False), lashes, INK)
        if self.who.noun in {"woman", "girl"}:
            for side in (-1, 1):
                root = (x + side * rx * 1.05, y - ry * 0.35)
                pen.stroke([root, (root[0] + side * 0.008, root[1] - 0.008)], 0.0042, INK)

    def _draw_brow(self, pen: Pen, x: float, side: int, narrow: float) -> None:
        y = self.cy - 0.042 - (0.006 if self.face.mouth == 2 else 0.0)
        tilt = 0.006 * self.who.smile
        inner, outer = x - side * 0.022 * narrow, x + side * 0.025 * narrow
        arch = [(inner, y + tilt * 0.5), (x + side * 0.004, y - 0.009), (outer, y + 0.003 - tilt)]
        colour = darker(self.who.hair, 0.35)
        pen.stroke(smooth(arch, closed=False), 0.0085 * self.who.brow, colour)

    def _draw_nose(self, pen: Pen) -> None:
        x, y = self.face_x + 0.022 * self.look, self.cy + 0.034
        shadow = darker(self.who.skin, 0.30)
        way = 1.0 if self.look >= 0 else -1.0
        bridge = [
            (x - way * 0.004, y - 0.026),
            (x + way * 0.011, y + 0.004),
            (x - way * 0.006, y + 0.009),
        ]
        pen.stroke(smooth(bridge, closed=False), 0.0055, shadow)
        pen.glow(x - way * 0.002, y - 0.004, 0.012, lighter(self.who.skin, 0.7), 0.7)

    def _draw_mouth(self, pen: Pen) -> None:
        x, y = self.face_x + 0.008 * self.look, self.cy + 0.076
        wide = 0.036 * self.squeeze * (0.8 if self.who.noun in {"girl", "boy"} else 1.0)
        curve = 0.014 * self.who.smile
        lip = mix(self.who.skin, (168, 40, 52), 0.62 if self.who.noun == "woman" else 0.40)
        if self.face.mouth:
            drop = (0.0, 0.012, 0.026)[self.face.mouth]
            mouth = [(x - wide * 0.8, y - 0.004), (x, y - 0.006), (x + wide * 0.8, y - 0.004)]
            mouth += [
                (x + wide * 0.45, y + drop),
                (x, y + drop * 1.25),
                (x - wide * 0.45, y + drop),
            ]
            pen.fill(smooth(mouth, steps=4), (104, 26, 34), shade=0.2, outline=0.004)
            teeth = [(x - wide * 0.6, y - 0.002), (x + wide * 0.6, y - 0.002)]
            pen.stroke(teeth, 0.006, (250, 246, 240))
            if self.face.mouth == 2:
                pen.fill(ellipse(x, y + drop * 0.95, wide * 0.32, 0.007), (214, 96, 98), shade=0.0)
            return
        arc = [(x - wide, y - curve), (x - wide * 0.4, y + curve * 0.55)]
        arc += [(x + wide * 0.4, y + curve * 0.55), (x + wide, y - curve)]
        pen.stroke(smooth(arc, closed=False), 0.0105, lip)
        pen.stroke(smooth(arc, closed=False), 0.0045, darker(lip, 0.45))

    def _draw_beard(self, pen: Pen) -> None:
        hair = self.who.hair
        lower = [point for point in self._outline() if point[1] > self.cy + 0.03]
        lower.sort(key=lambda p: math.atan2(p[0] - self.cx, p[1] - self.cy))
        top = [(self.face_x + 0.052, self.cy + 0.060), (self.face_x + 0.025, self.cy + 0.052)]
        top += [(self.face_x - 0.025, self.cy + 0.052), (self.face_x - 0.052, self.cy + 0.060)]
        right_to_left = [*reversed(lower)] if lower[0][0] < lower[-1][0] else lower
        pen.fill([*right_to_left[::-1], *top], hair, shade=0.35, outline=0.004)
        patch = ellipse(self.face_x, self.cy + 0.080, 0.040 * self.squeeze, 0.017)
        pen.fill(patch, darker(self.who.skin, 0.08), shade=0.0)

    def _draw_moustache(self, pen: Pen) -> None:
        x, y = self.face_x + 0.010 * self.look, self.cy + 0.058
        for side in (-1, 1):
            curl = [(x, y - 0.004), (x + side * 0.024, y - 0.003), (x + side * 0.042, y + 0.009)]
            curl += [(x + side * 0.022, y + 0.013), (x, y + 0.008)]
            pen.fill(smooth(curl), self.who.hair, shade=0.4, outline=0.003)

    # -- hair and hat ---------------------------------------------------------------------

    def _cap(self, drop: float, fringe: float, bulge: float = 0.0) -> list[Point]:
        """The hair that lies on the skull, down to `drop` at the sides."""
        rx, ry = self.rx + 0.010 + bulge, self.ry + 0.012 + bulge
        x = self.cx - 0.008 * self.look
        part = self.face_x + 0.03
        return smooth(
            [
                (x - rx, self.cy + drop),
                (x - rx * 1.0, self.cy - ry * 0.40),
                (x - rx * 0.70, self.cy - ry * 0.86),
                (x, self.cy - ry * 1.06),
                (x + rx * 0.70, self.cy - ry * 0.86),
                (x + rx * 1.0, self.cy - ry * 0.40),
                (x + rx, self.cy + drop),
                (x + rx * 0.86 + 0.01 * self.look, self.cy - 0.010),
                (self.face_x + 0.072 * self.squeeze, self.cy - 0.058),
                (part, self.cy - 0.074),
                (part - 0.034, self.cy - 0.060 + fringe * 0.5),
                (self.face_x - 0.040 * self.squeeze, self.cy - 0.060 + fringe),
                (self.face_x - 0.074 * self.squeeze, self.cy - 0.052 + fringe * 0.5),
                (x - rx * 0.86 + 0.01 * self.look, self.cy - 0.010),
            ],
            steps=5,
        )

    def _draw_hair(self, pen: Pen) -> None:
        style, hair = self.who.hair_style, self.who.hair
        if style == "bald":
            return
        if style == "curly":
            self._draw_curls(pen)
            return
        if style == "spiky":
            self._draw_spikes(pen)
        drop = {"short": 0.0, "spiky": -0.01, "buzz": -0.02, "bun": 0.015}.get(style, 0.045)
        fringe = {"bob": 0.022, "long": 0.006, "buzz": -0.012, "bun": -0.008}.get(style, 0.0)
        bulge = {"buzz": -0.007, "bob": 0.008}.get(style, 0.0)
        pen.fill(self._cap(drop, fringe, bulge), hair, shade=0.5, outline=0.004)
        if style != "buzz":
            self._draw_strands(pen)
        if style in {"long", "wavy", "bob"}:
            for side in (-1, 1):
                if side * self.look > 0.55:
                    continue
                x = self.cx + side * (self.rx + 0.004) - 0.008 * self.look
                length = 0.10 if style == "bob" else 0.20
                lock = [(x - side * 0.012, self.cy - 0.03), (x + side * 0.012, self.cy)]
                lock += [(x + side * 0.014, self.cy + length), (x - side * 0.010, self.cy + length)]
                lock += [(x - side * 0.016, self.cy + length * 0.4)]
                pen.fill(smooth(lock, steps=4), hair, shade=0.5, outline=0.003)

    def _draw_strands(self, pen: Pen) -> None:
        part = self.face_x + 0.03
        shine, depth = lighter(self.who.hair, 0.30), darker(self.who.hair, 0.35)
        for step, (end, colour) in enumerate(
            (
                (-0.095, depth),
                (-0.07, shine),
                (-0.045, shine),
                (-0.02, depth),
                (0.06, depth),
                (0.08, shine),
            )
        ):
            x = self.cx + end - 0.008 * self.look
            top = self.cy - self.ry * (1.02 - 0.9 * (end / 0.125) ** 2)
            line = [(part + (x - part) * 0.15, self.cy - 0.112), ((part + x) / 2, top + 0.006)]
            line += [(x, self.cy - 0.058 + 0.01 * (step % 2))]
            pen.stroke(smooth(line, closed=False), 0.0035, colour, opacity=0.55)

    def _draw_curls(self, pen: Pen) -> None:
        rng = np.random.default_rng(5)
        x0 = self.cx - 0.010 * self.look
        for angle in (*range(190, 350, 16), *range(208, 332, 18)):
            inner = angle in range(208, 332, 18)
            reach = 0.070 if inner else 0.098
            x = x0 + reach * math.cos(math.radians(angle)) * 1.06
            y = self.cy - 0.012 + reach * math.sin(math.radians(angle)) * 1.18
            size = 0.037 + 0.006 * rng.random()
            pen.fill(ellipse(x, y, size, size), self.who.hair, shade=0.6, outline=0.002)
            swirl = [(x - size * 0.4, y), (x, y - size * 0.4), (x + size * 0.35, y)]
            shine = lighter(self.who.hair, 0.28)
            pen.stroke(smooth(swirl, closed=False), 0.004, shine, opacity=0.6)

    def _draw_spikes(self, pen: Pen) -> None:
        for step in (0, 6, 1, 5, 2, 4, 3):  # the middle ones lie in front
            angle = math.radians(192 + step * 26)
            long = 0.166 - 0.004 * abs(step - 3)
            x = self.cx - 0.008 * self.look
            tip = (x + long * math.cos(angle) + 0.014, self.cy + 1.10 * long * math.sin(angle))
            roots = [
                (x + 0.108 * math.cos(angle + a), self.cy + 1.12 * 0.108 * math.sin(angle + a))
                for a in (-0.36, -0.2, 0.2, 0.36)
            ]
            spike = [(x, self.cy - 0.04), roots[0], roots[1], tip, roots[2], roots[3]]
            pen.fill(spike, self.who.hair, shade=0.45, outline=0.004)

    def _draw_glasses(self, pen: Pen) -> None:
        frame: Colour = (44, 34, 40)
        for side in (-1, 1):
            x = self.face_x + side * 0.044 * self.squeeze
            narrow = 1.0 - 0.25 * max(0.0, side * self.look)
            if self.who.glasses == "round":
                ring = ellipse(x, self.cy + 0.003, 0.035 * narrow, 0.035)
            else:
                ring = rounded(
                    x - 0.036 * narrow, self.cy - 0.024, x + 0.036 * narrow, self.cy + 0.032, 0.012
                )
            pen.fill(ring, (225, 240, 255), shade=0.0, opacity=0.16)
            pen.stroke([*ring, ring[0]], 0.0065, frame)
            ear = self.cx + side * self.rx * 0.96
            rim = x + side * 0.035 * narrow
            if (ear - rim) * side > 0:
                pen.stroke([(rim, self.cy - 0.002), (ear, self.cy - 0.006)], 0.006, frame)
        bridge = [
            (self.face_x - 0.010, self.cy),
            (self.face_x, self.cy - 0.005),
            (self.face_x + 0.010, self.cy),
        ]
        pen.stroke(bridge, 0.006, frame)

    def _draw_hat(self, pen: Pen) -> None:
        colour, x = self.who.hat_colour, self.cx - 0.006 * self.look
        rx, top, brow = self.rx + 0.016, self.cy - self.ry - 0.045, self.cy - 0.070
        dome = smooth(
            [
                (x - rx, brow),
                (x - rx * 0.92, top + 0.055),
                (x, top),
                (x + rx * 0.92, top + 0.055),
                (x + rx, brow),
                (x, brow + 0.012),
            ]
        )
        if self.who.hat == "beanie":
            pen.fill(dome, colour, shade=0.5, outline=0.004)
            pen.fill(
                rounded(x - rx - 0.004, brow - 0.022, x + rx + 0.004, brow + 0.020, 0.016),
                darker(colour, 0.25),
                shade=0.5,
                outline=0.004,
            )
            pen.fill(
                ellipse(x, top - 0.012, 0.030, 0.028),
                lighter(colour, 0.5),
                shade=0.6,
                outline=0.003,
            )
        elif self.who.hat == "cap":
            pen.fill(dome, colour, shade=0.5, outline=0.004)
            tip = x + (0.02 if self.look == 0 else 0.12 * math.copysign(1, self.look))
            visor = [
                (x - rx * 0.9, brow - 0.004),
                (tip - 0.08, brow + 0.012),
                (tip, brow + 0.026),
                (tip + 0.08, brow + 0.012),
                (x + rx * 0.9, brow - 0.004),
            ]
            pen.fill(smooth(visor), darker(colour, 0.3), shade=0.5, outline=0.004)
        else:
            crown = [
                (x - rx * 0.86, brow),
                (x - rx * 0.74, top),
                (x, top + 0.014),
                (x + rx * 0.74, top),
                (x + rx * 0.86, brow),
            ]
            pen.fill(smooth(crown, steps=4), colour, shade=0.5, outline=0.004)
            pen.fill(
                rounded(x - rx * 0.9, brow - 0.030, x + rx * 0.9, brow - 0.004, 0.004),
                darker(colour, 0.5),
                shade=0.3,
            )
            pen.fill(ellipse(x, brow + 0.002, rx * 1.45, 0.018), colour, shade=0.4, outline=0.004)
