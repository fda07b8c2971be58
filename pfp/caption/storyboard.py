"""A storyboard: captions for spans of a video, as a value, as a file, and by time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from pfp.errors import SchemaError
from pfp.limits import MAX_SHOTS
from pfp.schema.storyboard import CaptionedShot
from pfp.texts import listed, quoted
from pfp.vlm import parse_object

SCHEMA_VERSION: Final = 1
KEYS: Final = frozenset({"schema_version", "global_caption", "shots"})
SHOT_KEYS: Final = frozenset({"start_seconds", "end_seconds", "caption"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryShot:
    """A caption for ``[start_seconds, end_seconds)``, counted from the video's first frame."""

    start_seconds: float
    end_seconds: float
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Storyboard:
    """Captions in order of time, and one for the whole."""

    shots: tuple[StoryShot, ...]
    global_caption: str | None = None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The storyboard in a file's text.

        Only the format is checked, not whether the times make sense. Raises SchemaError for text
        that is not JSON, another version, unknown or missing keys, and values of another kind.
        """
        try:
            value = parse_object(text)
        except ValueError as error:
            raise SchemaError(f"the storyboard is not valid JSON: {error}") from error
        return cls.from_object(value)

    @classmethod
    def from_object(cls, value: Mapping[str, Any]) -> Self:
        """The storyboard in a JSON object; SchemaError as in ``from_json``."""
        version = value.get("schema_version")
        if version != SCHEMA_VERSION or isinstance(version, bool):
            raise SchemaError(
                f"schema_version is {quoted(version)}; this pfp reads storyboards of version "
                f"{SCHEMA_VERSION}"
            )
        require_keys("the storyboard", value, KEYS, optional=frozenset({"global_caption"}))
        global_caption = value.get("global_caption")
        if global_caption is not None and not isinstance(global_caption, str):
            raise SchemaError(f"global_caption is {quoted(global_caption)}; write text or null")
        shots = tuple(_shot(k, shot) for k, shot in enumerate(require_shots(value)))
        return cls(shots=shots, global_caption=global_caption)

    def within(self, start_seconds: float, end_seconds: float) -> Self:
        """What it says of a part of the video: the shots that reach into it, cut to it."""
        inside = (
            replace(
                shot,
                start_seconds=max(shot.start_seconds, start_seconds),
                end_seconds=min(shot.end_seconds, end_seconds),
            )
            for shot in self.shots
        )
        shots = tuple(shot for shot in inside if shot.start_seconds < shot.end_seconds)
        return replace(self, shots=shots)

    def to_json(self) -> str:
        """The file's text; ``from_json`` gives the same storyboard back."""
        value = {"schema_version": SCHEMA_VERSION, "global_caption": self.global_caption}
        return json.dumps({**value, "shots": self.to_rows()}, indent=2, allow_nan=False)

    def to_rows(self) -> list[CaptionedShot]:
        """The shots as ``StoryboardRecord.shots`` has them."""
        return [
            CaptionedShot(
                start_seconds=shot.start_seconds,
                end_seconds=shot.end_seconds,
                caption=shot.caption,
            )
            for shot in self.shots
        ]


def require_keys(
    what: str,
    value: Mapping[str, Any],
    keys: frozenset[str],
    optional: frozenset[str] = frozenset(),
) -> None:
    """Raise SchemaError for keys that are missing or unknown."""
    if missing := sorted(keys - optional - value.keys()):
        raise SchemaError(f"{what} has no {', '.join(missing)}")
    if unknown := sorted(value.keys() - keys):
        raise SchemaError(f"{what} has unknown keys {listed(unknown)}; remove them")


def require_shots(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The list under "shots"; SchemaError when it is not a list of 1 to ``MAX_SHOTS`` objects."""
    shots = value.get("shots")
    if not isinstance(shots, list) or not shots:
        raise SchemaError("shots is not a list of one or more shots")
    if len(shots) > MAX_SHOTS:
        raise SchemaError(f"shots has {len(shots)} shots, more than {MAX_SHOTS}; write fewer")
    for k, shot in enumerate(shots):
        if not isinstance(shot, Mapping):
            raise SchemaError(f"shots[{k}] is a {type(shot).__name__}, not an object")
    return shots


def require_caption(k: int, shot: Mapping[str, Any]) -> str:
    """The caption of shot ``k``; SchemaError when it is not text."""
    caption = shot["caption"]
    if not isinstance(caption, str):
        raise SchemaError(f"shots[{k}].caption is {quoted(caption)}; write text")
    return caption


def _shot(k: int, shot: Mapping[str, Any]) -> StoryShot:
    require_keys(f"shots[{k}]", shot, SHOT_KEYS)
    return StoryShot(
        start_seconds=_seconds(k, shot, "start_seconds"),
        end_seconds=_seconds(k, shot, "end_seconds"),
        caption=require_caption(k, shot),
    )


def _seconds(k: int, shot: Mapping[str, Any], key: str) -> float:
    value = shot[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # 1e999 is valid JSON, and so is an integer that no float can hold.
    if not is_number or abs(value) > 1e9 or not math.isfinite(value):
        raise SchemaError(f"shots[{k}].{key} is {quoted(value)}; write seconds as a number")
    return float(value)
