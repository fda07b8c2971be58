"""Turns a script into frames, at any size and frame rate.

What does not change is drawn once and kept: each place at one scale, each person in each pose.
A frame is then a crop of the place, a few pasted sprites, a vignette and some grain.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from experiments.synthetic_clips import movers, people
from experiments.synthetic_clips.backdrop import ground_shadow, paint_place
from experiments.synthetic_clips.motion import View, camera_view, person_bob, pose_at
from experiments.synthetic_clips.people import PersonArtist, Pose, shadow_of
from experiments.synthetic_clips.script import (
    DISSOLVE_SECONDS,
    ClipScript,
    MoverTrack,
    PersonTrack,
    Place,
    Shot,
)
from pfp.errors import InputError

PLACE_DETAIL: Final = 1.3  # a place is painted this much finer than a frame at zoom 1
CLOSE_ZOOM: Final = 1.9  # from here on the place lies out of focus and legs are out of view
GRAIN: Final = 2.6  # standard deviation, in 8-bit code values
CLOSE_BOTTOM: Final = -0.30  # lowest part of a person drawn for a close view, person units

Box = tuple[float, float, float, float]


def render_frames(
    script: ClipScript,
    *,
    height: int,
    width: int,
    fps: float = 24.0,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Frames at the times k / fps within [start_seconds, end_seconds), uint8 RGB (H, W, 3).

    A frame depends only on its time and size, never on the span that was asked for.
    Raises InputError for a size, rate or span that cannot be drawn.
    """
    end = script.seconds if end_seconds is None else end_seconds
    if min(height, width) < 16 or fps <= 0 or not 0 <= start_seconds <= end <= script.seconds:
        raise InputError(
            f"cannot draw {width}x{height} at {fps} fps over [{start_seconds}, {end}) s:"
            f" sides start at 16 pixels, fps above 0, times lie in [0, {script.seconds}]"
        )
    return _frames(_Stage(script, height=height, width=width), fps, start_seconds, end)


def _frames(stage: _Stage, fps: float, start: float, end: float) -> Iterator[NDArray[np.uint8]]:
    for k in range(math.ceil(start * fps - 1e-6), math.ceil(end * fps - 1e-6)):
        yield stage.frame(k / fps)


class _Stage:
    """One clip at one frame size."""

    def __init__(self, script: ClipScript, *, height: int, width: int) -> None:
        self._script = script
        self._size = (width, height)
        self._places: dict[str, Image.Image] = {}
        self._scenes: dict[int, _Scene] = {}

    def frame(self, seconds: float) -> NDArray[np.uint8]:
        """The finished frame at a time."""
        index = self._script.shot_index(seconds)
        shot = self._script.shots[index]
        image = self._scene(index).graded(seconds)
        since = seconds - shot.start_seconds
        if shot.transition == "dissolve" and since < DISSOLVE_SECONDS:
            before = self._scene(index - 1).graded(seconds)
            image = Image.blend(before, image, since / DISSOLVE_SECONDS)
        return np.asarray(_add_grain(image, seconds))

    def _scene(self, index: int) -> _Scene:
        if index not in self._scenes:
            # A scene's sprites are large; only neighbours in time are needed together.
            for old in [key for key in self._scenes if abs(key - index) > 1]:
                del self._scenes[old]
            shot = self._script.shots[index]
            self._scenes[index] = _Scene(
                self._script, shot, self._place_image(shot.place_id), self._size
            )
        return self._scenes[index]

    def _place_image(self, place_id: str) -> Image.Image:
        if place_id not in self._places:
            scale = PLACE_DETAIL * self._size[1]
            place = self._script.place(place_id)
            self._places[place_id] = paint_place(place, pixels_per_unit=scale)
        return self._places[place_id]


class _Scene:
    """One shot at one frame size, with everything it has drawn so far."""

    def __init__(
        self, script: ClipScript, shot: Shot, place_image: Image.Image, size: tuple[int, int]
    ) -> None:
        self._script = script
        self._shot = shot
        self._place = script.place(shot.place_id)
        self._size = size
        self._zoom = max(key.zoom for key in shot.camera)
        self._is_close = min(key.zoom for key in shot.camera) >= CLOSE_ZOOM
        self._backdrop = place_image
        if self._is_close:
            blur = 0.0045 * place_image.height
            self._backdrop = place_image.filter(ImageFilter.GaussianBlur(blur))
        self._grade = _grade(size, self._place)
        self._artists: dict[str, PersonArtist] = {}
        self._people: dict[tuple[str, Pose], Image.Image] = {}
        self._movers: dict[tuple[str, int], Image.Image] = {}

    def graded(self, seconds: float) -> Image.Image:
        """The graded frame before grain, RGB."""
        width, height = self._size
        view = camera_view(self._shot, self._place, seconds, width / height)
        scale_x = self._backdrop.width / self._place.width
        scale_y = self._backdrop.height
        box = (view[0] * scale_x, view[1] * scale_y, view[2] * scale_x, view[3] * scale_y)
        image = self._backdrop.resize(self._size, Image.Resampling.BICUBIC, box=box)
        layers: list[tuple[float, PersonTrack | MoverTrack]] = []
        layers += [(track.feet_y, track) for track in self._shot.people]
        layers += [(track.y, track) for track in self._shot.movers]
        for _, track in sorted(layers, key=lambda layer: layer[0]):
            if isinstance(track, PersonTrack):
                self._paste_person(image, track, seconds, view)
            else:
                self._paste_mover(image, track, seconds, view)
        return ImageChops.multiply(image, self._grade)

    def _paste_person(
        self, image: Image.Image, track: PersonTrack, seconds: float, view: View
    ) -> None:
        character = self._script.character(track.character_id)
        size = character.height
        x = track.at(seconds)[1]
        bottom = CLOSE_BOTTOM if self._is_close else people.BOX[3]
        left, right = x + people.BOX[0] * size, x + people.BOX[2] * size
        if right <= view[0] or left >= view[2]:
            return
        if not self._is_close:
            self._paste_shadow(image, x, track.feet_y, 0.30 * size, view)
        lift = person_bob(track, character, seconds)
        breath = 1.0 + 0.003 * math.sin(1.9 * seconds + size * 40)
        top = track.feet_y + people.BOX[1] * size * breath - lift
        sprite = self._person_sprite(track, pose_at(track, character, seconds))
        _paste(image, sprite, (left, top, right, track.feet_y + bottom * size - lift), view)

    def _person_sprite(self, track: PersonTrack, pose: Pose) -> Image.Image:
        key = (track.character_id, pose)
        if key not in self._people:
            character = self._script.character(track.character_id)
            scale = self._size[1] * self._zoom * character.height * (1.0 if self._is_close else 1.1)
            if track.character_id not in self._artists:
                self._artists[track.character_id] = PersonArtist(
                    character,
                    pixels_per_unit=scale,
                    bottom=CLOSE_BOTTOM if self._is_close else people.BOX[3],
                )
            drawn = self._artists[track.character_id].draw(pose)
            if self._place.has_wall:
                drawn = _with_wall_shadow(drawn, scale)
            self._people[key] = drawn.convert("RGBa")
        return self._people[key]

    def _paste_mover(
        self, image: Image.Image, track: MoverTrack, seconds: float, view: View
    ) -> None:
        x, size = movers.mover_x(track, seconds), track.size
        left, right = x + movers.BOX[0] * size, x + movers.BOX[2] * size
        if right <= view[0] or left >= view[2]:
            return
        phase = movers.mover_phase(track, seconds)
        key = (track.name, phase)
        if key not in self._movers:
            scale = self._size[1] * self._zoom * size * 1.1
            drawn = movers.draw_mover(track, phase, pixels_per_unit=scale)
            self._movers[key] = drawn.convert("RGBa")
        lift = movers.mover_lift(track, seconds)
        if track.kind != "bird":
            half = (1.15 if track.kind == "car" else 0.6) * size
            self._paste_shadow(image, x, track.y, half, view)
        top, bottom = track.y + movers.BOX[1] * size, track.y + movers.BOX[3] * size
        _paste(image, self._movers[key], (left, top - lift, right, bottom - lift), view)

    def _paste_shadow(
        self, image: Image.Image, x: float, y: float, half_width: float, view: View
    ) -> None:
        scale = self._size[1] / (view[3] - view[1])
        mask = ground_shadow(_even(2 * half_width * scale), _even(0.055 * scale), 0.55)
        left = round((x - view[0]) * scale) - mask.width // 2
        top = round((y - view[1]) * scale) - mask.height // 2
        image.paste((14, 10, 24), (left, top, left + mask.width, top + mask.height), mask)


def _even(length: float) -> int:
    return max(4, 2 * round(length / 2))


def _paste(image: Image.Image, sprite: Image.Image, place: Box, view: View) -> None:
    """Paste a premultiplied sprite that covers `place` (scene units), at sub-pixel accuracy."""
    scale = image.height / (view[3] - view[1])
    left, top = (place[0] - view[0]) * scale, (place[1] - view[1]) * scale
    right, bottom = (place[2] - view[0]) * scale, (place[3] - view[1]) * scale
    x0, y0 = max(0, math.ceil(left)), max(0, math.ceil(top))
    x1, y1 = min(image.width, math.floor(right)), min(image.height, math.floor(bottom))
    if x1 <= x0 or y1 <= y0:
        return
    fine_x, fine_y = sprite.width / (right - left), sprite.height / (bottom - top)
    box = (
        (x0 - left) * fine_x,
        (y0 - top) * fine_y,
        min(sprite.width, (x1 - left) * fine_x),
        min(sprite.height, (y1 - top) * fine_y),
    )
    part = sprite.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=box).convert("RGBA")
    image.paste(part, (x0, y0), part)


def _with_wall_shadow(sprite: Image.Image, scale: float) -> Image.Image:
    shadow = shadow_of(sprite, 0.018 * scale)
    offset = round(0.055 * scale)
    behind = Image.new("RGBA", sprite.size)
    behind.paste(shadow, (offset, round(0.2 * offset)))
    behind.putalpha(behind.getchannel("A").point([round(0.26 * v) for v in range(256)]))
    behind.alpha_composite(sprite)
    return behind


@functools.lru_cache(maxsize=16)
def _grade(size: tuple[int, int], place: Place) -> Image.Image:
    """What every frame here is multiplied by: the colour of the light and a vignette."""
    width, height = size
    y_H1 = np.linspace(-1.0, 1.0, height)[:, None]
    x_1W = np.linspace(-1.0, 1.0, width)[None, :]
    away_HW = (x_1W**2 + y_H1**2) / 2
    vignette_HW = 1.0 - 0.30 * np.clip(away_HW - 0.15, 0, 1) ** 1.3
    light_HWC = vignette_HW[..., None] * np.asarray(place.light, np.float64)
    return Image.fromarray(light_HWC.round().clip(0, 255).astype(np.uint8))


def _add_grain(image: Image.Image, seconds: float) -> Image.Image:
    width, height = image.size
    sheet = _grain_sheet(width, height)
    # Any frame rate gives the same grain at the same time.
    x, y = np.random.default_rng((round(seconds * 2400), 29)).integers(0, 64, 2).tolist()
    grain = sheet.crop((x, y, x + width, y + height))
    return ImageChops.add(image, grain, 1.0, -128)


@functools.lru_cache(maxsize=4)
def _grain_sheet(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng((width, height, 5))
    # Grain has a fixed size on the film: a small frame averages much of it away.
    spread = GRAIN * min(1.0, (height / 384) ** 0.5)
    noise_HW = rng.normal(128.0, spread, (height + 64, width + 64))
    grey = Image.fromarray(noise_HW.round().clip(0, 255).astype(np.uint8))
    return Image.merge("RGB", (grey, grey, grey))
