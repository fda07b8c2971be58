"""Wan's causal video VAEs: 2.1 (16 channels, 4x8x8) and 2.2 for TI2V-5B (48 channels, 4x16x16)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast, final

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify
from torch import Tensor

from pfp.errors import WeightsError
from pfp.models._devices import compute_device, compute_dtype
from pfp.models._folders import read_config, weights_sha256
from pfp.models.vae._constants import normalisation
from pfp.models.vae.latent_vae import LatentVAE, decode_from_repeated_start

# What tells the two apart in config.json: (z_dim, patch_size, scale_factor_spatial).
ARCHITECTURES: Final = {"wan21": (16, None, 8), "wan22_5b": (48, 2, 16)}


@final
class WanCodec:
    """Drives ``AutoencoderKLWan`` group by group, with the feature cache that it uses itself.

    ``AutoencoderKLWan.encode`` needs the whole clip in memory; feeding its encoder the same groups
    with the same cache gives the same latents (tested against ``encode``).
    """

    def __init__(self, vae: Any) -> None:  # an AutoencoderKLWan, which declares no attributes
        self._vae = vae

    def encode_stream(self, groups_BCFHW: Iterator[Tensor]) -> Iterator[Tensor]:
        """Raw latents ``(1, z, 1, h, w)`` of each group: the first frame, then every four."""
        vae, fold = self._vae, cast("Any", patchify)
        cache: list[Tensor | str | None] = [None] * vae._cached_conv_counts["encoder"]  # noqa: SLF001
        for group_BCFHW in groups_BCFHW:
            with torch.inference_mode():
                pixels = group_BCFHW
                if vae.config.patch_size is not None:
                    pixels = fold(pixels, patch_size=vae.config.patch_size)
                features = vae.encoder(pixels, feat_cache=cache, feat_idx=[0])
                moments = vae.quant_conv(features)
            yield moments.chunk(2, dim=1)[0]

    def decode(self, latents_BCTHW: Tensor, *, is_start: bool) -> Iterator[Tensor]:
        """RGB in [-1, 1], all frames at once."""
        if is_start:
            yield self._decode(latents_BCTHW)
        else:
            yield decode_from_repeated_start(self._decode, latents_BCTHW)

    def _decode(self, latents_BCTHW: Tensor) -> Tensor:
        return cast("Tensor", self._vae.decode(latents_BCTHW).sample)


def load_wan(name: str, folder: Path, *, device: str, dtype: str | None) -> LatentVAE:
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
    return LatentVAE(
        vae_id=name,
        sha256=weights_sha256(folder),
        z_channels=z_channels,
        spatial_stride=spatial_stride,
        latents_mean=mean,
        latents_std=std,
        codec=WanCodec(vae.to(torch_device).eval().requires_grad_(False)),
        device=torch_device,
        dtype=torch_dtype,
    )
