"""Spreading a base over ranks that is too large for one device: FSDP2.

Accelerate's own FSDP2 acts on blocks whose ``forward`` is called, and only on GPUs. Ours are
entered by a function for each (``Backbone.blocks``), so the units are made here, and the function
is told to torch as one of the block's forward methods.
"""

from __future__ import annotations

from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from pfp.train.objective import Denoising


def shard(denoising: Denoising, *, device_type: str, num_ranks: int) -> None:
    """Split every block's weights, and what is left, over all ranks, in place.

    A rank then holds its share of the base, of gradients and of moments; a block is put together
    when it is needed. Weights are gathered in the dtype that they are stored in: bf16 for a frozen
    base, float32 for what is trained.
    """
    mesh = init_device_mesh(device_type, (num_ranks,))
    model = denoising.model
    for block in model.backbone.blocks(model.dit):
        method = block.as_method()
        fully_shard(block.module, mesh=mesh)
        register_fsdp_forward_method(block.module, method)
    fully_shard(denoising, mesh=mesh)
    register_fsdp_forward_method(denoising, "errors_at")
