"""Writes the script of a clip by lot: who is where, what the camera does, where it returns to."""

from __future__ import annotations

from typing import Final

import numpy as np

from experiments.synthetic_clips.beats import Beat, Member, Setting
from experiments.synthetic_clips.caption import caption_clip
from experiments.synthetic_clips.cast import CLOTH, draw_cast
from experiments.synthetic_clips.places import KINDS, draw_places
from experiments.synthetic_clips.script import (
    FPS,
    ClipScript,
    Orientation,
    Place,
    Shot,
)
from experiments.synthetic_clips.shots import SHOTS
from experiments.synthetic_clips.things_held import HELD
from pfp.errors import InputError

ASPECTS: Final = {"landscape": 5 / 3, "portrait": 3 / 5}
PLACE_WIDTHS: Final = {"landscape": 3.1, "portrait": 1.9}
STATURES: Final = {"landscape": 1.0, "portrait": 0.92}
DISSOLVE_PROBABILITY: Final = 0.35

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
        (
            ("talk", 0),
            ("close", 0),
            ("walk", 1),
            ("greet", 2),
            ("arrive", 1),
            ("close", 2),
            ("talk", 0),
        ),
        (
            ("greet", 0),
            ("walk", 1),
            ("close", 0),
            ("look_away", 2),
            ("close", 1),
            ("talk", 2),
            ("arrive", 0),
        ),
    ),
}


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
    # Neighbouring clips of one seed begin in different kinds of place.
    kinds = np.random.default_rng((seed, 104729)).permutation(list(KINDS))
    settings = _draw_settings(
        rng, orientation, 1 + max(which for _, which in story), str(kinds[index % len(kinds)])
    )
    seconds, edges = _timing(rng, [beat for beat, _ in story])
    shots: list[Shot] = []
    num_dissolves = 0
    for k, (action, which) in enumerate(story):
        setting = settings[which]
        moved = k > 0 and story[k - 1][1] != which
        dissolves = moved and num_dissolves < 2 and rng.random() < DISSOLVE_PROBABILITY
        num_dissolves += dissolves
        beat = Beat(
            start=edges[k],
            end=edges[k + 1],
            aspect=ASPECTS[orientation],
            setting=setting,
            is_return=moved and setting.visits > 0,
            transition="dissolve" if dissolves else "cut",
        )
        shots.append(SHOTS[action](rng, beat))
        setting.visits += 1
    return ClipScript(
        seed=seed,
        index=index,
        orientation=orientation,
        seconds=seconds,
        shots=tuple(shots),
        places=tuple(setting.place for setting in settings),
        cast=tuple(member.character for setting in settings for member in setting.members),
        caption=caption_clip(settings),
    )


def _draw_settings(
    rng: np.random.Generator, orientation: Orientation, num_places: int, home_kind: str
) -> list[Setting]:
    width = PLACE_WIDTHS[orientation]
    places = draw_places(rng, num_places, width=width, home_kind=home_kind)
    sizes = [2, *rng.integers(1, 3, num_places - 1).tolist()]
    cast = draw_cast(rng, sum(sizes), stature=STATURES[orientation])
    settings = []
    things = rng.permutation(HELD).tolist()
    for k, place in enumerate(places):
        people = cast[sum(sizes[:k]) : sum(sizes[: k + 1])]
        side = 0.30 if rng.random() < 0.5 else 0.70
        apart = 0.145 if orientation == "portrait" else 0.24
        members = tuple(
            Member(
                character=one,
                offset=0.0
                if len(people) == 1
                else (apart if m else -apart) * float(rng.uniform(0.85, 1.1)),
                holding=_draw_thing(rng, things, place),
                colour=CLOTH[
                    str(rng.choice(["red", "blue", "green", "yellow", "orange", "purple", "teal"]))
                ],
            )
            for m, one in enumerate(people)
        )
        settings.append(
            Setting(
                place=place,
                home_x=width * side,
                feet_y=float(rng.uniform(0.90, 0.94)),
                members=members,
            )
        )
    return settings


def _draw_thing(rng: np.random.Generator, things: list[str], place: Place) -> str | None:
    """Half of the people carry something; nobody carries the same, nor an umbrella indoors."""
    fitting = [thing for thing in things if place.outdoors or thing != "umbrella"]
    if not fitting or rng.random() < 0.5:
        return None
    things.remove(fitting[0])
    return fitting[0]


def _timing(rng: np.random.Generator, actions: list[str]) -> tuple[float, list[float]]:
    """Clip length and shot edges, all whole frames of 24 fps; close shots are short."""
    weights = {"close": 0.65, "look_away": 1.5, "walk": 1.25, "arrive": 1.2}
    shares = np.array([weights.get(a, 1.0) for a in actions]) * rng.uniform(
        0.88, 1.12, len(actions)
    )
    num_frames = int(rng.integers(20 * FPS, 30 * FPS + 1))
    edges = np.concatenate([[0.0], np.cumsum(shares / shares.sum())]) * num_frames
    return num_frames / FPS, [round(float(edge)) / FPS for edge in edges]
