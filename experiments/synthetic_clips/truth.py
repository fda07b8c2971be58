"""What a script shows, as JSON: the ground truth of a clip and its storyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from experiments.synthetic_clips import movers, phrases
from experiments.synthetic_clips.motion import View, camera_view
from experiments.synthetic_clips.script import (
    DISSOLVE_SECONDS,
    FPS,
    Character,
    ClipScript,
    MoverTrack,
    PersonTrack,
    Place,
    Shot,
)
from experiments.synthetic_clips.things import prop_box

SCHEMA_VERSION: Final = 1
RENDERER_VERSION: Final = 1  # raise it when the same script gives other frames
NUM_MOMENTS: Final = 5  # per shot, from its first to its last frame
PERSON_HALF_WIDTH: Final = 0.17  # of the body height, arms at rest
SMALLEST_PART: Final = 0.25  # a thing of which less is in view counts as out of view

Json = dict[str, object]
Box = tuple[float, float, float, float]


def storyboard(script: ClipScript) -> Json:
    """Captions of the shots, in order, without gaps or overlap, over the whole clip."""
    shots = [
        {
            "start_seconds": shot.start_seconds,
            "end_seconds": shot.end_seconds,
            "caption": shot.caption,
        }
        for shot in script.shots
    ]
    return {"schema_version": SCHEMA_VERSION, "global_caption": script.caption, "shots": shots}


def ground_truth(script: ClipScript) -> Json:
    """Everything a measurement of the clip should find.

    Boxes are [left, top, right, bottom] in parts of the frame, [0, 1]; null means out of view.
    `cuts` are the times of the first frame after each hard cut.
    """
    width, height = script.size
    dissolves = [shot for shot in script.shots if shot.transition == "dissolve"]
    return {
        "schema_version": SCHEMA_VERSION,
        "renderer_version": RENDERER_VERSION,
        "name": script.name,
        "seed": script.seed,
        "index": script.index,
        "orientation": script.orientation,
        "fps": FPS,
        "width": width,
        "height": height,
        "seconds": script.seconds,
        "num_frames": script.num_frames,
        "cuts": [shot.start_seconds for shot in script.shots[1:] if shot.transition == "cut"],
        "dissolves": [
            {
                "start_seconds": shot.start_seconds,
                "end_seconds": shot.start_seconds + DISSOLVE_SECONDS,
            }
            for shot in dissolves
        ],
        "cast": [_character(one) for one in script.cast],
        "places": [_place(place) for place in script.places],
        "shots": [_shot(script, shot) for shot in script.shots],
    }


def _character(one: Character) -> Json:
    return {
        "character_id": one.character_id,
        "description": phrases.article(phrases.looks(one)),
        "hair": one.hair_name,
        "clothes": phrases.clothes(one),
        "glasses": one.glasses,
        "beard": one.beard,
        "hat": one.hat,
    }


def _place(place: Place) -> Json:
    return {"place_id": place.place_id, "kind": place.kind, "description": place.name}


def _shot(script: ClipScript, shot: Shot) -> Json:
    moments = _moments(shot)
    place = script.place(shot.place_id)
    aspect = script.size[0] / script.size[1]
    views = [camera_view(shot, place, seconds, aspect) for seconds in moments]
    objects: list[Json] = []
    for prop in place.props:
        boxes = [_in_view(prop_box(prop), view) for view in views]
        if any(boxes):
            seen = {"name": prop.name, "kind": prop.kind, "text": prop.text}
            objects.append({**seen, "boxes": boxes})
    for mover in shot.movers:
        boxes = _boxes(moments, views, _mover_box(mover))
        objects.append({"name": mover.name, "kind": mover.kind, "text": None, "boxes": boxes})
    people = [
        {
            "character_id": track.character_id,
            "holding": track.holding,
            "boxes": _boxes(moments, views, _person_box(script, track)),
        }
        for track in shot.people
    ]
    return {
        "start_seconds": shot.start_seconds,
        "end_seconds": shot.end_seconds,
        "transition": shot.transition,
        "place_id": shot.place_id,
        "is_return": shot.is_return,
        "framing": shot.framing,
        "camera": shot.move,
        "moments_seconds": moments,
        "people": people,
        "objects": objects,
        "printed_text": [seen["text"] for seen in objects if seen["text"] is not None],
    }


def _moments(shot: Shot) -> list[float]:
    last = shot.end_seconds - 1 / FPS
    step = (last - shot.start_seconds) / (NUM_MOMENTS - 1)
    return [round(shot.start_seconds + k * step, 6) for k in range(NUM_MOMENTS)]


def _boxes(
    moments: list[float], views: list[View], box_at: Callable[[float], Box]
) -> list[list[float] | None]:
    return [_in_view(box_at(seconds), view) for seconds, view in zip(moments, views, strict=True)]


def _person_box(script: ClipScript, track: PersonTrack) -> Callable[[float], Box]:
    height = script.character(track.character_id).height

    def box(seconds: float) -> Box:
        x = track.at(seconds)[1]
        half = PERSON_HALF_WIDTH * height
        return x - half, track.feet_y - height, x + half, track.feet_y

    return box


def _mover_box(track: MoverTrack) -> Callable[[float], Box]:
    def box(seconds: float) -> Box:
        x, lift = movers.mover_x(track, seconds), movers.mover_lift(track, seconds)
        half = (0.5 if track.kind == "ball" else 1.0) * track.size
        return x - half, track.y - lift - track.size, x + half, track.y - lift

    return box


def _in_view(box: Box, view: View) -> list[float] | None:
    """The box in parts of the frame, cut at its edges; None if too little of it is in view."""
    width, height = view[2] - view[0], view[3] - view[1]
    left, right = max(box[0], view[0]), min(box[2], view[2])
    top, bottom = max(box[1], view[1]), min(box[3], view[3])
    area = (box[2] - box[0]) * (box[3] - box[1])
    if right <= left or bottom <= top or (right - left) * (bottom - top) < SMALLEST_PART * area:
        return None
    return [
        round((left - view[0]) / width, 4),
        round((top - view[1]) / height, 4),
        round((right - view[0]) / width, 4),
        round((bottom - view[1]) / height, 4),
    ]
