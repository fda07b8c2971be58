"""Offloading: blocks' weights stay in CPU memory and are copied to the device one at a time.

diffusers' group offloading and accelerate's hooks wait for a module's own ``forward``, which is not
what runs here (``backbones.streams.Block``), so the method that runs is wrapped instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pfp.models.memory.dit import MemoryDiT


def offload_blocks(model: MemoryDiT, device: str | torch.device) -> int:
    """Move all of ``model`` to ``device`` but its blocks, and return the bytes of their weights.

    A block's weights are on the device while it runs. Not for training: what a block's backward
    pass needs would have been freed. For a CUDA device the weights in CPU memory are pinned, so
    that they are copied at the speed of the bus.
    """
    device = torch.device(device)
    blocks = model.backbone.blocks(model.dit)
    offloaded = {module for block in blocks for module in block.module.modules()}
    for module in model.modules():
        move = _to_cpu(device) if module in offloaded else (lambda tensor: tensor.to(device))
        module._apply(move, recurse=False)  # type: ignore[no-untyped-call]  # noqa: SLF001
    for block in blocks:
        name = block.as_method()
        copied = _CopiedBlock(block.module, getattr(block.module, name), device)
        setattr(block.module, name, copied.run)
    return sum(p.nbytes for block in blocks for p in block.module.parameters())


def _to_cpu(device: torch.device) -> Callable[[Tensor], Tensor]:
    pinned = device.type == "cuda"
    return lambda tensor: tensor.cpu().pin_memory() if pinned else tensor.cpu()


class _CopiedBlock(nn.Module):
    """A block's function as a module, which is what ``functional_call`` takes."""

    def __init__(
        self, block: nn.Module, function: Callable[..., Any], device: torch.device
    ) -> None:
        super().__init__()
        self.block = block
        self._function, self._device = function, device

    def forward(self, *arguments: Any) -> Any:
        """The block's output, with the weights that it has now."""
        return self._function(*arguments)

    def run(self, *arguments: Any) -> Any:
        """The same with copies of the weights on the device, which are freed when it has run."""
        there = {
            name: tensor.to(self._device, non_blocking=True)
            for name, tensor in [*self.named_parameters(), *self.named_buffers()]
        }
        return functional_call(self, there, arguments)
