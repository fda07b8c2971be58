"""A small arm with random weights, and the VAE that ships."""

import pytest
import torch
from diffusers import WanTransformer3DModel

from pfp.models.memory_dit import ArmConfig, MemoryDiT
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE


@pytest.fixture
def small_arm() -> MemoryDiT:
    """A real Wan DiT of two narrow layers with the proposed encoder, random weights everywhere."""
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
    arm = MemoryDiT(dit, ArmConfig(arm="proposed", lora_rank=4))
    with torch.no_grad():
        for parameter in arm.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return arm.eval()


@pytest.fixture(scope="session")
def vae() -> LatentVAE:
    """The tiny VAE."""
    return load_vae("tiny")
