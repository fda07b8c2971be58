"""Writes the captions of shots and of the clip."""

from __future__ import annotations

from typing import Final

from experiments.synthetic_clips import phrases
from experiments.synthetic_clips.beats import Beat, Member, Setting
from experiments.synthetic_clips.motion import camera_view
from experiments.synthetic_clips.script import (
    Prop,
    Shot,
)
from experiments.synthetic_clips.things import prop_box


def caption_shot(beat: Beat, shot: Shot, action: str, focus: Member | None) -> str:
    """One sentence: who does what, where, near what, and what the camera does."""
    members = beat.setting.members if focus is None else (focus,)
    looks = [phrases.looks(member.character) for member in members]
    if beat.is_return:
        who = phrases.listed([f"the same {look}" for look in looks])
    else:
        who = phrases.listed([phrases.article(look) for look in looks])
    held = "" if action == "close" else _held_words(members)
    verb = _verb(action, beat.setting.members, focus)
    place = beat.setting.place
    where = "" if beat.is_return else f" {phrases.setting(place.kind, place.name)}"
    again = f"{phrases.setting_again(place.kind, place.name)}, " if beat.is_return else ""
    seen = _visible(beat, shot)
    near = f", near {phrases.surroundings(seen)}" if seen and shot.framing != "close" else ""
    passing = "".join(f" while {m.name} {_PASSES[m.kind]}" for m in shot.movers)
    start_x = shot.camera[0].x
    furthest = max(shot.camera, key=lambda key: abs(key.x - start_x)).x
    moves = phrases.camera_words(shot.move, "right" if furthest >= start_x else "left")
    opening = "close-up: " if shot.framing == "close" else ""
    return phrases.sentence(f"{opening}{again}{who}{held} {verb}{where}{near}{passing}; {moves}")


_PASSES: Final = {
    "car": "drives past",
    "ball": "bounces by",
    "cat": "strolls past",
    "bird": "flies over",
}


def _verb(action: str, group: tuple[Member, ...], focus: Member | None) -> str:
    if focus is None and len(group) > 1:
        return "turn to the camera and wave" if action == "wave" else "talk to each other"
    if action == "walk" and len(group) > 1:
        waiting = next(member for member in group if member is not focus)
        other = phrases.article(phrases.looks(waiting.character))
        return f"walks up to {other}, stops and turns to the camera"
    return {
        "wave": "turns to the camera and waves",
        "close": "turns to the camera, speaks and looks away",
        "walk": "walks in, stops and turns to the camera",
    }.get(action, "looks around and speaks")


_HELD_NAMES: Final = {"flowers": "a bunch of flowers", "umbrella": "an umbrella"}


def _held_words(members: tuple[Member, ...]) -> str:
    carried = [(m, _HELD_NAMES.get(m.holding, f"a {m.holding}")) for m in members if m.holding]
    if not carried:
        return ""
    if len(members) == 1:
        return f", holding {carried[0][1]},"
    return (
        f", {phrases.listed([f'the {m.character.noun} holding {thing}' for m, thing in carried])},"
    )


def _visible(beat: Beat, shot: Shot) -> list[Prop]:
    """Props that lie wholly in view at the start, the middle or the end of the shot."""
    seen: list[Prop] = []
    for part in (0.02, 0.5, 0.98):
        t = shot.start_seconds + part * (shot.end_seconds - shot.start_seconds)
        left, top, right, bottom = camera_view(shot, beat.setting.place, t, beat.aspect)
        for prop in beat.setting.place.props:
            box = prop_box(prop)
            inside = (
                box[0] >= left
                and box[2] <= right
                and box[1] >= top - 0.02
                and box[3] <= bottom + 0.02
            )
            if inside and prop not in seen:
                seen.append(prop)
    return seen


def caption_clip(settings: list[Setting]) -> str:
    """One sentence about the whole clip."""
    first = settings[0]
    names = phrases.listed([phrases.article(phrases.looks(m.character)) for m in first.members])
    others = phrases.listed([setting.place.name for setting in settings[1:]])
    return phrases.sentence(
        f"{names} meet {phrases.setting(first.place.kind, first.place.name)}; the film cuts to"
        f" {others} and returns to the two of them"
    )
