"""The embedded default VAE, streamed: one latent frame at a time through ``TinyCausalVAE``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from pfp.models._devices import compute_device, compute_dtype
from pfp.models._folders import read_config, weights_sha256
from pfp.models.finite import check_weights
from pfp.models.vae._constants import normalisation
from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiny import SPATIAL_STRIDE, TinyCausalVAE

DECODED_AT_ONCE: Final = 8  # latent frames: 32 video frames, 6 MB of float32 at 160 x 96


@final
class TinyCodec:
    """Encodes each group of frames by itself, with the blocks' caches between groups.

    All groups have the same shape (frame 0 stands for four), so the arithmetic of a latent frame
    is the same, to the bit, in a clip of any length.
    """

    def __init__(self, network: TinyCausalVAE) -> None:
        self.network = network

    def encode_stream(self, groups_BCFHW: Iterator[Tensor]) -> Iterator[Tensor]:
        """Raw latents ``(B, z, 1, h, w)`` of each group: the first frame, then every four."""
        cache: list[Tensor] = []
        for group_BCFHW in groups_BCFHW:
            with torch.inference_mode():
                latents_BCTHW = self.network.encode(group_BCFHW, cache)
            yield latents_BCTHW

    def decode(self, latents_BCTHW: Tensor, *, is_start: bool) -> Iterator[Tensor]:
        """RGB near [-1, 1], ``(1, 3, f, H, W)``, a few latent frames at a time."""
        cache: list[Tensor] = []
        for piece_BCTHW in torch.split(latents_BCTHW, DECODED_AT_ONCE, dim=2):
            yield self.network.decode(piece_BCTHW, cache, is_start=is_start)
            is_start = False


def load_tiny(name: str, folder: Path, *, device: str, dtype: str | None) -> LatentVAE:
    """The TinyCausalVAE saved in a local folder (the shipped one, or one that you trained)."""
    config = read_config(folder)
    z_channels = int(config["z_dim"])
    mean, std = normalisation(
        f"{name}:{folder}", z_channels, config.get("latents_mean"), config.get("latents_std")
    )
    torch_device, torch_dtype = compute_device(device), compute_dtype(dtype)
    network = TinyCausalVAE.from_pretrained(
        folder, torch_dtype=torch_dtype, local_files_only=True, use_safetensors=True
    )
    check_weights(network.state_dict(), folder)
    return LatentVAE(
        vae_id=name,
        sha256=weights_sha256(folder),
        z_channels=z_channels,
        spatial_stride=SPATIAL_STRIDE,
        latents_mean=mean,
        latents_std=std,
        append_exact=True,
        codec=TinyCodec(network.to(torch_device).eval().requires_grad_(False)),
        device=torch_device,
        dtype=torch_dtype,
    )
