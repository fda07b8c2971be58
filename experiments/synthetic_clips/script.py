"""What a clip shows, written down before anything is drawn.

Places use scene units: the view at zoom 1 is one unit high, x runs right, y runs down,
and a place is one unit high and `width` units wide. Times are seconds from the clip's start.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Final, Literal

from experiments.synthetic_clips.paint import Colour, Pattern

Orientation = Literal["landscape", "portrait"]
Transition = Literal["cut", "dissolve"]

FPS: Final = 24
DISSOLVE_SECONDS: Final = 0.5
FRAME_SIZES: Final[dict[str, tuple[int, int]]] = {  # (width, height) in pixels
    "landscape": (640, 384),
    "portrait": (384, 640),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """One person: everything that must look the same each time the person is seen."""

    character_id: str
    noun: str  # "woman", "man", "girl" or "boy"
    height: float  # scene units
    build: float  # 1.0 is average
    skin: Colour
    hair_style: str
    hair_name: str
    hair: Colour
    eyes: Colour
    brow: float  # thickness, 1.0 is average
    smile: float  # -1.0 to 1.0
    jaw: float  # 0.0 pointed to 1.0 square
    beard: str  # "none", "beard" or "moustache"
    glasses: str  # "none", "round" or "square"
    hat: str  # "none", "beanie", "cap" or "hat"
    hat_colour: Colour
    top: Pattern
    top_kind: str  # "shirt", "t-shirt", "dress" or "coat"
    top_name: str  # "red and white striped", ...
    bottom_kind: str  # "trousers", "skirt" or "shorts"
    bottom_name: str
    bottom: Colour
    shoes: Colour
    freckles: bool = False
    earrings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prop:
    """One fixed object of a place; (x, y) is the middle of its foot, or of itself on a wall."""

    kind: str
    name: str  # as a caption says it: "a poster that reads CAFE"
    x: float
    y: float
    size: float  # height in scene units
    first: Colour
    second: Colour
    seed: int
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One setting; the same every time it is shown."""

    place_id: str
    kind: str
    name: str  # "a cafe with a brick wall"
    width: float
    horizon: float  # where wall meets floor
    wall: str
    wall_colours: tuple[Colour, Colour]
    floor: str
    floor_colours: tuple[Colour, Colour]
    light: Colour  # multiplies everything seen here
    outdoors: bool
    props: tuple[Prop, ...]
    seed: int

    @property
    def has_wall(self) -> bool:
        """Whether there is a wall near enough to throw shadows on."""
        return not self.outdoors or self.wall == "brick"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraKey:
    """Where the camera looks at one moment; at zoom z the view is 1 / z units high."""

    seconds: float
    x: float
    y: float
    zoom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKey:
    """Where a person is at one moment and what the person does until the next key."""

    seconds: float
    x: float
    facing: float  # -1 left, 0 towards the camera, 1 right
    action: str  # "stand", "walk", "wave" or "talk"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonTrack:
    """One person in one shot; x is linear between keys."""

    character_id: str
    feet_y: float
    keys: tuple[PersonKey, ...]
    holding: str | None = None  # a thing of things_held.py
    holding_colour: Colour = (200, 60, 50)

    def at(self, seconds: float) -> tuple[PersonKey, float]:
        """The key in force at a time, and the person's x then."""
        index = max(0, bisect.bisect_right(self.keys, seconds, key=lambda k: k.seconds) - 1)
        key = self.keys[index]
        if index + 1 == len(self.keys):
            return key, key.x
        after = self.keys[index + 1]
        part = (seconds - key.seconds) / max(after.seconds - key.seconds, 1e-9)
        return key, key.x + (after.x - key.x) * min(max(part, 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoverTrack:
    """A thing that crosses the shot: it goes from one x to another at an even speed."""

    kind: str  # "car", "ball", "cat" or "bird"
    name: str
    colour: Colour
    y: float
    size: float
    start_seconds: float
    end_seconds: float
    start_x: float
    end_x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """[start_seconds, end_seconds) of the clip; `transition` is how the shot begins."""

    start_seconds: float
    end_seconds: float
    transition: Transition
    place_id: str
    framing: str  # "wide", "medium" or "close"
    move: str  # "pan", "pan_and_return", "push_in", "pull_out" or "follow"
    camera: tuple[CameraKey, ...]
    people: tuple[PersonTrack, ...]
    movers: tuple[MoverTrack, ...]
    caption: str
    is_return: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScript:
    """A whole clip, ready to be drawn at any size and frame rate."""

    seed: int
    index: int
    orientation: Orientation
    seconds: float
    shots: tuple[Shot, ...]
    places: tuple[Place, ...]
    cast: tuple[Character, ...]
    caption: str

    @property
    def name(self) -> str:
        """The clip's file name without its ending."""
        return f"clip_{self.index:03d}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the written file, in pixels."""
        return FRAME_SIZES[self.orientation]

    @property
    def num_frames(self) -> int:
        """Frames of the written file."""
        return round(self.seconds * FPS)

    def place(self, place_id: str) -> Place:
        """The place of that id."""
        return next(place for place in self.places if place.place_id == place_id)

    def character(self, character_id: str) -> Character:
        """The character of that id."""
        return next(one for one in self.cast if one.character_id == character_id)

    def shot_index(self, seconds: float) -> int:
        """Which shot a time lies in."""
        starts = [shot.start_seconds for shot in self.shots]
        return max(0, bisect.bisect_right(starts, seconds + 1e-6) - 1)
