"""Small real networks with random weights."""

import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel


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


def with_random_weights(model: torch.nn.Module) -> torch.nn.Module:
    """The model with noise on every weight, also on those that start at zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


SMALL_HUNYUAN = {
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


@pytest.fixture
def small_hunyuan() -> HunyuanVideoTransformer3DModel:
    """A real text-to-video HunyuanVideo DiT, two blocks of each kind, random weights everywhere."""
    torch.manual_seed(0)
    return with_random_weights(HunyuanVideoTransformer3DModel(**SMALL_HUNYUAN))


@pytest.fixture
def small_hunyuan_of_two_levels(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> HunyuanVideoTransformer3DModel:
    """The same weights in diffusers' class of two timesteps: the first frame's, and the others'."""
    two_levels = HunyuanVideoTransformer3DModel(
        **SMALL_HUNYUAN, image_condition_type="token_replace"
    )
    two_levels.load_state_dict(small_hunyuan.state_dict())
    return two_levels.eval()
