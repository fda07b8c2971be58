"""The smallest model and batches that a training can have, the same every time."""

from __future__ import annotations

from dataclasses import replace

import torch

from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.train.objective import Batch
from tests.small_models import small_wan


def tiny_model(variant: str = "proposed") -> MemoryDiT:
    """A real Wan DiT of one narrow layer with a variant."""
    dit = small_wan(attention_head_dim=12, freq_dim=16, ffn_dim=32, num_layers=1)
    return MemoryDiT(dit, MemoryDiTConfig(variant=variant, lora_rank=2))


def held_out_window(number: int) -> Batch:
    """A window of one sample, which depends on its number alone."""
    batch = batch_at(0, torch.Generator().manual_seed(1000 + number))
    return replace(
        batch,
        **{
            name: getattr(batch, name)[:1]
            for name in ("hr_BCTHW", "lr_BCTHW", "target_BCTHW", "text_BLD")
        },
        frame_index_BT=torch.tensor([[number % 4]]),
    )


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
