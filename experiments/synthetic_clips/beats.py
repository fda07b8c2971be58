"""One beat of a story: a stretch of time at a place with its people, not yet a shot."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.synthetic_clips.script import (
    Character,
    Place,
    Transition,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person of a group, with what is always carried."""

    character: Character
    offset: float  # from the group's middle, scene units
    holding: str | None
    colour: tuple[int, int, int]


@dataclass(slots=True, kw_only=True)
class Setting:
    """A place with the people who belong to it."""

    place: Place
    home_x: float
    feet_y: float
    members: tuple[Member, ...]
    visits: int = field(default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One shot to be planned."""

    start: float
    end: float
    aspect: float
    setting: Setting
    is_return: bool
    transition: Transition
