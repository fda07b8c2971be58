"""Small real networks with random weights."""

import pytest
import torch
from diffusers import WanTransformer3DModel


@pytest.fixture
def small_dit() -> WanTransformer3DModel:
    """A real Wan DiT of two narrow layers, with random weights everywhere."""
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
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return dit.eval()
