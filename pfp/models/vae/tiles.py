"""Spatial tiles of diffusers' video VAEs: their size, and where they are used. No torch here.

A frame larger than 256 pixels either way is cut into tiles of 256 x 256 that begin every 192
pixels; where two overlap, the upper or left one's latents lead linearly into the other's. That is
diffusers' default, given here by name because latents depend on it. Wan 2.2's VAE folds 2 x 2
pixels into channels first and cuts when it encodes after that: its tiles are 512 x 512 then.

The largest sum of tensors alive while encoding, without the weights, in bfloat16, counted for the
true configurations on the meta device (GB, whole frames and tiles):

    480 x 832     Wan 2.1  3.0 and 2.2    Wan 2.2  1.5 and 1.3    HunyuanVideo   9.0 and 1.5
    720 x 1280    Wan 2.1  6.9 and 4.6    Wan 2.2  3.5 and 2.4    HunyuanVideo  31.4 and 1.6

Wan gains less because encoding streams: between groups of frames it keeps every tile's cache, which
is more than the whole frame's (480 x 832, Wan 2.1: 1.9 GB for 1.1).
"""

from __future__ import annotations

from typing import Any, Final

TILE_PIXELS: Final = 256
TILE_STRIDE_PIXELS: Final = 192
TILING_SUFFIX: Final = "+tiling"  # of the name of a VAE that was loaded with tiling


def enable_tiling(vae: Any) -> None:
    """Switches on a diffusers VAE's own tiling, with these sizes, for encoding and decoding."""
    vae.enable_tiling(
        tile_sample_min_height=TILE_PIXELS,
        tile_sample_min_width=TILE_PIXELS,
        tile_sample_stride_height=TILE_STRIDE_PIXELS,
        tile_sample_stride_width=TILE_STRIDE_PIXELS,
    )


def tiled_in_space(vae: Any, height: int, width: int) -> bool:
    """Whether ``encode`` of the VAE cuts frames of so many pixels into tiles."""
    large = height > vae.tile_sample_min_height or width > vae.tile_sample_min_width
    return bool(vae.use_tiling and large)


def vae_id_of(name: str, *, tiling: bool) -> str:
    """The name that latents carry of the VAE that made them: tiles are told."""
    return name + TILING_SUFFIX if tiling else name
