"""Small real networks, the same every time: what tests train and sample from."""

from __future__ import annotations

from typing import Any, Final

import torch
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel

SMALL_WAN: Final = {
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 8,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
}
SMALL_HUNYUAN: Final = {
    "in_channels": 16,
    "out_channels": 16,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "num_refiner_layers": 1,
    "text_embed_dim": 12,
    "pooled_projection_dim": 10,
    "rope_axes_dim": (4, 6, 6),
}


def small_wan(**changes: Any) -> WanTransformer3DModel:
    """A real Wan DiT of two narrow layers, with the random weights that it begins with."""
    torch.manual_seed(0)
    return WanTransformer3DModel(**{**SMALL_WAN, **changes}).eval()


def small_hunyuan(**changes: Any) -> HunyuanVideoTransformer3DModel:
    """A real text-to-video HunyuanVideo DiT, two blocks of each kind."""
    torch.manual_seed(0)
    return HunyuanVideoTransformer3DModel(**{**SMALL_HUNYUAN, **changes}).eval()


def with_noise(model: Any) -> Any:
    """The model with noise on every weight, also on those that start at zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model
