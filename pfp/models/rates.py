"""How many pixels one memory token stands for, and how many tokens that makes.

The paper writes a compression rate ``H x W x T`` in latent units, to be multiplied by the VAE's
and the patchifier's own (section 4.1). The same budget means another latent rate for another VAE,
so the canonical form here is pixels per token: ``4x4x2`` on an 8x8x4 VAE with 2x2 patches is
``px(64,64,8)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pfp.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a base model's VAE and patchifier do to pixels: strides in space and time."""

    spatial_stride: int
    temporal_stride: int
    patch: int  # rows and columns of latents that one DiT token covers


GEOMETRIES: Final = {
    "hunyuan": Geometry(spatial_stride=8, temporal_stride=4, patch=2),
    "wan22_a14b_high": Geometry(spatial_stride=8, temporal_stride=4, patch=2),
    "wan22_5b": Geometry(spatial_stride=16, temporal_stride=4, patch=2),
    "tiny": Geometry(spatial_stride=4, temporal_stride=4, patch=2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Latent rows, columns and frames that are compressed into one patch's worth each.

    ``Rate(height=4, width=4, time=2)`` is the paper's 4x4x2: with 2x2 patches one token covers
    8 x 8 latents of 2 latent frames.
    """

    height: int
    width: int
    time: int

    def __str__(self) -> str:
        """The paper's notation."""
        return f"{self.height}x{self.width}x{self.time}"

    def pixels(self, geometry: Geometry) -> tuple[int, int, int]:
        """Rows, columns and frames of pixels that one token stands for."""
        space = geometry.spatial_stride * geometry.patch
        return self.height * space, self.width * space, self.time * geometry.temporal_stride

    def token_grid(
        self, latents_THW: tuple[int, int, int], geometry: Geometry
    ) -> tuple[int, int, int]:
        """Tokens in time, rows and columns of a latent video; what does not fill a cell is cut.

        Cutting in space is what the paper's 5,460 tokens for 20 s need (60 / 4 / 2 = 7.5 rows).
        In time a causal token j ends with latent frame ``time * j``, so a last part is kept.
        """
        num_frames, height, width = latents_THW
        grid = (
            -(-num_frames // self.time),
            height // (self.height * geometry.patch),
            width // (self.width * geometry.patch),
        )
        if min(grid) < 1:
            message = (
                f"a {num_frames}x{height}x{width} latent video is smaller than one token at "
                f"{self}; use a lower rate or larger frames"
            )
            raise ConfigError(message)
        return grid


def parse_rate(text: str, geometry: Geometry) -> Rate:
    """``"4x4x2"`` (latent units, as the paper) or ``"px(64,64,8)"`` (pixels per token)."""
    if match := re.fullmatch(r"(\d+)x(\d+)x(\d+)", text):
        height, width, time = map(int, match.groups())
    elif match := re.fullmatch(r"px\((\d+),\s*(\d+),\s*(\d+)\)", text):
        rows, columns, frames = map(int, match.groups())
        space = geometry.spatial_stride * geometry.patch
        if rows % space or columns % space or frames % geometry.temporal_stride:
            message = (
                f"rate {text} is no whole number of tokens of {space}x{space} pixels and "
                f"{geometry.temporal_stride} frames; use multiples of these"
            )
            raise ConfigError(message)
        height, width, time = rows // space, columns // space, frames // geometry.temporal_stride
    else:
        message = f"rate {text!r} is not understood; write 4x4x2 or px(64,64,8)"
        raise ConfigError(message)
    for name, value in (("height", height), ("width", width), ("time", time)):
        if value < 1 or value & (value - 1):
            message = f"rate {text!r}: {name} {value} is not a power of two; the strides need one"
            raise ConfigError(message)
    return Rate(height=height, width=width, time=time)
