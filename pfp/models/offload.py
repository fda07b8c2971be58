"""Blocks whose weights lie in the computer's memory and visit the device one at a time.

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
    pass needs would have left again. For a CUDA device the weights at home are pinned, so that they
    travel at the speed of the bus.
    """
    device = torch.device(device)
    blocks = model.backbone.blocks(model.dit)
    at_home = {module for block in blocks for module in block.module.modules()}
    for module in model.modules():
        place = _home_of(device) if module in at_home else (lambda tensor: tensor.to(device))
        module._apply(place, recurse=False)  # type: ignore[no-untyped-call]  # noqa: SLF001
    for block in blocks:
        name = block.as_method()
        visit = _Visit(block.module, getattr(block.module, name), device)
        setattr(block.module, name, visit.run)
    return sum(p.nbytes for block in blocks for p in block.module.parameters())


def _home_of(device: torch.device) -> Callable[[Tensor], Tensor]:
    pinned = device.type == "cuda"
    return lambda tensor: tensor.cpu().pin_memory() if pinned else tensor.cpu()


class _Visit(nn.Module):
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
        """The same with copies of the weights on the device, which go when it has run."""
        there = {
            name: tensor.to(self._device, non_blocking=True)
            for name, tensor in [*self.named_parameters(), *self.named_buffers()]
        }
        return functional_call(self, there, arguments)
