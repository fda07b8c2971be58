"""The smallest model and batches that a training can have, the same every time."""

from __future__ import annotations

import torch
from diffusers import WanTransformer3DModel

from pfp.models.memory_dit import ArmConfig, MemoryDiT
from pfp.train.objective import Batch


def tiny_model(arm: str = "proposed") -> MemoryDiT:
    """A real Wan DiT of one narrow layer with an arm."""
    torch.manual_seed(0)
    dit = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=8,
        freq_dim=16,
        ffn_dim=32,
        num_layers=1,
    )
    return MemoryDiT(dit, ArmConfig(arm=arm, lora_rank=2))


def batch_at(step: int, generator: torch.Generator) -> Batch:
    """Random latents that depend on the generator alone."""
    del step
    return Batch(
        hr_BCTHW=torch.randn(2, 16, 3, 8, 8, generator=generator),
        lr_BCTHW=torch.randn(2, 16, 2, 2, 2, generator=generator),
        target_BCTHW=torch.randn(2, 16, 1, 8, 8, generator=generator),
        frame_index_BT=torch.tensor([[1], [2]]),
        text_BLD=torch.randn(2, 3, 8, generator=generator),
    )
