"""Writes the script of a clip by lot: who is where, what the camera does, where it returns to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pfp.errors import InputError
from pfp.io.render import _words
from pfp.io.render._cast import CLOTH, draw_cast
from pfp.io.render._motion import camera_view
from pfp.io.render._places import draw_places
from pfp.io.render._script import (
    FPS,
    CameraKey,
    Character,
    ClipScript,
    MoverTrack,
    Orientation,
    PersonKey,
    PersonTrack,
    Place,
    Prop,
    Shot,
    Transition,
)
from pfp.io.render._things import prop_box
from pfp.io.render._things_held import HELD

ASPECTS: Final = {"landscape": 5 / 3, "portrait": 3 / 5}
PLACE_WIDTHS: Final = {"landscape": 3.1, "portrait": 1.9}
STATURES: Final = {"landscape": 1.0, "portrait": 0.92}
DISSOLVE_PROBABILITY: Final = 0.35
WALK_SPEED: Final = 0.42  # body heights per second

# Beats of a story: (what happens, which place). A repeated place is a return to it; the last
# shot always returns to where the clip began.
STORIES: Final[dict[int, tuple[tuple[tuple[str, int], ...], ...]]] = {
    4: (
        (("look_away", 0), ("close", 0), ("walk", 1), ("arrive", 0)),
        (("talk", 0), ("walk", 1), ("close", 1), ("look_away", 0)),
        (("greet", 0), ("look_away", 1), ("close", 1), ("arrive", 0)),
    ),
    5: (
        (("look_away", 0), ("close", 0), ("walk", 1), ("greet", 1), ("arrive", 0)),
        (("talk", 0), ("walk", 1), ("close", 0), ("look_away", 1), ("talk", 0)),
        (("greet", 0), ("talk", 1), ("close", 0), ("close", 1), ("look_away", 0)),
    ),
    6: (
        (("talk", 0), ("close", 0), ("walk", 1), ("greet", 2), ("close", 1), ("arrive", 0)),
        (("look_away", 0), ("walk", 1), ("close", 1), ("arrive", 0), ("greet", 2), ("talk", 0)),
    ),
    7: (
        (("talk", 0), ("close", 0), ("walk", 1), ("greet", 2), ("arrive", 1), ("close", 2), ("talk", 0)),
        (("greet", 0), ("walk", 1), ("close", 0), ("look_away", 2), ("close", 1), ("talk", 2), ("arrive", 0)),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One person of a group, with what is always carried."""

    character: Character
    offset: float  # from the group's middle, scene units
    holding: str | None
    colour: tuple[int, int, int]


@dataclass(slots=True, kw_only=True)
class _Setting:
    """A place with the people who belong to it."""

    place: Place
    home_x: float
    feet_y: float
    members: tuple[_Member, ...]
    visits: int = field(default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beat:
    """One shot to be planned."""

    start: float
    end: float
    aspect: float
    setting: _Setting
    is_return: bool
    transition: Transition


def plan_clip(seed: int, index: int) -> ClipScript:
    """The script of one clip: an even index is landscape, an odd one portrait; 20 to 30 s.

    The same (seed, index) gives the same script. Raises InputError if one is negative.
    """
    if seed < 0 or index < 0:
        raise InputError(f"seed {seed} and index {index} must not be negative; use 0 or more")
    rng = np.random.default_rng((seed, index))
    orientation: Orientation = "portrait" if index % 2 else "landscape"
    num_shots = int(rng.choice([4, 5, 6, 7], p=[0.2, 0.35, 0.3, 0.15]))
    options = STORIES[num_shots]
    story = options[int(rng.integers(len(options)))]
    settings = _draw_settings(rng, orientation, 1 + max(which for _, which in story))
    seconds, edges = _timing(rng, [beat for beat, _ in story])
    shots: list[Shot] = []
    for k, (action, which) in enumerate(story):
        setting = settings[which]
        moved = k > 0 and story[k - 1][1] != which
        beat = _Beat(
            start=edges[k],
            end=edges[k + 1],
            aspect=ASPECTS[orientation],
            setting=setting,
            is_return=moved and setting.visits > 0,
            transition="dissolve" if moved and rng.random() < DISSOLVE_PROBABILITY else "cut",
        )
        shots.append(_SHOTS[action](rng, beat))
        setting.visits += 1
    return ClipScript(
        seed=seed,
        index=index,
        orientation=orientation,
        seconds=seconds,
        shots=tuple(shots),
        places=tuple(setting.place for setting in settings),
        cast=tuple(member.character for setting in settings for member in setting.members),
        caption=_clip_caption(settings),
    )


def _draw_settings(
    rng: np.random.Generator, orientation: Orientation, num_places: int
) -> list[_Setting]:
    width = PLACE_WIDTHS[orientation]
    places = draw_places(rng, num_places, width=width)
    sizes = [2, *rng.integers(1, 3, num_places - 1).tolist()]
    cast = draw_cast(rng, sum(sizes), stature=STATURES[orientation])
    settings = []
    for k, place in enumerate(places):
        people = cast[sum(sizes[:k]) : sum(sizes[: k + 1])]
        side = 0.30 if rng.random() < 0.5 else 0.70
        apart = 0.17 if orientation == "portrait" else 0.24
        members = tuple(
            _Member(
                character=one,
                offset=0.0 if len(people) == 1 else (apart if m else -apart) * float(rng.uniform(0.85, 1.1)),
                holding=str(rng.choice(HELD)) if rng.random() < 0.5 else None,
                colour=CLOTH[str(rng.choice(["red", "blue", "green", "yellow", "orange", "purple", "teal"]))],
            )
            for m, one in enumerate(people)
        )
        settings.append(
            _Setting(
                place=place,
                home_x=width * side,
                feet_y=float(rng.uniform(0.90, 0.94)),
                members=members,
            )
        )
    return settings


def _timing(rng: np.random.Generator, actions: list[str]) -> tuple[float, list[float]]:
    """Clip length and shot edges, all whole frames of 24 fps; close shots are short."""
    weights = {"close": 0.65, "look_away": 1.5, "walk": 1.25, "arrive": 1.2}
    shares = np.array([weights.get(a, 1.0) for a in actions]) * rng.uniform(0.88, 1.12, len(actions))
    num_frames = int(rng.integers(20 * FPS, 30 * FPS + 1))
    edges = np.concatenate([[0.0], np.cumsum(shares / shares.sum())]) * num_frames
    return num_frames / FPS, [round(float(edge)) / FPS for edge in edges]


# -- shots --------------------------------------------------------------------------------


def _floor_y(zoom: float) -> float:
    """Camera height that keeps the lower edge of the place in view."""
    return 1.0 - 0.5 / zoom


def _standing(beat: _Beat, member: _Member, keys: tuple[PersonKey, ...]) -> PersonTrack:
    depth = 0.0 if member.offset <= 0 else 0.012
    return PersonTrack(
        character_id=member.character.character_id,
        feet_y=beat.setting.feet_y + depth,
        keys=keys,
        holding=member.holding,
        holding_colour=member.colour,
    )


def _at_home(rng: np.random.Generator, beat: _Beat) -> list[PersonTrack]:
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


def _keep_inside(beat: _Beat, x: float, zoom: float) -> float:
    half = beat.aspect / zoom / 2
    return min(max(x, half), beat.setting.place.width - half)


def _far_x(beat: _Beat) -> float:
    """The other end of the place, where the group is out of view."""
    return 0.0 if beat.setting.home_x > beat.setting.place.width / 2 else beat.setting.place.width


def _look_away(rng: np.random.Generator, beat: _Beat) -> Shot:
    zoom = float(rng.uniform(1.12, 1.3))
    home = _keep_inside(beat, beat.setting.home_x, zoom)
    away = _keep_inside(beat, _far_x(beat), zoom)
    length = beat.end - beat.start
    stops = ((0.0, home), (0.14, home), (0.48, away), (0.58, away), (0.90, home), (1.0, home))
    camera = tuple(
        CameraKey(seconds=beat.start + part * length, x=x, y=_floor_y(zoom), zoom=zoom)
        for part, x in stops
    )
    movers = _movers(rng, beat)
    return _shot(beat, "wide", "pan_and_return", camera, _at_home(rng, beat), movers, "stand")


def _arrive(rng: np.random.Generator, beat: _Beat) -> Shot:
    zoom = float(rng.uniform(1.12, 1.3))
    home = _keep_inside(beat, beat.setting.home_x, zoom)
    away = _keep_inside(beat, _far_x(beat), zoom)
    length = beat.end - beat.start
    stops = ((0.0, away), (0.12, away), (0.62, home), (1.0, home))
    camera = tuple(
        CameraKey(seconds=beat.start + part * length, x=x, y=_floor_y(zoom), zoom=zoom)
        for part, x in stops
    )
    return _shot(beat, "wide", "arrive", camera, _at_home(rng, beat), _movers(rng, beat), "talk")


def _talk(rng: np.random.Generator, beat: _Beat) -> Shot:
    narrow = beat.aspect < 1
    near = float(rng.uniform(1.25, 1.4)) if narrow else float(rng.uniform(1.45, 1.75))
    wide = 1.05 if narrow else float(rng.uniform(1.08, 1.2))
    grows = rng.random() < 0.6
    first, last = (wide, near) if grows else (near, wide)
    x = beat.setting.home_x
    camera = tuple(
        CameraKey(seconds=t, x=_keep_inside(beat, x, zoom), y=_talk_y(beat, zoom), zoom=zoom)
        for t, zoom in ((beat.start, first), (beat.end, last))
    )
    move = "push_in" if grows else "pull_out"
    return _shot(beat, "medium", move, camera, _at_home(rng, beat), _movers(rng, beat), "talk")


def _talk_y(beat: _Beat, zoom: float) -> float:
    tallest = max(member.character.height for member in beat.setting.members)
    heads = beat.setting.feet_y - 0.62 * tallest
    return min(_floor_y(zoom), heads + 0.04)


def _close(rng: np.random.Generator, beat: _Beat) -> Shot:
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
    return _shot(beat, "close", "push_in", camera, people, [], "close", focus=member)


def _walk(rng: np.random.Generator, beat: _Beat) -> Shot:
    member = beat.setting.members[0]
    length = beat.end - beat.start
    reach = WALK_SPEED * member.character.height * length * 1.35
    way = 1.0 if beat.setting.home_x > beat.setting.place.width / 2 else -1.0
    goal = beat.setting.home_x + member.offset
    start = min(max(goal - way * reach, 0.12), beat.setting.place.width - 0.12)
    stop_at = beat.start + 0.82 * length
    keys = (
        PersonKey(seconds=beat.start, x=start, facing=way, action="walk"),
        PersonKey(seconds=stop_at, x=goal, facing=0.0, action="stand"),
    )
    zoom = float(rng.uniform(1.15, 1.35)) if beat.aspect > 1 else float(rng.uniform(1.1, 1.25))
    lead = way * 0.12 * min(1.0, beat.aspect)
    camera = (
        CameraKey(seconds=beat.start, x=_keep_inside(beat, start + lead, zoom), y=_floor_y(zoom), zoom=zoom),
        CameraKey(seconds=stop_at, x=_keep_inside(beat, goal + lead, zoom), y=_floor_y(zoom), zoom=zoom),
        CameraKey(seconds=beat.end, x=_keep_inside(beat, goal + lead, zoom), y=_floor_y(zoom), zoom=zoom),
    )
    people = [_standing(beat, member, keys), *_at_home(rng, beat)[1:]]
    return _shot(beat, "wide", "follow", camera, people, _movers(rng, beat), "walk", focus=member)


def _greet(rng: np.random.Generator, beat: _Beat) -> Shot:
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
    zoom = float(rng.uniform(1.05, 1.2))
    shift = 0.22 * min(1.0, beat.aspect) * (1 if rng.random() < 0.5 else -1)
    camera = tuple(
        CameraKey(seconds=t, x=_keep_inside(beat, x, zoom), y=_floor_y(zoom), zoom=zoom)
        for t, x in ((beat.start, beat.setting.home_x + shift), (beat.end, beat.setting.home_x - shift))
    )
    return _shot(beat, "wide", "pan", camera, tracks, _movers(rng, beat), "wave")


_SHOTS: Final = {
    "look_away": _look_away,
    "arrive": _arrive,
    "talk": _talk,
    "close": _close,
    "walk": _walk,
    "greet": _greet,
}


def _movers(rng: np.random.Generator, beat: _Beat) -> list[MoverTrack]:
    """Now and then something crosses: a ball or a cat indoors, a car or a bird outside."""
    if rng.random() > 0.45:
        return []
    place = beat.setting.place
    options = {"street": ("car", "car", "cat"), "park": ("bird", "ball", "cat"), "beach": ("bird", "ball")}
    kind = str(rng.choice(options.get(place.kind, ("ball", "cat"))))
    colour_name = str(rng.choice(["red", "blue", "yellow", "green", "orange", "purple"]))
    fur = str(rng.choice(["orange", "grey", "brown"]))
    named = {
        "car": (f"{_words.article(colour_name)} car", CLOTH[colour_name], 0.985, 0.30),
        "ball": (f"{_words.article(colour_name)} and white ball", CLOTH[colour_name], 0.965, 0.11),
        "cat": (f"{_words.article(fur)} cat", CLOTH[fur], 0.965, 0.15),
        "bird": (f"{_words.article(colour_name)} bird", CLOTH[colour_name], 0.26, 0.07),
    }
    name, colour, y, size = named[kind]
    speed = {"car": 0.55, "ball": 0.36, "cat": 0.20, "bird": 0.30}[kind]
    way = 1.0 if rng.random() < 0.5 else -1.0
    length = beat.end - beat.start
    travel = way * speed * length
    middle = beat.setting.home_x + float(rng.uniform(-0.15, 0.15))
    return [
        MoverTrack(
            kind=kind, name=name, colour=colour, y=y, size=size,
            start_seconds=beat.start, end_seconds=beat.end,
            start_x=middle - travel / 2, end_x=middle + travel / 2,
        )
    ]


# -- words --------------------------------------------------------------------------------


def _shot(
    beat: _Beat,
    framing: str,
    move: str,
    camera: tuple[CameraKey, ...],
    people: list[PersonTrack],
    movers: list[MoverTrack],
    action: str,
    focus: _Member | None = None,
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
    caption = _caption(beat, draft, action, focus)
    return Shot(**{name: getattr(draft, name) for name in Shot.__slots__ if name != "caption"}, caption=caption)


def _caption(beat: _Beat, shot: Shot, action: str, focus: _Member | None) -> str:
    members = beat.setting.members if focus is None else (focus,)
    the = "the same " if beat.is_return else ""
    who = _words.listed([f"{the}{looks}" if the else _words.article(looks) for looks in (_words.looks(m.character) for m in members)])
    carried = [m for m in members if m.holding is not None and action != "close"]
    verb = _verb(action, len(members))
    held = _held_words(carried, len(members))
    place = f"back in {beat.setting.place.name}, " if beat.is_return else ""
    where = "" if beat.is_return else f" in {beat.setting.place.name}"
    where = where.replace(" in a street", " on a street").replace(" in a sandy beach", " on a sandy beach").replace(" in a railway station", " at a railway station")
    place = place.replace("back in a street", "back on a street").replace("back in a sandy beach", "back on a sandy beach").replace("back in a railway station", "back at a railway station")
    seen = _visible(beat, shot)
    near = f", near {_words.surroundings(seen)}" if seen and shot.framing != "close" else ""
    passing = f" while {shot.movers[0].name} {_PASSES[shot.movers[0].kind]}" if shot.movers else ""
    way = "right" if max(shot.camera, key=lambda k: abs(k.x - shot.camera[0].x)).x >= shot.camera[0].x else "left"
    moves = _words.camera_words(shot.move, way)
    opening = "close-up: " if shot.framing == "close" else ""
    return _words.sentence(f"{opening}{place}{who}{held} {verb}{where}{near}{passing}; {moves}")


_PASSES: Final = {"car": "drives past", "ball": "bounces by", "cat": "strolls past", "bird": "flies over"}


def _verb(action: str, count: int) -> str:
    many = {
        "stand": "talk to each other", "talk": "talk to each other", "wave": "turn to the camera and wave",
    }
    one = {
        "stand": "looks around and speaks", "talk": "looks around and speaks",
        "wave": "turns to the camera and waves", "close": "turns to the camera, speaks and looks away",
        "walk": "walks in, stops and turns to the camera",
    }
    return many[action] if count > 1 else one[action]


def _held_words(carried: list[_Member], num_people: int) -> str:
    if not carried:
        return ""
    things = {"flowers": "a bunch of flowers", "umbrella": "an umbrella"}
    names = [things.get(m.holding or "", f"a {m.holding}") for m in carried]
    if num_people == 1:
        return f", holding {names[0]},"
    if len(names) == 2:
        return f", holding {names[0]} and {names[1]},"
    return f", the {carried[0].character.noun} holding {names[0]},"


def _visible(beat: _Beat, shot: Shot) -> list[Prop]:
    """Props that lie wholly in view at the start, the middle or the end of the shot."""
    seen: list[Prop] = []
    for part in (0.02, 0.5, 0.98):
        t = shot.start_seconds + part * (shot.end_seconds - shot.start_seconds)
        left, top, right, bottom = camera_view(shot, beat.setting.place, t, beat.aspect)
        for prop in beat.setting.place.props:
            box = prop_box(prop)
            inside = box[0] >= left and box[2] <= right and box[1] >= top - 0.02 and box[3] <= bottom + 0.02
            if inside and prop not in seen:
                seen.append(prop)
    return seen


def _clip_caption(settings: list[_Setting]) -> str:
    first = settings[0]
    names = _words.listed([_words.article(_words.looks(m.character)) for m in first.members])
    others = _words.listed([setting.place.name for setting in settings[1:]])
    return _words.sentence(
        f"{names} meet in {first.place.name}; the film cuts to {others} and returns to them"
    )
