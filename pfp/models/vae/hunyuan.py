"""HunyuanVideo's causal video VAE: 16 channels, 4x8x8, normalised by one scaling factor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, final

import torch
from diffusers import AutoencoderKLHunyuanVideo
from torch import Tensor

from pfp.errors import WeightsError
from pfp.models._devices import compute_device, compute_dtype
from pfp.models._folders import read_config, weights_sha256
from pfp.models.finite import check_weights
from pfp.models.vae.latent_vae import LatentVAE, decode_from_repeated_start
from pfp.models.vae.tiles import enable_tiling, tiled_in_space, vae_id_of


@final
class HunyuanCodec:
    """``AutoencoderKLHunyuanVideo`` with its default temporal tiles, one tile in memory at a time.

    Each tile takes 17 frames and begins 12 frames after the one before; where two overlap, the
    earlier one's latents lead into the later one's, as in ``AutoencoderKLHunyuanVideo.encode``
    (tested against it). Latents therefore depend on a tile's place in the clip: appending to a
    clip is exact only in whole tiles. With spatial tiling, large tiles are cut in space as well, by
    ``AutoencoderKLHunyuanVideo.tiled_encode``.
    """

    def __init__(self, vae: Any) -> None:  # an AutoencoderKLHunyuanVideo: declares no attributes
        self._vae = vae

    def encode_stream(self, groups_BCFHW: Iterator[Tensor]) -> Iterator[Tensor]:
        """Raw latents ``(B, z, t, h, w)`` of each tile."""
        vae = self._vae
        num_overlapping = vae.tile_sample_min_num_frames - vae.tile_sample_stride_num_frames
        num_blended = num_overlapping // vae.temporal_compression_ratio
        num_kept = vae.tile_sample_stride_num_frames // vae.temporal_compression_ratio
        before: Tensor | None = None
        for tile_BCFHW in self._tiles(groups_BCFHW):
            with torch.inference_mode():
                if tiled_in_space(vae, *tile_BCFHW.shape[3:]):
                    tile = vae.tiled_encode(tile_BCFHW)
                else:
                    tile = vae.quant_conv(vae.encoder(tile_BCFHW))
                if before is not None:
                    tile = vae.blend_t(before, tile[:, :, 1:], num_blended)
            yield tile[:, :, : num_kept + (before is None)].chunk(2, dim=1)[0]
            before = tile

    def _tiles(self, groups_BCFHW: Iterator[Tensor]) -> Iterator[Tensor]:
        size = self._vae.tile_sample_min_num_frames + 1
        stride = self._vae.tile_sample_stride_num_frames
        held: Tensor | None = None
        is_first = True
        for group_BCFHW in groups_BCFHW:
            held = group_BCFHW if held is None else torch.cat([held, group_BCFHW], dim=2)
            if held.shape[2] == size:
                yield held
                held, is_first = held[:, :, stride:], False
        # A later tile's first frame only leads in, so a tile of one frame would give nothing.
        while held is not None and held.shape[2] > (0 if is_first else 1):
            yield held
            held, is_first = held[:, :, stride:], False

    def decode(self, latents_BCTHW: Tensor, *, is_start: bool) -> Iterator[Tensor]:
        """RGB near [-1, 1], all frames at once."""
        if is_start:
            yield self._decode(latents_BCTHW)
        else:
            yield decode_from_repeated_start(self._decode, latents_BCTHW)

    def _decode(self, latents_BCTHW: Tensor) -> Tensor:
        return cast("Tensor", self._vae.decode(latents_BCTHW).sample)


def load_hunyuan(
    name: str, folder: Path, *, device: str, dtype: str | None, tiling: bool
) -> LatentVAE:
    """The VAE in a local folder; latents are ``z * scaling_factor``: mean 0, std 1 / factor."""
    config = read_config(folder)
    factor, z_channels = config.get("scaling_factor"), config.get("latent_channels")
    if not factor or not z_channels:
        raise WeightsError(
            f"{folder} is not {name}: its config.json has scaling_factor {factor} and "
            f"latent_channels {z_channels}; give the VAE folder of HunyuanVideo"
        )
    torch_device, torch_dtype = compute_device(device), compute_dtype(dtype)
    vae = cast("Any", AutoencoderKLHunyuanVideo).from_pretrained(
        folder, torch_dtype=torch_dtype, local_files_only=True, use_safetensors=True
    )
    check_weights(vae.state_dict(), folder)
    if tiling:
        enable_tiling(vae)
    return LatentVAE(
        vae_id=vae_id_of(name, tiling=tiling),
        sha256=weights_sha256(folder),
        z_channels=z_channels,
        spatial_stride=vae.spatial_compression_ratio,
        latents_mean=(0.0,) * z_channels,
        latents_std=(1.0 / factor,) * z_channels,
        append_exact=False,
        codec=HunyuanCodec(vae.to(torch_device).eval().requires_grad_(False)),
        device=torch_device,
        dtype=torch_dtype,
    )
