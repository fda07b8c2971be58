"""How many pixels one memory token stands for, and how many tokens that makes.

The paper writes a compression rate ``H x W x T`` in latent units, to be multiplied by the VAE's
and the patchifier's own (section 4.1). The same budget means another latent rate for another VAE,
so the canonical form here is pixels per token: ``4x4x2`` on an 8x8x4 VAE with 2x2 patches is
``px(64,64,8)``, which is 2x2x2 on the 16x16x4 VAE of Wan 2.2 5B.

Sizes are (height, width) in pixels; latent and token grids are (time, rows, columns).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pfp.errors import ConfigError

# Cells that the frame does not fill are cut, or filled by repeating its last row and column.
# 20 s of 480x832 are 5,460 tokens at 4x4x2 only when cut; FramePack pads, which makes 6,240.
Rounding: TypeAlias = Literal["floor", "pad"]
# Whether the HR branch's strides in time look backwards only, or pair each frame with the next.
TimeStride: TypeAlias = Literal["causal", "symmetric"]

# The rates of section 4 as pixels per token: 4x4x2, 2x2x1, 2x2x2, 2x2x4, 2x2x8 on 8x8x4 VAEs.
PAPER_RATES: Final = ("px(64,64,8)", "px(32,32,4)", "px(32,32,8)", "px(32,32,16)", "px(32,32,32)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a base model's VAE and patchifier do to pixels: strides in space and time."""

    spatial_stride: int
    temporal_stride: int
    patch: int  # rows and columns of latents that one DiT token covers

    @property
    def token_side(self) -> int:
        """Rows and columns of pixels of one of the DiT's own tokens."""
        return self.spatial_stride * self.patch

    def num_latents(self, num_frames: int) -> int:
        """Latent frames of a causal VAE: one of the first frame, one of each full stride after."""
        if num_frames < 1:
            message = f"a video of {num_frames} frames has no latents; give at least one frame"
            raise ConfigError(message)
        return 1 + (num_frames - 1) // self.temporal_stride

    def latent_grid(self, num_frames: int, size: tuple[int, int]) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a video that the DiT can give back.

        Raises ConfigError for sides that are no multiples of its tokens: the VAE or the patchifier
        would cut the rest without a word, and the video would come out smaller.
        """
        for side in size:
            if side < 1 or side % self.token_side:
                lower = max(side // self.token_side, 1) * self.token_side
                message = (
                    f"{side} pixels of {size[0]}x{size[1]} are no multiple of {self.token_side}, "
                    f"so VAE and patches would cut some; use {lower} or {lower + self.token_side}"
                )
                raise ConfigError(message)
        height, width = size
        stride = self.spatial_stride
        return self.num_latents(num_frames), height // stride, width // stride


GEOMETRIES: Final = {
    "hunyuan": Geometry(spatial_stride=8, temporal_stride=4, patch=2),
    "wan22_a14b_high": Geometry(spatial_stride=8, temporal_stride=4, patch=2),
    "wan22_5b": Geometry(spatial_stride=16, temporal_stride=4, patch=2),
    "tiny": Geometry(spatial_stride=4, temporal_stride=4, patch=2),
}


def geometry_of(base: str) -> Geometry:
    """The geometry of a base model by name; ConfigError names those that there are."""
    if base not in GEOMETRIES:
        message = f"base {base!r} is unknown; choose one of {', '.join(GEOMETRIES)}"
        raise ConfigError(message)
    return GEOMETRIES[base]


@dataclass(frozen=True, slots=True, kw_only=True)
class LrVideo:
    """The small, slow copy of a video whose own tokens are the LR branch."""

    height: int
    width: int
    fps: float
    num_frames: int  # that its latents are made of


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
        space = geometry.token_side
        return self.height * space, self.width * space, self.time * geometry.temporal_stride

    def px(self, geometry: Geometry) -> str:
        """The canonical notation, which means the same budget for every base."""
        rows, columns, frames = self.pixels(geometry)
        return f"px({rows},{columns},{frames})"

    def token_grid(
        self,
        latents_THW: tuple[int, int, int],
        geometry: Geometry,
        *,
        rounding: Rounding = "floor",
    ) -> tuple[int, int, int]:
        """Tokens in time, rows and columns of a latent video; what fills no cell is cut or padded.

        Cutting in space is what the paper's 5,460 tokens for 20 s need (60 / 4 / 2 = 7.5 rows).
        In time a causal token j ends with latent frame ``time * j``, so a last part is kept.
        """
        num_frames, height, width = latents_THW
        cell = (self.height * geometry.patch, self.width * geometry.patch)
        up = rounding == "pad"
        grid = (
            -(-num_frames // self.time),
            -(-height // cell[0]) if up else height // cell[0],
            -(-width // cell[1]) if up else width // cell[1],
        )
        if min(grid) < 1:
            message = (
                f"a {num_frames}x{height}x{width} latent video is smaller than one token at "
                f"{self}; use a lower rate or larger frames"
            )
            raise ConfigError(message)
        return grid

    def lr_video(
        self, num_frames: int, size: tuple[int, int], fps: float, geometry: Geometry
    ) -> LrVideo:
        """The LR video whose own patches are the tokens of this rate (section 3.1).

        As many times smaller and slower as the rate says, so that its latents, patchified once,
        have the token grid. Raises ConfigError for a size that the VAE cannot encode: Wan 2.2 5B's
        fails on 120x208, which the paper's 4x4x2 in its latent units would ask for.
        """
        stride = geometry.spatial_stride
        for side, shrink in zip(size, (self.height, self.width), strict=True):
            if side % (shrink * stride):
                whole = shrink * stride
                message = (
                    f"rate {self} ({self.px(geometry)}) asks for an LR video of "
                    f"{size[0] / self.height:g}x{size[1] / self.width:g}, which a VAE of stride "
                    f"{stride} cannot encode; use a lower rate (4x4x2 of 8x8x4 VAEs is "
                    f"px(64,64,8)) or multiples of {whole} instead of {side} pixels"
                )
                raise ConfigError(message)
        num_latents = -(-geometry.num_latents(num_frames) // self.time)
        return LrVideo(
            height=size[0] // self.height,
            width=size[1] // self.width,
            fps=fps / self.time,
            num_frames=1 + (num_latents - 1) * geometry.temporal_stride,
        )


def parse_rate(text: str, geometry: Geometry) -> Rate:
    """``"4x4x2"`` (latent units, as the paper) or ``"px(64,64,8)"`` (pixels per token)."""
    if match := re.fullmatch(r"(\d+)x(\d+)x(\d+)", text):
        height, width, time = map(int, match.groups())
    elif match := re.fullmatch(r"px\((\d+),\s*(\d+),\s*(\d+)\)", text):
        rows, columns, frames = map(int, match.groups())
        space = geometry.token_side
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBudget:
    """What a history costs at a rate."""

    rate: Rate
    pixels: tuple[int, int, int]  # rows, columns and frames that one token stands for
    grid: tuple[int, int, int]  # tokens in time, rows and columns
    num_raw_tokens: int  # that the DiT would need without compression
    num_cut: tuple[int, int]  # rows and columns of pixels that no token covers
    lr: LrVideo
    seconds: float

    @property
    def num_tokens(self) -> int:
        """Memory tokens of the whole history."""
        time, rows, columns = self.grid
        return time * rows * columns

    @property
    def ratio(self) -> float:
        """Raw tokens for one memory token."""
        return self.num_raw_tokens / self.num_tokens

    @property
    def seconds_per_1000_tokens(self) -> float:
        """How much history a thousand memory tokens hold."""
        return 1000 * self.seconds / self.num_tokens


def token_budget(
    *,
    seconds: float,
    size: tuple[int, int],
    fps: float,
    rate: Rate,
    geometry: Geometry,
    rounding: Rounding = "floor",
) -> TokenBudget:
    """Tokens, grid and LR video of ``seconds`` of history of ``size`` (height, width) pixels.

    Raises ConfigError for sizes and rates that VAE, patchifier or LR video cannot keep.
    """
    num_frames = _num_frames(seconds, fps)
    latents_THW = geometry.latent_grid(num_frames, size)
    grid = rate.token_grid(latents_THW, geometry, rounding=rounding)
    rows, columns, _ = pixels = rate.pixels(geometry)
    num_latents, height, width = latents_THW
    return TokenBudget(
        rate=rate,
        pixels=pixels,
        grid=grid,
        num_raw_tokens=num_latents * (height // geometry.patch) * (width // geometry.patch),
        num_cut=(max(size[0] - grid[1] * rows, 0), max(size[1] - grid[2] * columns, 0)),
        lr=rate.lr_video(num_frames, size, fps, geometry),
        seconds=seconds,
    )


def _num_frames(seconds: float, fps: float) -> int:
    if not 0 < seconds < float("inf") or not 0 < fps < float("inf"):
        message = f"{seconds} seconds at {fps} fps are no video; give positive numbers"
        raise ConfigError(message)
    return round(seconds * fps)


def hr_frames(
    token: int, rate: Rate, geometry: Geometry, *, stride: TimeStride = "causal"
) -> tuple[int, int]:
    """Frames of pixels ``[start, end)`` that the HR branch's strides cover for a token in time.

    May begin before 0, where the video is padded. A latent frame k stands for frames
    ``4k - 3 .. 4k`` of a VAE of temporal stride 4.
    """
    last = rate.time * token + (0 if stride == "causal" else rate.time - 1)
    end = geometry.temporal_stride * last + 1
    return end - geometry.temporal_stride * rate.time, end


def lr_frames(token: int, rate: Rate, geometry: Geometry) -> tuple[int, int]:
    """Frames of the full video ``[start, end)`` from the first to the last that an LR token sees.

    LR frame i is frame ``time * i`` of the full video.
    """
    last = geometry.temporal_stride * token
    first = last - geometry.temporal_stride + 1
    return rate.time * first, rate.time * last + 1
