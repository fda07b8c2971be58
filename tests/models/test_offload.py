"""Blocks that lie elsewhere and visit: the same numbers, on the device only while they run."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.offload import offload_blocks
from tests.small_models import small_hunyuan, small_wan


def velocity(model: MemoryDiT, text_dim: int, device: str = "cpu") -> torch.Tensor:
    """One forward with memory, of equal inputs, without gradients."""
    generator = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device)

    with torch.inference_mode():
        memory = model.encode_history(noise(1, 16, 3, 16, 24), noise(1, 16, 2, 4, 6))
        out = model(
            noise(1, 16, 2, 16, 24),
            torch.full((1, 2), 600.0, device=device),
            TextConditions(
                noise(1, 5, text_dim),
                mask_BL=torch.ones(1, 5, dtype=torch.bool, device=device),
                pooled_BP=noise(1, 10),
                guidance_B=torch.full((1,), 6000.0, device=device),
            ),
            torch.tensor([[2, 7]], device=device),
            memory=memory,
        )
    assert isinstance(out, torch.Tensor)
    return out


@pytest.fixture(params=["wan", "hunyuan"])
def small(request: pytest.FixtureRequest) -> tuple[MemoryDiT, int]:
    """A small model of either family, and its text's width."""
    made = {"wan": (small_wan, "tiny", 8), "hunyuan": (small_hunyuan, "hunyuan", 12)}
    make, base, text_dim = made[request.param]
    dit: Any = make()
    return MemoryDiT(
        dit, MemoryDiTConfig(variant="proposed", base=base, lora_rank=4)
    ).eval(), text_dim


def test_visiting_blocks_compute_the_same(small: tuple[MemoryDiT, int]) -> None:
    """The velocity is the same to the bit, and what was kept away is all blocks' bytes."""
    model, text_dim = small
    expected = velocity(deepcopy(model), text_dim)
    blocks = [block.module for block in model.backbone.blocks(model.dit)]

    num_bytes = offload_blocks(model, "cpu")

    assert torch.equal(expected, velocity(model, text_dim))
    assert sum(p.nbytes for block in blocks for p in block.parameters()) == num_bytes


def test_blocks_are_on_the_device_only_while_they_run(small: tuple[MemoryDiT, int]) -> None:
    """With another device, one block at a time is there; afterwards all are home, uncopied."""
    model, text_dim = small
    blocks = [block.module for block in model.backbone.blocks(model.dit)]
    home = [p.data_ptr() for block in blocks for p in block.parameters()]
    there: list[int] = []

    def count(*_: Any) -> None:
        there.append(sum(next(block.parameters()).is_meta for block in blocks))

    for block in blocks:  # a part of every block that its function calls
        next(m for m in block.modules() if isinstance(m, nn.Linear)).register_forward_hook(count)
    offload_blocks(model, "meta")
    out = velocity(model, text_dim, "meta")

    assert out.is_meta
    assert len(blocks) <= len(there)
    assert set(there) == {1}
    assert home == [p.data_ptr() for block in blocks for p in block.parameters()]
    assert model.patch_embedding.weight.is_meta
    assert model.encoder is None or all(p.is_meta for p in model.encoder.parameters())
