"""A small variant with random weights, VAEs of true depth with random weights, and what ships."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiny import TinyCausalVAE

WAN22_CONFIG = {
    "z_dim": 48,
    "decoder_base_dim": 8,
    "is_residual": True,
    "patch_size": 2,
    "in_channels": 12,
    "out_channels": 12,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}

VariantMaker = Callable[..., MemoryDiT]


@pytest.fixture
def make_variant() -> VariantMaker:
    """Makes variants on a real Wan DiT of two narrow layers, with random weights everywhere."""

    def make(variant: str = "proposed", **config: Any) -> MemoryDiT:
        torch.manual_seed(0)
        dit = WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=24,
            in_channels=16,
            out_channels=16,
            text_dim=8,
            freq_dim=32,
            ffn_dim=64,
            num_layers=2,
        )
        made = MemoryDiT(dit, MemoryDiTConfig(variant=variant, lora_rank=4, **config))
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return made.eval()

    return make


@pytest.fixture
def small_variant(make_variant: VariantMaker) -> MemoryDiT:
    """The proposed variant."""
    return make_variant()


@pytest.fixture(scope="session")
def vae() -> LatentVAE:
    """The tiny VAE."""
    return load_vae("tiny")


@pytest.fixture(scope="session", params=["tiny", "wan21", "wan22_5b"])
def causal_vae(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LatentVAE:
    """Each causal VAE at its true depth, which decides its reach in time; narrow and random."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "tiny":
        made: Any = TinyCausalVAE(
            hidden_channels=16, latents_mean=[0.0] * 16, latents_std=[1.0] * 16
        )
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.copy_(torch.randn(parameter.shape) / 4)
    else:
        made = AutoencoderKLWan(base_dim=8, **(WAN22_CONFIG if request.param == "wan22_5b" else {}))
    made.save_pretrained(folder)
    return load_vae(f"{request.param}:{folder}")
