"""Paints a place: walls, floor, fixed objects and the light on them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from experiments.synthetic_clips import textures
from experiments.synthetic_clips.script import Place, Prop
from experiments.synthetic_clips.textures import Array, Patch
from experiments.synthetic_clips.things import THINGS, draw_prop

MIN_SCALE: Final = 200.0  # pixels per unit; below, the place is painted finer and reduced


def paint_place(place: Place, *, pixels_per_unit: float) -> Image.Image:
    """The whole place as an RGB image, `pixels_per_unit` pixels high."""
    finer = max(1, math.ceil(MIN_SCALE / pixels_per_unit))
    scale = pixels_per_unit * finer
    height, width = round(scale), round(place.width * scale)
    surfaces_HWC = _surfaces(place, height, width, scale)
    image = Image.fromarray((np.clip(surfaces_HWC, 0.0, 1.0) * 255).astype(np.uint8))
    image = _place_props(place, image, scale)
    return image.reduce(finer) if finer > 1 else image


def _surfaces(place: Place, height: int, width: int, scale: float) -> Array:
    split = round(place.horizon * scale)
    wall = Patch(height=split, width=width, pixels_per_unit=scale, seed=place.seed)
    floor = Patch(
        height=height - split,
        width=width,
        pixels_per_unit=scale,
        top=split / scale,
        seed=place.seed + 1,
    )
    wall_HWC = _wall(place, wall)
    floor_HWC = _floor(place, floor)
    if place.has_wall:
        _light_wall(place, wall_HWC, scale)
        depth = np.arange(floor_HWC.shape[0], dtype=np.float32) / scale
        floor_HWC *= (1.0 - 0.45 * np.exp(-depth / 0.025))[:, None, None]
        _draw_skirting(place, wall_HWC, scale)
    return np.concatenate([wall_HWC, floor_HWC])


def _wall(place: Place, patch: Patch) -> Array:
    first, second = place.wall_colours
    if place.wall == "brick":
        return textures.brick(patch, first)
    if place.wall == "tiles":
        return textures.tiles(patch, first, second)
    if place.wall == "wallpaper":
        return textures.wallpaper(patch, first, second)
    if place.wall == "panelling":
        return textures.panelling(patch, first)
    if place.wall == "hills":
        return textures.hills(patch, first, second)
    if place.wall == "sea":
        return textures.sea(patch, first, second)
    return textures.plaster(patch, first)


def _floor(place: Place, patch: Patch) -> Array:
    first, second = place.floor_colours
    centre = place.width / 2
    if place.floor == "planks":
        return textures.planks(patch, first, centre)
    if place.floor == "tiles":
        return textures.floor_tiles(patch, first, second, centre)
    if place.floor == "grass":
        return textures.grass(patch, first, centre)
    if place.floor == "sand":
        return textures.sand(patch, first, centre)
    return textures.pavement(patch, first, centre)


def _light_wall(place: Place, wall_HWC: Array, scale: float) -> None:
    """Darker towards the ceiling, with a few wide pools of light."""
    height, width = wall_HWC.shape[:2]
    y_H1 = (np.arange(height, dtype=np.float32) / height)[:, None]
    x_1W = (np.arange(width, dtype=np.float32) / scale)[None, :]
    rng = np.random.default_rng((place.seed, 3))
    light_HW = 0.86 + 0.13 * y_H1 + 0.0 * x_1W
    for centre in np.arange(0.3, place.width, 0.8) + rng.uniform(-0.2, 0.2):
        spread = rng.uniform(0.22, 0.4)
        light_HW += 0.16 * np.exp(-(((x_1W - centre) / spread) ** 2) - ((y_H1 - 0.45) / 0.5) ** 2)
    wall_HWC *= light_HW[..., None].astype(np.float32)


def _draw_skirting(place: Place, wall_HWC: Array, scale: float) -> None:
    if place.outdoors:
        return
    thick = max(2, round(0.030 * scale))
    board = np.asarray(place.wall_colours[1], np.float32) / 255 * 0.75 + 0.15
    bright = np.linspace(1.06, 0.86, thick, dtype=np.float32)
    wall_HWC[-thick:] = board * bright[:, None, None]
    wall_HWC[-thick] = np.minimum(board * 1.3, 1.0)
    wall_HWC[-thick - max(1, round(0.006 * scale)) : -thick] *= 0.72


def _place_props(place: Place, image: Image.Image, scale: float) -> Image.Image:
    for prop in place.props:
        pen, left, top = draw_prop(prop, pixels_per_unit=scale)
        x, y = round(left * scale), round(top * scale)
        on_wall = THINGS[prop.kind].on_wall
        if place.has_wall and prop.kind not in {"pendant", "lamp"}:
            offset = (0.010, 0.012) if on_wall else (0.022, 0.004)
            _cast_shadow(image, pen.canvas, (x, y), scale, offset)
        if not on_wall:
            _ground_shadow(image, prop.x, prop.y, THINGS[prop.kind].half_width * prop.size, scale)
        image.paste(pen.canvas, (x, y), pen.canvas)
        if prop.kind == "window" and not place.outdoors:
            _lay_window_light(image, prop, place.horizon, scale)
    return image


def _lay_window_light(image: Image.Image, prop: Prop, horizon: float, scale: float) -> None:
    """Two slanted panes of sunlight on the floor below a window."""
    coarse = max(1, round(scale / 100))
    mask = Image.new("L", (image.width // coarse, image.height // coarse))
    draw = ImageDraw.Draw(mask)
    for left, right in ((-0.17, -0.015), (0.015, 0.17)):
        corners = ((left, 0.02), (right, 0.02), (right + 0.16, 0.20), (left + 0.12, 0.20))
        draw.polygon(
            [((prop.x + x) * scale / coarse, (horizon + y) * scale / coarse) for x, y in corners],
            fill=78,
        )
    soft = mask.filter(ImageFilter.GaussianBlur(0.012 * scale / coarse))
    image.paste((255, 236, 188), (0, 0), soft.resize(image.size))


def _cast_shadow(
    image: Image.Image,
    sprite: Image.Image,
    corner: tuple[int, int],
    scale: float,
    offset: tuple[float, float],
) -> None:
    pad = max(2, round(0.03 * scale))
    wide = (sprite.width + 2 * pad, sprite.height + 2 * pad)
    alpha = Image.new("L", wide)
    alpha.paste(sprite.getchannel("A"), (pad, pad))
    coarse = max(1, round(0.004 * scale))
    blurred = alpha.reduce(coarse).filter(ImageFilter.GaussianBlur(0.011 * scale / coarse))
    mask = Image.blend(Image.new("L", blurred.size), blurred, 0.42).resize(wide)
    where = (
        corner[0] - pad + round(offset[0] * scale),
        corner[1] - pad + round(offset[1] * scale),
    )
    image.paste((22, 14, 34), (*where, where[0] + wide[0], where[1] + wide[1]), mask)


def _ground_shadow(image: Image.Image, x: float, y: float, half_width: float, scale: float) -> None:
    mask = ground_shadow(round(1.7 * half_width * scale), round(0.055 * scale), 0.5)
    left, top = round(x * scale) - mask.width // 2, round(y * scale) - mask.height // 2
    box = (left, top, left + mask.width, top + mask.height)
    image.paste((14, 10, 24), box, mask)


def ground_shadow(width: int, height: int, strength: float) -> Image.Image:
    """The soft dark ellipse under something that stands on a floor, as an L mask."""
    y_H1 = np.linspace(-1.0, 1.0, max(3, height))[:, None]
    x_1W = np.linspace(-1.0, 1.0, max(3, width))[None, :]
    dark_HW = np.clip(1.0 - np.hypot(x_1W, y_H1), 0.0, 1.0) ** 0.8
    return Image.fromarray((255 * strength * dark_HW).astype(np.uint8))
