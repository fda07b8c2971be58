"""A pen that paints smooth, softly shaded shapes in scene units.

Light comes from the upper left. Coordinates are (x, y) with y downward.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

Point = tuple[float, float]
Colour = tuple[int, int, int]

OVERSAMPLE: Final = 4  # masks are drawn this much finer and averaged: smooth edges
SMALLEST_SHADED: Final = 6  # pixels; less than this cannot look round
BLUR_CELLS: Final = 48  # shading is blurred on at most about this many cells across


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A printed cloth: plain, stripes, pinstripes, dots, checks or plaid; period in scene units."""

    kind: str
    first: Colour
    second: Colour
    period: float = 0.05


def mix(first: Colour, second: Colour, amount: float) -> Colour:
    """The colour `amount` of the way from first to second; amount in [0, 1]."""
    r, g, b = (round(a + (z - a) * amount) for a, z in zip(first, second, strict=True))
    return r, g, b


def darker(colour: Colour, amount: float = 0.35) -> Colour:
    """The colour towards a cool black."""
    return mix(colour, (18, 12, 34), amount)


def lighter(colour: Colour, amount: float = 0.35) -> Colour:
    """The colour towards a warm white."""
    return mix(colour, (255, 250, 238), amount)


def ellipse(cx: float, cy: float, rx: float, ry: float, *, tilt: float = 0.0) -> list[Point]:
    """Corners of a filled ellipse; tilt in radians."""
    cosine, sine = math.cos(tilt), math.sin(tilt)
    corners = []
    for step in range(36):
        x = rx * math.cos(step * math.pi / 18)
        y = ry * math.sin(step * math.pi / 18)
        corners.append((cx + x * cosine - y * sine, cy + x * sine + y * cosine))
    return corners


def rectangle(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Corners of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> list[Point]:
    """Corners of an upright rectangle with rounded corners."""
    radius = min(radius, (right - left) / 2, (bottom - top) / 2)
    centres = (
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
        (right - radius, top + radius, 270),
    )
    corners = []
    for cx, cy, start in centres:
        for step in range(7):
            angle = math.radians(start + step * 15)
            corners.append((cx + radius * math.cos(angle), cy + radius * math.sin(angle)))
    return corners


def smooth(points: Sequence[Point], *, closed: bool = True, steps: int = 6) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    count = len(points)
    curve: list[Point] = []
    for index in range(count if closed else count - 1):
        if closed:
            around = [points[(index + offset) % count] for offset in (-1, 0, 1, 2)]
        else:
            around = [points[min(max(index + offset, 0), count - 1)] for offset in (-1, 0, 1, 2)]
        curve.extend(_catmull_rom(around, step / steps) for step in range(steps))
    if not closed:
        curve.append(points[-1])
    return curve


def _catmull_rom(around: Sequence[Point], t: float) -> Point:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = around
    a, b = -0.5 * t + t * t - 0.5 * t**3, 1 - 2.5 * t * t + 1.5 * t**3
    c, d = 0.5 * t + 2 * t * t - 1.5 * t**3, -0.5 * t * t + 0.5 * t**3
    return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy


class Pen:
    """Paints on a transparent canvas that covers [left, right) x [top, bottom) scene units."""

    def __init__(
        self, left: float, top: float, right: float, bottom: float, *, pixels_per_unit: float
    ) -> None:
        self.left = left
        self.top = top
        self.scale = pixels_per_unit
        size = (
            max(2, math.ceil((right - left) * pixels_per_unit)),
            max(2, math.ceil((bottom - top) * pixels_per_unit)),
        )
        self.canvas = Image.new("RGBA", size)

    def fill(
        self,
        points: Sequence[Point],
        paint: Colour | Pattern,
        *,
        shade: float = 0.4,
        outline: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Fill a polygon; `shade` in [0, 1] rounds it, `outline` is a width in units."""
        if outline:
            self._lay(self._mask(points, None, outline), _edge_colour(paint), 0.0, opacity)
        self._lay(self._mask(points, None, 0.0), paint, shade, opacity)

    def stroke(
        self,
        points: Sequence[Point],
        width: float,
        paint: Colour | Pattern,
        *,
        shade: float = 0.0,
        outline: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Draw a round-ended line of a width in units through the points."""
        if outline:
            mask = self._mask(points, width + 2 * outline, 0.0)
            self._lay(mask, _edge_colour(paint), 0.0, opacity)
        self._lay(self._mask(points, width, 0.0), paint, shade, opacity)

    def glow(self, cx: float, cy: float, radius: float, colour: Colour, opacity: float) -> None:
        """A soft round light (or a soft dark, for a dark colour)."""
        half = max(1, round(radius * self.scale))
        disc = _soft_disc().resize((2 * half, 2 * half), Image.Resampling.BILINEAR)
        x, y = round((cx - self.left) * self.scale), round((cy - self.top) * self.scale)
        layer = Image.new("RGBA", disc.size, colour)
        layer.putalpha(faded(disc, opacity))
        self._composite(layer, x - half, y - half)

    def text(
        self,
        words: str,
        cx: float,
        cy: float,
        height: float,
        colour: Colour,
        *,
        max_width: float,
        bold: bool = True,
    ) -> None:
        """Print words centred at (cx, cy), `height` units high, no wider than max_width."""
        label = _print(words, 96, bold=bold)  # one master size: the same look at every scale
        label_height = height * self.scale
        label_width = label.width * label_height / label.height
        fit = min(1.0, max_width * self.scale / label_width)
        size = (max(1, round(label_width * fit)), max(1, round(label_height * fit)))
        mask = label.resize(size, Image.Resampling.LANCZOS)
        layer = Image.new("RGBA", size, colour)
        layer.putalpha(mask)
        x, y = (cx - self.left) * self.scale, (cy - self.top) * self.scale
        self._composite(layer, round(x - size[0] / 2), round(y - size[1] / 2))

    def _mask(
        self, points: Sequence[Point], width: float | None, grow: float
    ) -> tuple[Image.Image, int, int] | None:
        pixels = [((x - self.left) * self.scale, (y - self.top) * self.scale) for x, y in points]
        reach = ((width or 0.0) / 2 + grow) * self.scale + 1
        x0 = max(0, math.floor(min(x for x, _ in pixels) - reach))
        y0 = max(0, math.floor(min(y for _, y in pixels) - reach))
        x1 = min(self.canvas.width, math.ceil(max(x for x, _ in pixels) + reach))
        y1 = min(self.canvas.height, math.ceil(max(y for _, y in pixels) + reach))
        if x1 <= x0 or y1 <= y0:
            return None
        over = OVERSAMPLE
        fine = Image.new("L", ((x1 - x0) * over, (y1 - y0) * over))
        draw = ImageDraw.Draw(fine)
        corners = [((x - x0) * over, (y - y0) * over) for x, y in pixels]
        if width is None:
            draw.polygon(corners, fill=255)
            if grow:
                _draw_stroke(draw, [*corners, corners[0]], 2 * grow * self.scale * over)
        else:
            _draw_stroke(draw, corners, width * self.scale * over)
        return fine.reduce(over), x0, y0

    def _lay(
        self,
        placed: tuple[Image.Image, int, int] | None,
        paint: Colour | Pattern,
        shade: float,
        opacity: float,
    ) -> None:
        if placed is None:
            return
        mask, x0, y0 = placed
        if isinstance(paint, Pattern):
            layer = _cloth(paint, self.scale, mask.size, (x0, y0))
        else:
            layer = Image.new("RGB", mask.size, paint)
        if shade and min(mask.size) >= SMALLEST_SHADED:
            layer = _round_off(layer, mask, shade)
        if opacity < 1.0:
            mask = faded(mask, opacity)
        layer.putalpha(mask)
        self.canvas.alpha_composite(layer, (x0, y0))

    def _composite(self, layer: Image.Image, x: int, y: int) -> None:
        left, top = max(0, -x), max(0, -y)
        right = min(layer.width, self.canvas.width - x)
        bottom = min(layer.height, self.canvas.height - y)
        if right > left and bottom > top:
            visible = layer.crop((left, top, right, bottom))
            self.canvas.alpha_composite(visible, (x + left, y + top))


def _edge_colour(paint: Colour | Pattern) -> Colour:
    return darker(paint.first if isinstance(paint, Pattern) else paint, 0.55)


def _draw_stroke(draw: ImageDraw.ImageDraw, corners: Sequence[Point], width: float) -> None:
    thickness = max(1, round(width))
    draw.line(list(corners), fill=255, width=thickness, joint="curve")
    radius = thickness / 2
    for x, y in (corners[0], corners[-1]):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _round_off(layer: Image.Image, mask: Image.Image, shade: float) -> Image.Image:
    """Darken the lower right inside edge and light the upper left one, softly."""
    cells = max(1, min(mask.size) // BLUR_CELLS)
    coarse = mask.reduce(cells) if cells > 1 else mask
    radius = 0.16 * min(coarse.size)
    pad = math.ceil(2 * radius) + 1
    width, height = coarse.size
    padded = coarse.crop((-pad, -pad, width + pad, height + pad))
    blurred = padded.filter(ImageFilter.GaussianBlur(radius))
    shift = round(radius * 0.9)

    def moved(offset: int) -> Image.Image:
        box = (pad + offset, pad + offset, pad + offset + width, pad + offset + height)
        return blurred.crop(box).resize(mask.size, Image.Resampling.BILINEAR)

    depth = 0.75 * shade
    inside = moved(shift)
    white = Image.new("L", mask.size, 255)
    warm = Image.blend(white, inside, depth)
    factor = Image.merge("RGB", (warm, warm, Image.blend(white, inside, 0.8 * depth)))
    shine = faded(ImageChops.invert(moved(-shift)), 0.43 * shade)
    lit = Image.merge("RGB", (shine, shine, shine))
    return ImageChops.screen(ImageChops.multiply(layer, factor), lit)


def faded(mask: Image.Image, opacity: float) -> Image.Image:
    """The mask times an opacity in [0, 1]."""
    return Image.blend(Image.new(mask.mode, mask.size), mask, opacity)


def _cloth(
    pattern: Pattern, scale: float, size: tuple[int, int], corner: tuple[int, int]
) -> Image.Image:
    tile = _cloth_tile(pattern, round(scale, 3))
    x0, y0 = corner[0] % tile.width, corner[1] % tile.height
    cloth = Image.new("RGB", size)
    for y in range(-y0, size[1], tile.height):
        for x in range(-x0, size[0], tile.width):
            cloth.paste(tile, (x, y))
    return cloth


@functools.lru_cache(maxsize=128)
def _cloth_tile(pattern: Pattern, scale: float) -> Image.Image:
    """One printed repeat, averaged down from a fine drawing."""
    fine = 96
    y_H1, x_1W = np.mgrid[0:fine, 0:fine] / fine
    if pattern.kind == "stripes":
        amount_HW = (y_H1 < 0.5).astype(np.float32)
    elif pattern.kind == "pinstripes":
        amount_HW = (x_1W < 0.22).astype(np.float32)
    elif pattern.kind == "dots":
        near = np.hypot(x_1W - 0.25, y_H1 - 0.25) < 0.17
        far = np.hypot(x_1W - 0.75, y_H1 - 0.75) < 0.17
        amount_HW = (near | far).astype(np.float32)
    elif pattern.kind == "checks":
        amount_HW = ((x_1W < 0.5) ^ (y_H1 < 0.5)).astype(np.float32)
    elif pattern.kind == "plaid":
        bands = 0.45 * (x_1W < 0.4) + 0.45 * (y_H1 < 0.4)
        threads = 0.5 * (np.abs(x_1W - 0.7) < 0.05) + 0.5 * (np.abs(y_H1 - 0.7) < 0.05)
        amount_HW = np.clip(bands + threads, 0.0, 1.0).astype(np.float32)
    else:
        amount_HW = np.zeros((fine, fine), np.float32)
    first, second = np.array(pattern.first, np.float32), np.array(pattern.second, np.float32)
    colours_HWC = first + (second - first) * amount_HW[..., None]
    master = Image.fromarray(colours_HWC.round().astype(np.uint8))
    # Whole pixels keep the repeat seamless; several repeats keep the period true at small scales.
    repeats = max(1, round(24 / max(pattern.period * scale, 1.0)))
    size = max(2, round(pattern.period * scale * repeats))
    sheet = Image.new("RGB", (fine * repeats, fine * repeats))
    for row in range(repeats):
        for column in range(repeats):
            sheet.paste(master, (column * fine, row * fine))
    return sheet.resize((size, size), Image.Resampling.BOX)


@functools.cache
def _soft_disc() -> Image.Image:
    y_H1, x_1W = np.mgrid[0:128, 0:128] / 63.5 - 1.0
    falloff_HW = np.clip(1.0 - np.hypot(x_1W, y_H1), 0.0, 1.0)
    smooth_HW = falloff_HW * falloff_HW * (3 - 2 * falloff_HW)
    return Image.fromarray((smooth_HW * 255).round().astype(np.uint8))


@functools.lru_cache(maxsize=256)
def _print(words: str, size: int, *, bold: bool) -> Image.Image:
    font = ImageFont.load_default(size=size)
    stroke = size / 26 if bold else 0
    left, top, right, bottom = font.getbbox(words, stroke_width=stroke)
    label = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
    draw = ImageDraw.Draw(label)
    draw.text((1 - left, 1 - top), words, fill=255, font=font, stroke_width=stroke)
    return label
