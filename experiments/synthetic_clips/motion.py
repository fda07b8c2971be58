"""Where the camera looks and how a person is posed at a time."""

from __future__ import annotations

import math
from typing import Final

from experiments.synthetic_clips.heads import YAW_STEPS, Face, body_turn
from experiments.synthetic_clips.people import WALK_PHASES, Pose
from experiments.synthetic_clips.script import Character, PersonTrack, Place, Shot

STRIDE: Final = 0.64  # of a full walking cycle, in body heights
TURN_SECONDS: Final = 0.3
BLINK_SECONDS: Final = 0.24
DRIFT: Final = 0.0035  # scene units the hand that holds the camera wanders

View = tuple[float, float, float, float]  # left, top, right, bottom in scene units


def camera_view(shot: Shot, place: Place, seconds: float, aspect: float) -> View:
    """What the camera sees; always inside the place."""
    keys = shot.camera
    index = 0
    while index + 2 < len(keys) and keys[index + 1].seconds <= seconds:
        index += 1
    before, after = keys[index], keys[min(index + 1, len(keys) - 1)]
    span = max(after.seconds - before.seconds, 1e-9)
    part = min(max((seconds - before.seconds) / span, 0.0), 1.0)
    eased = part if shot.move == "follow" else part * part * (3.0 - 2.0 * part)
    zoom = before.zoom * (after.zoom / before.zoom) ** eased
    phase = shot.start_seconds
    x = before.x + (after.x - before.x) * eased + DRIFT * math.sin(0.9 * seconds + phase)
    y = before.y + (after.y - before.y) * eased + DRIFT * math.sin(1.3 * seconds + 2.0 * phase)
    width, height = aspect / zoom, 1.0 / zoom
    x = min(max(x, width / 2), place.width - width / 2)
    y = min(max(y, height / 2), 1.0 - height / 2)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def person_bob(track: PersonTrack, character: Character, seconds: float) -> float:
    """How far the body rises with each step, in scene units."""
    key, x = track.at(seconds)
    if key.action != "walk":
        return 0.0
    cycle = math.pi * 2 * x / (STRIDE * character.height)
    return 0.010 * character.height * abs(math.cos(cycle))


def pose_at(track: PersonTrack, character: Character, seconds: float) -> Pose:
    """The pose at a time, in few enough steps to be drawn once and kept."""
    key, x = track.at(seconds)
    yaw = round(YAW_STEPS * _facing(track, seconds))
    salt = sum(map(ord, character.character_id))
    phase = -1
    if key.action == "walk":
        cycle = abs(x) / (STRIDE * character.height)
        way = 1 if key.facing >= 0 else -1
        phase = int((way * cycle) % 1.0 * WALK_PHASES) % WALK_PHASES
    glance = 0
    if key.action in {"stand", "wave"} and (int(seconds / 1.7) * 7 + salt) % 5 == 0:
        glance = 1 if (int(seconds / 1.7) + salt) % 2 else -1
    head_yaw = max(-YAW_STEPS, min(YAW_STEPS, yaw + glance))
    if key.action == "walk":
        head_yaw = round(head_yaw * 0.75)
    face = Face(
        yaw=head_yaw,
        lids=_lids(seconds + 0.37 * (salt % 11)),
        mouth=_mouth(seconds, salt) if key.action == "talk" else 0,
    )
    left, right = _arms(track, key.action, yaw, phase, seconds)
    return Pose(
        face=face,
        yaw=yaw,
        phase=phase,
        left_arm=left,
        right_arm=right,
        holding=track.holding,
        holding_colour=track.holding_colour,
    )


def _facing(track: PersonTrack, seconds: float) -> float:
    """Body direction; turns to a key's direction within TURN_SECONDS after the key."""
    facing = track.keys[0].facing
    for before, key in zip(track.keys, track.keys[1:], strict=False):
        part = min(max((seconds - key.seconds) / TURN_SECONDS, 0.0), 1.0)
        facing += (key.facing - before.facing) * part
    return facing


def _lids(seconds: float) -> int:
    since = seconds % 2.9
    if since >= BLINK_SECONDS:
        return 0
    return 2 if 0.3 < since / BLINK_SECONDS < 0.75 else 1


def _mouth(seconds: float, salt: int) -> int:
    beat = int(seconds * 7.0)
    if (beat // 9 + salt) % 3 == 0:
        return 0  # pauses to listen
    return (0, 1, 2, 1, 2, 0, 1, 1, 2)[(beat * 5 + salt) % 9]


Arm = tuple[int, int]


def _arms(track: PersonTrack, action: str, yaw: int, phase: int, seconds: float) -> tuple[Arm, Arm]:
    side = -1 if yaw < 0 else 1
    near, far = (9 * side, 3 * side), (-9 * side, -3 * side)
    if phase >= 0:
        turn = body_turn(yaw)
        swing = round(26 * math.sin(2 * math.pi * phase / WALK_PHASES) * turn)
        near, far = (swing, swing + 14 * side), (-swing, -swing + 14 * side)
    if action == "wave":
        wag = round(4 * math.sin(2 * math.pi * 1.5 * seconds)) * 7
        raised = (118, 165 + wag)
        if track.holding is None:
            near = (raised[0] * side, raised[1] * side)
        else:
            far = (-raised[0] * side, -raised[1] * side)
    elif action == "talk" and track.holding is None:
        lift = (0, 1, 2, 1)[int(seconds * 3.0) % 4]
        near = ((16 + 6 * lift) * side, (60 + 14 * lift) * side)
    if track.holding in {"balloon", "umbrella"}:
        near = (26 * side, 120 * side)
    elif track.holding == "bag":
        near = (6 * side, 2 * side)
    elif track.holding is not None:
        near = (20 * side, 78 * side)
    return (near, far) if side < 0 else (far, near)
