"""Draws one person in one pose.

Person units: the person is 1 high, feet at y = 0, the top of the head near y = -1, x = 0 the
middle of the body. A yaw of 0 looks at the camera, 1 to the right, -1 to the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from PIL import Image, ImageFilter

from experiments.synthetic_clips.heads import Face, Head, body_turn
from experiments.synthetic_clips.paint import (
    Colour,
    Pattern,
    Pen,
    Point,
    darker,
    ellipse,
    lighter,
    smooth,
)
from experiments.synthetic_clips.script import Character
from experiments.synthetic_clips.things_held import draw_held

BOX: Final = (-0.50, -1.16, 0.50, 0.06)  # left, top, right, bottom of every sprite
WALK_PHASES: Final = 16
SHOULDER_Y: Final = -0.662
HIP_Y: Final = -0.385


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A whole body pose, in few steps so that drawings can be kept.

    Arm angles are degrees from straight down towards the right of the frame.
    """

    face: Face = field(default_factory=Face)
    yaw: int = 0
    phase: int = -1  # of the walk, or -1 for standing
    left_arm: tuple[int, int] = (-9, -3)  # upper, lower; left of the frame
    right_arm: tuple[int, int] = (9, 3)
    holding: str | None = None
    holding_colour: Colour = (0, 0, 0)


class PersonArtist:
    """Draws one person at one scale, and keeps heads and bodies that it has drawn."""

    def __init__(
        self, character: Character, *, pixels_per_unit: float, bottom: float = BOX[3]
    ) -> None:
        self._character = character
        self._scale = pixels_per_unit
        self._bottom = bottom  # a close view needs no legs
        self._heads: dict[tuple[Face, int], tuple[Image.Image, Image.Image]] = {}
        self._bodies: dict[Pose, tuple[Image.Image, Image.Image | None]] = {}

    def draw(self, pose: Pose) -> Image.Image:
        """An RGBA sprite that covers BOX (down to the given bottom)."""
        behind, front = self._head(pose)
        body, raised = self._body(pose)
        sprite = behind.copy()
        for layer in (body, front, raised):
            if layer is not None:
                sprite.alpha_composite(layer)
        return sprite

    def _pen(self) -> Pen:
        return Pen(BOX[0], BOX[1], BOX[2], self._bottom, pixels_per_unit=self._scale)

    def _head(self, pose: Pose) -> tuple[Image.Image, Image.Image]:
        key = (pose.face, pose.yaw)
        if key not in self._heads:
            head = Head(self._character, pose.face, body_turn(pose.yaw))
            behind, front = self._pen(), self._pen()
            head.draw_back(behind)
            head.draw_front(front)
            self._heads[key] = (behind.canvas, front.canvas)
        return self._heads[key]

    def _body(self, pose: Pose) -> tuple[Image.Image, Image.Image | None]:
        """The body, and the arm that is raised in front of the head, if one is."""
        key = replace(pose, face=Face())
        if key not in self._bodies:
            body, above = self._pen(), self._pen()
            turn = body_turn(pose.yaw)
            arms = _arms(pose, self._character, turn)
            holder, other = ("left", "right") if turn < 0 else ("right", "left")
            if turn:
                _draw_arm(body, self._character, arms[other], far=True)
            _draw_legs(body, self._character, pose, turn)
            _draw_torso(body, self._character, turn)
            if not turn:
                _draw_arm(body, self._character, arms[other], far=False)
            raised = arms[holder][2][1] < SHOULDER_Y
            _hold_and_draw(above if raised else body, self._character, pose, arms[holder], turn)
            self._bodies[key] = (body.canvas, above.canvas if raised else None)
        return self._bodies[key]


def shadow_of(sprite: Image.Image, radius: float) -> Image.Image:
    """The soft dark copy of a sprite's outline that falls on what is behind it."""
    alpha = sprite.getchannel("A").filter(ImageFilter.GaussianBlur(radius))
    shadow = Image.new("RGBA", sprite.size, (16, 10, 30))
    shadow.putalpha(alpha)
    return shadow


Arm = tuple[Point, Point, Point]  # shoulder, elbow, hand


def _hold_and_draw(pen: Pen, character: Character, pose: Pose, arm: Arm, turn: float) -> None:
    if pose.holding is not None:
        draw_held(pen, pose.holding, pose.holding_colour, arm[2], -1.0 if turn < 0 else 1.0)
    _draw_arm(pen, character, arm, far=False)


def _shoulder_width(character: Character, turn: float) -> float:
    base = {"woman": 0.108, "man": 0.132, "girl": 0.102, "boy": 0.108}[character.noun]
    return base * character.build * (1.0 - 0.34 * abs(turn))


def _arms(pose: Pose, character: Character, turn: float) -> dict[str, Arm]:
    width = _shoulder_width(character, turn)
    arms = {}
    for side, sign, angles in (("left", -1, pose.left_arm), ("right", 1, pose.right_arm)):
        shoulder = (sign * (width - 0.018) + 0.012 * turn, SHOULDER_Y + 0.018)
        elbow = _reach(shoulder, angles[0], 0.148)
        arms[side] = (shoulder, elbow, _reach(elbow, angles[1], 0.135))
    return arms


def _reach(start: Point, degrees: float, length: float) -> Point:
    angle = math.radians(degrees)
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def _draw_arm(pen: Pen, character: Character, arm: Arm, *, far: bool) -> None:
    shoulder, elbow, hand = arm
    thick = 0.058 * (0.9 + 0.1 * character.build)
    skin = darker(character.skin, 0.16) if far else character.skin
    cloth = _shaded(character.top, 0.2) if far else character.top
    if character.top_kind in {"t-shirt", "dress"}:
        _draw_hand(pen, hand, skin)
        pen.stroke([shoulder, elbow, hand], thick * 0.76, skin, shade=0.45, outline=0.0035)
        middle = (
            shoulder[0] + 0.62 * (elbow[0] - shoulder[0]),
            shoulder[1] + 0.62 * (elbow[1] - shoulder[1]),
        )
        pen.stroke([shoulder, middle], thick * 1.1, cloth, shade=0.45, outline=0.0035)
    else:
        wrist = (elbow[0] + 0.68 * (hand[0] - elbow[0]), elbow[1] + 0.68 * (hand[1] - elbow[1]))
        pen.stroke([shoulder, elbow, wrist], thick, cloth, shade=0.5, outline=0.0035)
        cuff = (elbow[0] + 0.60 * (hand[0] - elbow[0]), elbow[1] + 0.60 * (hand[1] - elbow[1]))
        pen.stroke([cuff, wrist], thick * 0.98, darker(cloth.first, 0.25), shade=0.3)
        _draw_hand(pen, hand, skin)


def _draw_hand(pen: Pen, hand: Point, skin: Colour) -> None:
    pen.fill(ellipse(*hand, 0.029, 0.031), skin, shade=0.35, outline=0.0035)


def _shaded(pattern: Pattern, amount: float) -> Pattern:
    return Pattern(
        kind=pattern.kind,
        first=darker(pattern.first, amount),
        second=darker(pattern.second, amount),
        period=pattern.period,
    )


def _draw_legs(pen: Pen, character: Character, pose: Pose, turn: float) -> None:
    side = -1.0 if turn < 0 else 1.0
    spread = 0.046 * (1.0 - 0.45 * abs(turn)) * character.build
    for far in (True, False):
        hip = (spread * side * (-1 if far else 1), HIP_Y)
        knee, ankle, toe = _leg(hip, pose, turn, far=far)
        _draw_leg(pen, character, (hip, knee, ankle), toe, far=far)


def _leg(hip: Point, pose: Pose, turn: float, *, far: bool) -> tuple[Point, Point, float]:
    """Knee, ankle and which way the toe points."""
    if pose.phase < 0:
        ankle = (hip[0] * 1.08, -0.035)
        return (hip[0] * 1.04, -0.20), ankle, turn or 0.35 * math.copysign(1, hip[0])
    cycle = 2 * math.pi * pose.phase / WALK_PHASES + (math.pi if far else 0.0)
    swing = 27.0 * math.sin(cycle) * turn
    bend = 12.0 + 26.0 * max(0.0, math.cos(cycle))
    knee = _reach(hip, swing + 6.0 * turn, 0.178)
    shin = swing + (6.0 - bend) * turn
    ankle = _reach(knee, shin, 0.172)
    lift = 0.012 * max(0.0, math.cos(cycle)) * (1.0 - abs(turn))
    return (
        knee,
        (ankle[0], ankle[1] - lift),
        turn if abs(turn) > 0.2 else 0.3 * (1 if hip[0] > 0 else -1),
    )


def _draw_leg(
    pen: Pen, character: Character, joints: tuple[Point, Point, Point], toe: float, *, far: bool
) -> None:
    hip, knee, ankle = joints
    fade = 0.22 if far else 0.0
    cloth, skin = darker(character.bottom, fade), darker(character.skin, fade)
    thick = 0.082 * (0.85 + 0.15 * character.build)
    foot = [
        (ankle[0] - 0.030 - 0.012 * abs(toe) * (toe < 0) * 3, 0.0),
        (ankle[0] - 0.026 - 0.040 * max(0.0, -toe), -0.030),
        (ankle[0] - 0.020, -0.052),
        (ankle[0] + 0.020, -0.052),
        (ankle[0] + 0.026 + 0.040 * max(0.0, toe), -0.030),
        (ankle[0] + 0.030 + 0.012 * abs(toe) * (toe > 0) * 3, 0.0),
    ]
    drop = ankle[1] + 0.035
    lifted = [(x, y + drop) for x, y in foot]
    pen.fill(smooth(lifted, steps=4), darker(character.shoes, fade), shade=0.5, outline=0.0035)
    bare = character.bottom_kind in {"skirt", "shorts"} or character.top_kind == "dress"
    if not bare:
        pen.stroke([hip, knee, ankle], thick * 0.86, cloth, shade=0.5, outline=0.0035)
        pen.stroke([hip, knee], thick, cloth, shade=0.4)
        return
    pen.stroke([hip, knee, ankle], thick * 0.62, skin, shade=0.5, outline=0.0035)
    sock = (ankle[0] + 0.25 * (knee[0] - ankle[0]), ankle[1] + 0.25 * (knee[1] - ankle[1]))
    pen.stroke([sock, ankle], thick * 0.66, lighter(character.shoes, 0.75), shade=0.4)
    if character.bottom_kind == "shorts" and character.top_kind != "dress":
        middle = (hip[0] + 0.8 * (knee[0] - hip[0]), hip[1] + 0.8 * (knee[1] - hip[1]))
        pen.stroke([hip, middle], thick * 1.12, cloth, shade=0.4, outline=0.0035)


def _draw_torso(pen: Pen, character: Character, turn: float) -> None:
    width = _shoulder_width(character, turn)
    waist = width * (0.80 if character.noun == "woman" else 0.90)
    hip = 0.098 * character.build * (1.0 - 0.18 * abs(turn))
    skin = character.skin
    lean = 0.016 * turn
    neck = [(-0.040 + lean, -0.76), (0.040 + lean, -0.76), (0.046, -0.67), (-0.046, -0.67)]
    pen.fill(neck, darker(skin, 0.22), shade=0.2)
    if character.bottom_kind == "skirt" and character.top_kind != "dress":
        flare = [(-hip * 0.92, -0.45), (hip * 0.92, -0.45), (hip * 1.45, -0.235)]
        flare += [(0.0, -0.222), (-hip * 1.45, -0.235)]
        pen.fill(flare, character.bottom, shade=0.5, outline=0.0035)
    hem = {"dress": -0.225, "coat": -0.27}.get(character.top_kind, -0.365)
    spread = {"dress": 1.55, "coat": 1.25}.get(character.top_kind, 1.02)
    body = [
        (-0.046, -0.692),
        (-width * 0.80, -0.675),
        (-width, -0.640),
        (-waist * 0.98, -0.53),
        (-max(hip, waist * 0.95) * 0.99, -0.42),
        (-hip * spread, hem),
        (0.0, hem + 0.012),
        (hip * spread, hem),
        (max(hip, waist * 0.95) * 0.99, -0.42),
        (waist * 0.98, -0.53),
        (width, -0.640),
        (width * 0.80, -0.675),
        (0.046, -0.692),
        (0.03 * turn, -0.672),
    ]
    pen.fill(smooth(body, steps=4), character.top, shade=0.55, outline=0.004)
    shift = 0.05 * turn
    _draw_collar(pen, character, shift)
    pen.glow(0.02 * turn, -0.685, 0.10, (20, 8, 26), 0.35)  # the head's own shadow


def _draw_collar(pen: Pen, character: Character, shift: float) -> None:
    skin, cloth = character.skin, character.top.first
    if character.top_kind in {"shirt", "coat"}:
        pen.fill([(shift - 0.034, -0.70), (shift + 0.034, -0.70), (shift, -0.632)], skin, shade=0.2)
        for side in (-1, 1):
            flap = [(shift + side * 0.048, -0.705), (shift + side * 0.004, -0.640)]
            flap += [(shift + side * 0.052, -0.642)]
            pen.fill(flap, lighter(cloth, 0.25), shade=0.3, outline=0.003)
        pen.stroke([(shift, -0.63), (shift * 0.8, -0.37)], 0.004, darker(cloth, 0.45))
        for step in range(4):
            y = -0.60 + 0.065 * step
            pen.fill(ellipse(shift * 0.95, y, 0.0065, 0.0065), lighter(cloth, 0.7), outline=0.002)
    else:
        neckline = ellipse(shift * 0.7, -0.697, 0.050, 0.030)
        pen.fill(neckline, skin, shade=0.15, outline=0.006)
