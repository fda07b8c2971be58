"""Wan's causal video VAEs: 2.1 (16 channels, 4x8x8) and 2.2 for TI2V-5B (48 channels, 4x16x16)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, cast, final

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify
from torch import Tensor

from pfp.errors import WeightsError
from pfp.models._devices import compute_device, compute_dtype
from pfp.models._folders import read_config, weights_sha256
from pfp.models.finite import check_weights
from pfp.models.vae._constants import normalisation
from pfp.models.vae.latent_vae import LatentVAE, decode_from_repeated_start
from pfp.models.vae.tiles import enable_tiling, tiled_in_space, vae_id_of

# What tells the two apart in config.json: (z_dim, patch_size, scale_factor_spatial).
ARCHITECTURES: Final = {"wan21": (16, None, 8), "wan22_5b": (48, 2, 16)}

_Cache: TypeAlias = list[Tensor | str | None]
_Caches: TypeAlias = defaultdict[tuple[int, int], _Cache]  # by a tile's top and left pixel


@final
class WanCodec:
    """Drives ``AutoencoderKLWan`` group by group, with the feature cache that it uses itself.

    ``AutoencoderKLWan.encode`` needs the whole clip in memory; feeding its encoder the same groups
    with the same cache gives the same latents (tested against ``encode``).

    With spatial tiling every tile has a cache of its own, and each group's tiles are blended as
    ``AutoencoderKLWan.tiled_encode`` blends whole clips' (tested against it): blending never mixes
    times, so group by group gives the same.
    """

    def __init__(self, vae: Any) -> None:  # an AutoencoderKLWan, which declares no attributes
        self._vae = vae

    def encode_stream(self, groups_BCFHW: Iterator[Tensor]) -> Iterator[Tensor]:
        """Raw latents ``(B, z, 1, h, w)`` of each group: the first frame, then every four."""
        vae, fold = self._vae, cast("Any", patchify)
        caches: _Caches = defaultdict(self._new_cache)
        for group_BCFHW in groups_BCFHW:
            is_tiled = tiled_in_space(vae, *group_BCFHW.shape[3:])
            with torch.inference_mode():
                pixels = group_BCFHW
                if vae.config.patch_size is not None:
                    pixels = fold(pixels, patch_size=vae.config.patch_size)
                encode = self._encode_tiles if is_tiled else self._encode_whole
                moments = encode(pixels, caches)
            yield moments.chunk(2, dim=1)[0]

    def _new_cache(self) -> _Cache:
        return [None] * self._vae._cached_conv_counts["encoder"]  # noqa: SLF001

    def _encode_whole(self, pixels_BCFHW: Tensor, caches: _Caches) -> Tensor:
        return self._encode(pixels_BCFHW, caches[0, 0])

    def _encode(self, pixels_BCFHW: Tensor, cache: _Cache) -> Tensor:
        features = self._vae.encoder(pixels_BCFHW, feat_cache=cache, feat_idx=[0])
        return cast("Tensor", self._vae.quant_conv(features))

    def _encode_tiles(self, pixels_BCFHW: Tensor, caches: _Caches) -> Tensor:
        """One group, in tiles; sizes in pixels are those after folding, as in diffusers."""
        vae = self._vae
        rows = [
            [
                self._encode(
                    pixels_BCFHW[
                        ...,
                        top : top + vae.tile_sample_min_height,
                        left : left + vae.tile_sample_min_width,
                    ],
                    caches[top, left],
                )
                for left in range(0, pixels_BCFHW.shape[4], vae.tile_sample_stride_width)
            ]
            for top in range(0, pixels_BCFHW.shape[3], vae.tile_sample_stride_height)
        ]
        folded = vae.config.patch_size or 1
        return _blended(vae, rows, pixels_per_latent=vae.spatial_compression_ratio // folded)

    def decode(self, latents_BCTHW: Tensor, *, is_start: bool) -> Iterator[Tensor]:
        """RGB in [-1, 1], all frames at once."""
        if is_start:
            yield self._decode(latents_BCTHW)
        else:
            yield decode_from_repeated_start(self._decode, latents_BCTHW)

    def _decode(self, latents_BCTHW: Tensor) -> Tensor:
        return cast("Tensor", self._vae.decode(latents_BCTHW).sample)


def _blended(vae: Any, rows: list[list[Tensor]], *, pixels_per_latent: int) -> Tensor:
    """A grid of overlapping tiles' latents ``(B, z, t, h, w)`` to those of the whole frame.

    The arithmetic of ``AutoencoderKLWan.tiled_encode``, with its own ``blend_v`` and ``blend_h``,
    which write into the tiles: a tile is blended with neighbours that are blended already.
    """
    kept_rows = vae.tile_sample_stride_height // pixels_per_latent
    kept_columns = vae.tile_sample_stride_width // pixels_per_latent
    shared_rows = vae.tile_sample_min_height // pixels_per_latent - kept_rows
    shared_columns = vae.tile_sample_min_width // pixels_per_latent - kept_columns
    bands = []
    for i, row in enumerate(rows):
        kept = []
        for j, tile in enumerate(row):
            blended = tile
            if i > 0:
                blended = vae.blend_v(rows[i - 1][j], blended, shared_rows)
            if j > 0:
                blended = vae.blend_h(row[j - 1], blended, shared_columns)
            kept.append(blended[..., :kept_rows, :kept_columns])
        bands.append(torch.cat(kept, dim=4))
    return torch.cat(bands, dim=3)


def load_wan(name: str, folder: Path, *, device: str, dtype: str | None, tiling: bool) -> LatentVAE:
    """The VAE in a local folder; ``name`` (``wan21`` or ``wan22_5b``) must fit its config.json."""
    config = read_config(folder)
    found = (config.get("z_dim"), config.get("patch_size"), config.get("scale_factor_spatial"))
    if found != ARCHITECTURES[name]:
        raise WeightsError(
            f"{folder} is not {name}: its (z_dim, patch_size, scale_factor_spatial) is {found}, "
            f"not {ARCHITECTURES[name]}; give the VAE folder of the right model"
        )
    z_channels, _, spatial_stride = ARCHITECTURES[name]
    mean, std = normalisation(
        f"{name}:{folder}", z_channels, config.get("latents_mean"), config.get("latents_std")
    )
    torch_device, torch_dtype = compute_device(device), compute_dtype(dtype)
    vae = cast("Any", AutoencoderKLWan).from_pretrained(
        folder, torch_dtype=torch_dtype, local_files_only=True, use_safetensors=True
    )
    check_weights(vae.state_dict(), folder)
    if tiling:
        enable_tiling(vae)
    return LatentVAE(
        vae_id=vae_id_of(name, tiling=tiling),
        sha256=weights_sha256(folder),
        z_channels=z_channels,
        spatial_stride=spatial_stride,
        latents_mean=mean,
        latents_std=std,
        append_exact=True,
        codec=WanCodec(vae.to(torch_device).eval().requires_grad_(False)),
        device=torch_device,
        dtype=torch_dtype,
    )
