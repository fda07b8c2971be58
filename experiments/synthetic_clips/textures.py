"""Materials of walls, floors and skies, with texture at many scales.

Every feature is placed in scene units, so a material looks the same at any resolution.
Axes: H rows, W columns, C colours; float32 RGB in [0, 1] unless said otherwise.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from experiments.synthetic_clips.paint import Colour

Array = NDArray[np.float32]

TILE: Final = 512  # pixels of one repeat of the noise
NUM_TILES: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """The rectangle to texture: its size in pixels, its scale and its upper left corner."""

    height: int
    width: int
    pixels_per_unit: float
    top: float = 0.0  # units
    seed: int = 0

    def column_x(self) -> Array:
        """Horizontal position of each column's middle, in units, shape (1, W)."""
        columns = (np.arange(self.width, dtype=np.float32) + 0.5) / self.pixels_per_unit
        return columns[None, :]

    def row_y(self) -> Array:
        """Vertical position of each row's middle, in units, shape (H, 1)."""
        rows = (np.arange(self.height, dtype=np.float32) + 0.5) / self.pixels_per_unit
        return rows[:, None] + np.float32(self.top)

    def noise(self, channel: int, across: float = 1.0, down: float = 1.0) -> Array:
        """Natural (1/f) noise of about unit spread; `across`, `down` are repeats per unit."""
        tile_HW = _noise_tile((self.seed + channel) % NUM_TILES)
        period_x = max(2, round(self.pixels_per_unit / across))
        period_y = max(2, round(self.pixels_per_unit / down))
        resized = Image.fromarray(tile_HW).resize((period_x, period_y), Image.Resampling.BILINEAR)
        # Another start for every channel and seed: the same six tiles never show as the same.
        start = np.random.default_rng((self.seed, channel)).random(2)
        rows = (np.arange(self.height) + int(start[0] * period_y)) % period_y
        columns = (np.arange(self.width) + int(start[1] * period_x)) % period_x
        return np.asarray(resized)[rows[:, None], columns[None, :]]


@functools.lru_cache(maxsize=NUM_TILES)
def _noise_tile(index: int) -> Array:
    """Seamless noise whose spectrum falls as 1/f, as in photographs of surfaces."""
    rng = np.random.default_rng((7919, index))
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    frequency[0, 0] = np.inf
    noise_HW = np.fft.irfft2(spectrum / np.maximum(frequency, 3 / TILE) ** 1.15, (TILE, TILE))
    return np.asarray(noise_HW / noise_HW.std(), np.float32)


def _rgb(colour: Colour) -> Array:
    return np.asarray(colour, np.float32) / 255.0


def _hash(rows: NDArray[np.int64], columns: NDArray[np.int64], seed: int) -> Array:
    """A fixed pseudo-random value in [0, 1) for each cell."""
    mixed = (rows * 73856093) ^ (columns * 19349663) ^ (seed * 83492791)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return np.asarray(((mixed ^ (mixed >> 16)) & 0xFFFF) / 65536.0, np.float32)


def _edge(distance: Array, width: float, pixels_per_unit: float) -> Array:
    """1 inside a cell, 0 in its joint, with an edge one pixel soft."""
    soft = max(1.0 / pixels_per_unit, 0.0015)
    return np.asarray(np.clip((distance - width / 2) / soft + 0.5, 0.0, 1.0), np.float32)


def plaster(patch: Patch, colour: Colour) -> Array:
    """Painted plaster: soft stains, trowel marks, fine grain."""
    stains = 0.022 * patch.noise(0, 0.5, 0.5) + 0.016 * patch.noise(1, 1.3, 2.6)
    grain = 0.010 * patch.noise(2, 5.0, 5.0)
    return np.asarray(_rgb(colour) * (1.0 + stains + grain)[..., None], np.float32)


def brick(patch: Patch, colour: Colour) -> Array:
    """Running bond with bevelled, individually burnt bricks."""
    height, width, joint = 0.052, 0.125, 0.009
    row = patch.row_y() / height
    row_index = np.floor(row).astype(np.int64)
    column = patch.column_x() / width + 0.5 * (row_index % 2)
    column_index = np.floor(column).astype(np.int64)
    within_y, within_x = (row - row_index) * height, (column - column_index) * width
    distance_y = np.minimum(within_y, height - within_y)
    distance_x = np.minimum(within_x, width - within_x)
    distance = np.minimum(distance_y, distance_x).astype(np.float32)
    solid = _edge(distance, joint, patch.pixels_per_unit)
    burn = _hash(row_index, column_index, patch.seed)
    warm = _hash(row_index, column_index, patch.seed + 1)
    rough = 1.0 + 0.07 * patch.noise(0, 3.0, 3.0) + 0.03 * patch.noise(1)
    tone = (0.80 + 0.34 * burn) * rough
    bevel = 0.10 * np.clip(1.0 - (within_y - joint / 2) / 0.010, 0, 1)
    bevel = bevel - 0.16 * np.clip(1.0 - (height - joint / 2 - within_y) / 0.010, 0, 1)
    tone = np.asarray(tone + bevel, np.float32)
    hue = np.stack([0.05 * (warm - 0.5), -0.03 * (warm - 0.5), -0.02 * (warm - 0.5)], -1)
    bricks = _rgb(colour) * tone[..., None] + hue
    mortar = np.float32(0.66) * _rgb(colour) * 0.45 + 0.36
    mortar = mortar * (1.0 + 0.05 * patch.noise(2, 4.0, 4.0))[..., None]
    return np.asarray(mortar + (bricks - mortar) * solid[..., None], np.float32)


def tiles(patch: Patch, colour: Colour, second: Colour) -> Array:
    """Glazed square tiles, a few of them in a second colour."""
    size, joint = 0.085, 0.006
    row, column = patch.row_y() / size, patch.column_x() / size
    row_index, column_index = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    v, u = row - row_index, column - column_index
    distance = np.minimum(np.minimum(v, 1 - v), np.minimum(u, 1 - u)).astype(np.float32) * size
    solid = _edge(distance, joint, patch.pixels_per_unit)
    chance = _hash(row_index, column_index, patch.seed)
    tone = 0.94 + 0.09 * _hash(row_index, column_index, patch.seed + 5)
    gloss = 0.07 * (0.5 - v) + 0.05 * (0.5 - u) + 0.012 * patch.noise(0, 2.0, 2.0)
    glaze = np.where((chance < 0.14)[..., None], _rgb(second), _rgb(colour))
    glaze = glaze * (tone + gloss)[..., None]
    rim = np.clip(1.0 - distance / 0.012, 0, 1) * np.where(v + u < 1.0, 0.10, -0.10)
    glaze = glaze + rim[..., None]
    grout = np.float32(0.72) * (1.0 + 0.05 * patch.noise(1, 4.0, 4.0))[..., None]
    return np.asarray(grout + (glaze - grout) * solid[..., None], np.float32)


def wallpaper(patch: Patch, colour: Colour, second: Colour) -> Array:
    """Printed paper: stripes, diamonds or blossoms, by seed."""
    x, y = patch.column_x(), patch.row_y()
    style = patch.seed % 3
    if style == 0:
        wave = np.sin(2 * math.pi * x / 0.11) + 0.0 * y
        print_HW = np.clip(wave * 4.0, -1, 1) * 0.5 + 0.5
        thin = np.clip(np.cos(4 * math.pi * x / 0.11) * 9.0 - 8.0, 0, 1)
        print_HW = np.clip(print_HW + 0.6 * thin, 0, 1)
    elif style == 1:
        u, v = (x + y) / 0.12, (x - y) / 0.12
        du, dv = np.abs(u - np.round(u)), np.abs(v - np.round(v))
        line = np.clip(1.0 - np.minimum(du, dv) / 0.05, 0, 1)
        dot = np.clip((0.16 - np.hypot(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))) / 0.04, 0, 1)
        print_HW = np.clip(0.7 * line + dot, 0, 1)
    else:
        row = np.floor(y / 0.11)
        dx = (x / 0.11 + 0.5 * (row % 2)) % 1 - 0.5
        dy = (y / 0.11) % 1 - 0.5
        radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        petal = 0.26 + 0.10 * np.cos(5 * angle)
        print_HW = np.clip((petal - radius) / 0.05, 0, 1) - np.clip((0.08 - radius) / 0.03, 0, 1)
        stem = np.clip(1 - np.abs(dx + 0.08 * np.sin(dy * 9)) / 0.03, 0, 1) * (dy > 0.2)
        print_HW = np.clip(print_HW + 0.7 * stem, 0, 1)
    print_HW = (0.75 * print_HW).astype(np.float32)[..., None]
    paper = _rgb(colour) + (_rgb(second) - _rgb(colour)) * print_HW
    fade = 1.0 + 0.014 * patch.noise(0, 0.5, 0.5) + 0.010 * patch.noise(1, 6.0, 6.0)
    return np.asarray(paper * fade[..., None], np.float32)


def panelling(patch: Patch, colour: Colour) -> Array:
    """Upright wooden boards with grain and knots."""
    width = 0.095
    column = patch.column_x() / width
    index = np.floor(column).astype(np.int64)
    within = (column - index) * width
    tone = 0.86 + 0.24 * _hash(np.zeros_like(index), index, patch.seed)
    grain = patch.noise(0, 5.0, 0.45)
    rings = np.sin(14.0 * (grain + 0.3 * patch.noise(1, 1.5, 0.6)))
    groove = np.clip(np.minimum(within, width - within) / 0.004, 0, 1)
    bright = (tone + 0.05 * rings + 0.04 * grain) * (0.55 + 0.45 * groove)
    return np.asarray(_rgb(colour) * bright[..., None], np.float32)


def sky(patch: Patch, top: Colour, bottom: Colour) -> Array:
    """A clear gradient with lit cumulus clouds."""
    height = patch.height / patch.pixels_per_unit
    depth = np.clip((patch.row_y() - patch.top) / height, 0, 1)
    air = _rgb(top) + (_rgb(bottom) - _rgb(top)) * (depth**0.8)[..., None]
    pixels = patch.pixels_per_unit
    large = ndimage.gaussian_filter(patch.noise(0, 0.35, 0.8), 0.016 * pixels, mode="wrap")
    small = ndimage.gaussian_filter(patch.noise(1, 0.9, 1.6), 0.004 * pixels, mode="wrap")
    billow = 1.35 * large + 0.30 * small
    cover = np.clip((billow - 0.45 - 0.5 * depth) / 0.55, 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    step = max(1, round(0.025 * pixels))
    lit = np.clip(0.55 + 0.55 * (billow - np.roll(billow, step, 0)), 0, 1)
    cloud = 0.74 + 0.28 * lit[..., None] * np.ones(3, np.float32)
    cloud = cloud * (0.55 + 0.45 * _rgb(bottom)) + 0.06
    return np.asarray(air + (cloud - air) * (0.94 * cover)[..., None], np.float32)


def hills(patch: Patch, top: Colour, bottom: Colour) -> Array:
    """A sky over three ranges of hills and a line of far trees."""
    view = sky(patch, top, bottom)
    x, y = patch.column_x(), patch.row_y()
    rng = np.random.default_rng((patch.seed, 11))
    foot = patch.top + patch.height / patch.pixels_per_unit
    rough = patch.noise(4, 1.5, 1.5)
    for layer in range(3):
        base = foot - 0.20 + 0.065 * layer
        phase = rng.uniform(0, 2 * math.pi, 3)
        ridge = base + 0.045 * np.sin(2.1 * x + phase[0]) + 0.022 * np.sin(5.3 * x + phase[1])
        if layer == 2:  # tree tops
            ridge = ridge + 0.012 * np.abs(np.sin(34.0 * x + 3 * np.sin(7 * x + phase[2])))
        inside = np.clip((y - ridge) * patch.pixels_per_unit + 0.5, 0, 1)[..., None]
        far = (0.62, 0.38, 0.10)[layer]
        green = _rgb((70, 128, 66)) * (1.0 - far) + _rgb(bottom) * far
        slope = 1.0 + 0.06 * rough + 0.5 * np.clip(ridge + 0.05 - y, -0.2, 0.05)
        view = view + (green * slope[..., None] - view) * inside
    return np.asarray(view, np.float32)


def sea(patch: Patch, top: Colour, bottom: Colour) -> Array:
    """A sky over the sea, with glints and a line of surf."""
    view = sky(patch, top, bottom)
    x, y = patch.column_x(), patch.row_y()
    foot = patch.top + patch.height / patch.pixels_per_unit
    line = foot - 0.22
    depth = np.clip((y - line) / 0.22, 0, 1)
    water = _rgb((38, 110, 150)) + (_rgb((96, 190, 190)) - _rgb((38, 110, 150))) * depth[..., None]
    waves = np.sin(90.0 * np.sqrt(depth + 0.05) * 3.0 + 1.6 * patch.noise(2, 0.6, 2.0))
    glint = np.clip(patch.noise(3, 0.8, 6.0) - 1.1, 0, 1) * (1 - depth)
    water = water * (1.0 + 0.05 * waves)[..., None] + (0.5 * glint)[..., None]
    shore = foot - 0.012 + 0.008 * np.sin(6.0 * x) + 0.003 * patch.noise(4, 1.0, 1.0)
    surf = np.clip(1.0 - np.abs(y - shore) / 0.010, 0, 1)[..., None]
    water = water + (1.0 - water) * 0.85 * surf
    inside = np.clip((y - line) * patch.pixels_per_unit + 0.5, 0, 1)[..., None]
    return np.asarray(view + (water - view) * inside, np.float32)


def _ground(patch: Patch, centre: float) -> tuple[Array, Array]:
    """Floor coordinates (u across, v into depth), in units, as a camera at eye level sees them."""
    eye_level, distance = 0.42, 0.55
    depth = distance / np.maximum(patch.row_y() - eye_level, 0.05)
    u = (patch.column_x() - centre) * depth
    return np.asarray(u, np.float32), np.asarray(depth * np.ones_like(u), np.float32)


def _on_ground(patch: Patch, channel: int, u: Array, v: Array, repeats: float) -> Array:
    tile_HW = _noise_tile((patch.seed + channel) % NUM_TILES)
    level = max(1, round(160 * repeats / patch.pixels_per_unit))
    if level > 1:
        tile_HW = np.asarray(Image.fromarray(tile_HW).reduce(min(level, 8)))
    size = tile_HW.shape[0]
    where = np.stack([v * (repeats * 1.2 * size), u * (repeats * size)])
    sampled = ndimage.map_coordinates(tile_HW, where, order=1, mode="grid-wrap")
    return np.asarray(sampled, np.float32)


def planks(patch: Patch, colour: Colour, centre: float) -> Array:
    """A wooden floor running into depth."""
    u, v = _ground(patch, centre)
    width = 0.10
    index = np.floor(u / width).astype(np.int64)
    within = np.abs(u / width - index - 0.5) * 2
    offset = _hash(np.zeros_like(index), index, patch.seed)
    board = np.floor(v / 0.55 + offset * 3).astype(np.int64)
    along = np.abs((v / 0.55 + offset * 3) % 1 - 0.5) * 2
    tone = 0.82 + 0.26 * _hash(board, index, patch.seed + 2)
    grain = _on_ground(patch, 0, u * 6.0, v * 0.5 + offset * 7, 0.6)
    joint = np.clip((1 - within) / 0.07, 0, 1) * np.clip((1 - along) / 0.02, 0, 1)
    bright = (tone + 0.07 * grain + 0.03 * np.sin(9 * grain)) * (0.6 + 0.4 * joint)
    return np.asarray(_rgb(colour) * bright[..., None], np.float32)


def floor_tiles(patch: Patch, colour: Colour, second: Colour, centre: float) -> Array:
    """A chequered floor running into depth."""
    u, v = _ground(patch, centre)
    size = 0.16
    row, column = np.floor(v * 1.6 / size).astype(np.int64), np.floor(u / size).astype(np.int64)
    distance = np.minimum(
        0.5 - np.abs(v * 1.6 / size - row - 0.5), 0.5 - np.abs(u / size - column - 0.5)
    )
    odd = ((row + column) % 2)[..., None]
    tone = 0.92 + 0.12 * _hash(row, column, patch.seed) + 0.03 * _on_ground(patch, 0, u, v, 1.0)
    slab = np.where(odd == 1, _rgb(second), _rgb(colour)) * tone[..., None]
    joint = np.clip(distance / 0.03, 0, 1)[..., None]
    return np.asarray(slab * (0.62 + 0.38 * joint), np.float32)


def pavement(patch: Patch, colour: Colour, centre: float) -> Array:
    """Worn paving stones with grit."""
    u, v = _ground(patch, centre)
    size = 0.26
    row = np.floor(v * 1.5 / size).astype(np.int64)
    shifted = u / size + 0.5 * (row % 2)
    column = np.floor(shifted).astype(np.int64)
    distance = np.minimum(
        0.5 - np.abs(v * 1.5 / size - row - 0.5), 0.5 - np.abs(shifted - column - 0.5)
    )
    tone = 0.88 + 0.18 * _hash(row, column, patch.seed)
    tone = tone + 0.05 * _on_ground(patch, 0, u, v, 0.8) + 0.05 * _on_ground(patch, 1, u, v, 3.0)
    joint = np.clip(distance / 0.025, 0, 1)
    return np.asarray(_rgb(colour) * (tone * (0.6 + 0.4 * joint))[..., None], np.float32)


def grass(patch: Patch, colour: Colour, centre: float) -> Array:
    """A meadow: blades near, smooth far, patches of light and dry grass."""
    u, v = _ground(patch, centre)
    blades = patch.noise(0, 4.0, 1.1)
    patches = _on_ground(patch, 1, u, v, 0.5)
    near = np.clip((patch.row_y() - 0.70) / 0.3, 0.25, 1.0)
    bright = 0.92 + 0.17 * near * blades + 0.07 * patches
    dry = np.clip(0.16 * patches, 0, 0.4)[..., None]
    green = _rgb(colour) + (_rgb((214, 192, 96)) - _rgb(colour)) * dry
    return np.asarray(green * bright[..., None], np.float32)


def sand(patch: Patch, colour: Colour, centre: float) -> Array:
    """Rippled sand with grains."""
    u, v = _ground(patch, centre)
    drift = _on_ground(patch, 0, u, v, 0.5)
    ripples = np.sin(70.0 * v + 5.0 * drift + 3.0 * u)
    grains = patch.noise(1, 6.0, 6.0)
    bright = 0.97 + 0.05 * drift + 0.025 * ripples + 0.035 * grains
    return np.asarray(_rgb(colour) * bright[..., None], np.float32)
