"""Turns a beat into a shot: where people stand and walk, what the camera does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from experiments.synthetic_clips import phrases
from experiments.synthetic_clips.beats import Beat, Member
from experiments.synthetic_clips.caption import caption_shot
from experiments.synthetic_clips.cast import CLOTH
from experiments.synthetic_clips.script import (
    CameraKey,
    MoverTrack,
    PersonKey,
    PersonTrack,
    Shot,
)

WALK_SPEED: Final = 0.42  # body heights per second


def _floor_y(zoom: float) -> float:
    """Camera height that keeps the lower edge of the place in view."""
    return 1.0 - 0.5 / zoom


def _standing(beat: Beat, member: Member, keys: tuple[PersonKey, ...]) -> PersonTrack:
    depth = 0.0 if member.offset <= 0 else 0.012
    return PersonTrack(
        character_id=member.character.character_id,
        feet_y=beat.setting.feet_y + depth,
        keys=keys,
        holding=member.holding,
        holding_colour=member.colour,
    )


def _at_home(rng: np.random.Generator, beat: Beat) -> list[PersonTrack]:
    """The group where it belongs: two people talk by turns, one looks about."""
    tracks = []
    middle = (beat.start + beat.end) / 2 + float(rng.uniform(-0.4, 0.4))
    for k, member in enumerate(beat.setting.members):
        x = beat.setting.home_x + member.offset
        towards = 0.75 if member.offset < 0 else -0.75
        if len(beat.setting.members) == 1:
            keys = (
                PersonKey(seconds=beat.start, x=x, facing=0.5, action="stand"),
                PersonKey(seconds=middle, x=x, facing=-0.25, action="talk"),
            )
        else:
            first, second = ("talk", "stand") if k == 0 else ("stand", "talk")
            keys = (
                PersonKey(seconds=beat.start, x=x, facing=towards, action=first),
                PersonKey(seconds=middle, x=x, facing=towards, action=second),
            )
        tracks.append(_standing(beat, member, keys))
    return tracks


def _keep_inside(beat: Beat, x: float, zoom: float) -> float:
    half = beat.aspect / zoom / 2
    return min(max(x, half), beat.setting.place.width - half)


def _far_x(beat: Beat) -> float:
    """The other end of the place, where the group is out of view."""
    return 0.0 if beat.setting.home_x > beat.setting.place.width / 2 else beat.setting.place.width


def _wide_zoom(rng: np.random.Generator, beat: Beat) -> float:
    """A portrait frame needs all its width for two people."""
    return float(rng.uniform(1.1, 1.3) if beat.aspect > 1 else rng.uniform(1.02, 1.10))


def _look_away(rng: np.random.Generator, beat: Beat) -> Shot:
    zoom = _wide_zoom(rng, beat)
    home = _keep_inside(beat, beat.setting.home_x, zoom)
    away = _keep_inside(beat, _far_x(beat), zoom)
    length = beat.end - beat.start
    stops = ((0.0, home), (0.14, home), (0.48, away), (0.58, away), (0.90, home), (1.0, home))
    camera = tuple(
        CameraKey(seconds=beat.start + part * length, x=x, y=_floor_y(zoom), zoom=zoom)
        for part, x in stops
    )
    movers = _movers(rng, beat)
    return _shot(
        beat,
        framing="wide",
        move="pan_and_return",
        action="stand",
        camera=camera,
        people=_at_home(rng, beat),
        movers=movers,
    )


def _arrive(rng: np.random.Generator, beat: Beat) -> Shot:
    zoom = _wide_zoom(rng, beat)
    home = _keep_inside(beat, beat.setting.home_x, zoom)
    away = _keep_inside(beat, _far_x(beat), zoom)
    length = beat.end - beat.start
    stops = ((0.0, away), (0.12, away), (0.62, home), (1.0, home))
    camera = tuple(
        CameraKey(seconds=beat.start + part * length, x=x, y=_floor_y(zoom), zoom=zoom)
        for part, x in stops
    )
    return _shot(
        beat,
        framing="wide",
        move="arrive",
        action="talk",
        camera=camera,
        people=_at_home(rng, beat),
        movers=_movers(rng, beat),
    )


def _talk(rng: np.random.Generator, beat: Beat) -> Shot:
    narrow = beat.aspect < 1
    near = float(rng.uniform(1.12, 1.22)) if narrow else float(rng.uniform(1.45, 1.75))
    wide = 1.02 if narrow else float(rng.uniform(1.08, 1.2))
    grows = rng.random() < 0.6
    first, last = (wide, near) if grows else (near, wide)
    x = beat.setting.home_x
    camera = tuple(
        CameraKey(seconds=t, x=_keep_inside(beat, x, zoom), y=_talk_y(beat, zoom), zoom=zoom)
        for t, zoom in ((beat.start, first), (beat.end, last))
    )
    move = "push_in" if grows else "pull_out"
    return _shot(
        beat,
        framing="medium",
        move=move,
        action="talk",
        camera=camera,
        people=_at_home(rng, beat),
        movers=_movers(rng, beat),
    )


def _talk_y(beat: Beat, zoom: float) -> float:
    tallest = max(member.character.height for member in beat.setting.members)
    heads = beat.setting.feet_y - 0.62 * tallest
    return min(_floor_y(zoom), heads + 0.04)


def _close(rng: np.random.Generator, beat: Beat) -> Shot:
    member = beat.setting.members[int(rng.integers(len(beat.setting.members)))]
    height = member.character.height
    zoom = (1.55 if beat.aspect > 1 else 1.30) / height
    x, face_y = beat.setting.home_x + member.offset, beat.setting.feet_y - 0.80 * height
    last = zoom * float(rng.uniform(1.04, 1.12))
    camera = (
        CameraKey(seconds=beat.start, x=_keep_inside(beat, x, zoom), y=face_y, zoom=zoom),
        CameraKey(seconds=beat.end, x=_keep_inside(beat, x, last), y=face_y, zoom=last),
    )
    length = beat.end - beat.start
    towards = 0.5 if member.offset <= 0 else -0.5
    keys = (
        PersonKey(seconds=beat.start, x=x, facing=towards, action="stand"),
        PersonKey(seconds=beat.start + 0.30 * length, x=x, facing=0.0, action="talk"),
        PersonKey(seconds=beat.start + 0.80 * length, x=x, facing=-towards, action="stand"),
    )
    others = [
        track
        for track, one in zip(_at_home(rng, beat), beat.setting.members, strict=True)
        if one is not member
    ]
    people = [*others, _standing(beat, member, keys)]
    return _shot(
        beat,
        framing="close",
        move="push_in",
        action="close",
        camera=camera,
        people=people,
        movers=[],
        focus=member,
    )


def _walk(rng: np.random.Generator, beat: Beat) -> Shot:
    way = 1.0 if beat.setting.home_x > beat.setting.place.width / 2 else -1.0
    at_home = _at_home(rng, beat)
    walker = 0 if way > 0 else len(at_home) - 1  # who need not walk through the other
    member = beat.setting.members[walker]
    length = beat.end - beat.start
    reach = WALK_SPEED * member.character.height * length * 1.35
    goal = beat.setting.home_x + member.offset
    start = min(max(goal - way * reach, 0.12), beat.setting.place.width - 0.12)
    stop_at = beat.start + 0.82 * length
    keys = (
        PersonKey(seconds=beat.start, x=start, facing=way, action="walk"),
        PersonKey(seconds=stop_at, x=goal, facing=0.0, action="stand"),
    )
    zoom = _wide_zoom(rng, beat)
    lead = way * 0.12 * min(1.0, beat.aspect)
    camera = (
        CameraKey(
            seconds=beat.start,
            x=_keep_inside(beat, start + lead, zoom),
            y=_floor_y(zoom),
            zoom=zoom,
        ),
        CameraKey(
            seconds=stop_at, x=_keep_inside(beat, goal + lead, zoom), y=_floor_y(zoom), zoom=zoom
        ),
        CameraKey(
            seconds=beat.end, x=_keep_inside(beat, goal + lead, zoom), y=_floor_y(zoom), zoom=zoom
        ),
    )
    people = [_standing(beat, member, keys), *(at_home[:walker] + at_home[walker + 1 :])]
    return _shot(
        beat,
        framing="wide",
        move="follow",
        action="walk",
        camera=camera,
        people=people,
        movers=_movers(rng, beat),
        focus=member,
    )


def _greet(rng: np.random.Generator, beat: Beat) -> Shot:
    length = beat.end - beat.start
    tracks = []
    for k, member in enumerate(beat.setting.members):
        x = beat.setting.home_x + member.offset
        towards = 0.75 if member.offset < 0 else -0.75
        turn_at = beat.start + (0.22 + 0.12 * k) * length
        keys = (
            PersonKey(seconds=beat.start, x=x, facing=towards, action="stand"),
            PersonKey(seconds=turn_at, x=x, facing=0.0, action="stand"),
            PersonKey(seconds=turn_at + 0.35, x=x, facing=0.0, action="wave"),
            PersonKey(seconds=beat.start + 0.85 * length, x=x, facing=0.0, action="stand"),
        )
        tracks.append(_standing(beat, member, keys))
    zoom = _wide_zoom(rng, beat)
    shift = (0.22 if beat.aspect > 1 else 0.05) * (1 if rng.random() < 0.5 else -1)
    camera = tuple(
        CameraKey(seconds=t, x=_keep_inside(beat, x, zoom), y=_floor_y(zoom), zoom=zoom)
        for t, x in (
            (beat.start, beat.setting.home_x + shift),
            (beat.end, beat.setting.home_x - shift),
        )
    )
    return _shot(
        beat,
        framing="wide",
        move="pan",
        action="wave",
        camera=camera,
        people=tracks,
        movers=_movers(rng, beat),
    )


SHOTS: Final[dict[str, Callable[[np.random.Generator, Beat], Shot]]] = {
    "look_away": _look_away,
    "arrive": _arrive,
    "talk": _talk,
    "close": _close,
    "walk": _walk,
    "greet": _greet,
}


def _movers(rng: np.random.Generator, beat: Beat) -> list[MoverTrack]:
    """Now and then something crosses: a ball or a cat indoors, a car or a bird outside."""
    if rng.random() > 0.45:
        return []
    place = beat.setting.place
    options = {
        "street": ("car", "car", "cat"),
        "park": ("bird", "ball", "cat"),
        "beach": ("bird", "ball"),
    }
    kind = str(rng.choice(options.get(place.kind, ("ball", "cat"))))
    colour_name = str(rng.choice(["red", "blue", "yellow", "green", "orange", "purple"]))
    fur = str(rng.choice(["orange", "grey", "brown"]))
    named = {
        "car": (f"{phrases.article(colour_name)} car", CLOTH[colour_name], 1.02, 0.26),
        "ball": (f"{phrases.article(colour_name)} and white ball", CLOTH[colour_name], 0.965, 0.11),
        "cat": (f"{phrases.article(fur)} cat", CLOTH[fur], 0.965, 0.15),
        "bird": (f"{phrases.article(colour_name)} bird", CLOTH[colour_name], 0.26, 0.07),
    }
    name, colour, y, size = named[kind]
    speed = {"car": 0.55, "ball": 0.36, "cat": 0.20, "bird": 0.30}[kind]
    way = 1.0 if rng.random() < 0.5 else -1.0
    length = beat.end - beat.start
    travel = way * speed * length
    middle = beat.setting.home_x + float(rng.uniform(-0.15, 0.15))
    return [
        MoverTrack(
            kind=kind,
            name=name,
            colour=colour,
            y=y,
            size=size,
            start_seconds=beat.start,
            end_seconds=beat.end,
            start_x=middle - travel / 2,
            end_x=middle + travel / 2,
        )
    ]


def _shot(
    beat: Beat,
    *,
    framing: str,
    move: str,
    action: str,
    camera: tuple[CameraKey, ...],
    people: list[PersonTrack],
    movers: list[MoverTrack],
    focus: Member | None = None,
) -> Shot:
    draft = Shot(
        start_seconds=beat.start,
        end_seconds=beat.end,
        transition=beat.transition,
        place_id=beat.setting.place.place_id,
        framing=framing,
        move=move,
        camera=camera,
        people=tuple(people),
        movers=tuple(movers),
        caption="",
        is_return=beat.is_return,
    )
    caption = caption_shot(beat, draft, action, focus)
    return replace(draft, caption=caption)
