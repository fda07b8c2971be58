"""What of a model takes device memory when it is trained, counted before anything is loaded.

Activations of the backbone, of D inner width and F feed-forward width:

    tokens x 2 bytes x (blocks x D + a x D + b x F)     with gradient checkpointing
    tokens x 2 bytes x blocks x (a x D + b x F)         without

Training is under bf16 autocast. With checkpointing every block's input is kept (blocks x D), and
one block at a time is computed again with all that its backward pass needs (a, b). a and b were
fitted to allocations that torch.profiler recorded on the CPU, D 512 and 1024, F/D 1 to 8; against
them the formula is within 15%. Attention that keeps no score matrix is assumed. What an encoder
keeps for its backward pass is counted in a forward of tensors without memory.
``pfp.train.device_memory`` adds up what a training's process holds of all these.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from pfp.models.backbones.loading import Architecture, architecture
from pfp.models.memory.config import MemoryDiTConfig
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products

BYTES_PER_ACTIVATION: Final = 2
_FLOAT32: Final = 4


class _Fit(NamedTuple):
    """Widths that live at once in a block in training: a x D + b x F."""

    a: float
    b: float


_FITS: Final = {
    "WanTransformer3DModel": _Fit(a=33.0, b=4.2),
    "HunyuanVideoTransformer3DModel": _Fit(a=25.5, b=4.2),
}


def activation_bytes(sizes: Architecture, num_tokens: int, *, checkpointed: bool = True) -> int:
    """What a backbone's activations take at their most in training, of all tokens of a batch."""
    config: dict[str, Any] = dict(sizes.config)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    hidden = config["ffn_dim"] if "ffn_dim" in config else config["mlp_ratio"] * width
    num_blocks = config["num_layers"] + config.get("num_single_layers", 0)
    fit = _FITS[sizes.model_class.__name__]
    block = fit.a * width + fit.b * hidden
    widths: float = num_blocks * width + block if checkpointed else num_blocks * block
    return math.ceil(num_tokens * BYTES_PER_ACTIVATION * widths)


class WeightCounts(NamedTuple):
    """Numbers of a model's weights: of the frozen base, of LoRA, of encoder and cross-attention.

    ``block_base`` and ``block_lora`` are those of the largest block, ``rest_base`` the base's
    outside of blocks.
    """

    base: int
    lora: int
    memory: int
    block_base: int
    block_lora: int
    rest_base: int


@cache
def count_weights(config: MemoryDiTConfig) -> WeightCounts:
    """Counted on the meta device; seconds for the large bases, and no memory."""
    model = _on_meta(config)
    blocks = [block.module for block in model.backbone.blocks(model.dit)]
    base, lora = _num(model.dit, trained=False), _num(model.dit, trained=True)
    return WeightCounts(
        base=base,
        lora=lora,
        memory=sum(parameter.numel() for parameter in model.memory_parameters()),
        block_base=max(_num(block, trained=False) for block in blocks),
        block_lora=max(_num(block, trained=True) for block in blocks),
        rest_base=base - sum(_num(block, trained=False) for block in blocks),
    )


def _num(module: nn.Module, *, trained: bool) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad is trained)


def _on_meta(config: MemoryDiTConfig) -> MemoryDiT:
    with torch.device("meta"):
        return MemoryDiT(architecture(config.base).build(), config)


@cache
def encoder_activation_bytes(config: MemoryDiTConfig, hr_CTHW: tuple[int, ...]) -> int:
    """What a sample's memory encoder keeps for its backward pass, from a history of this shape.

    Counted in forwards of torch's fake tensors under bf16 autocast, as what a second sample adds:
    bf16 copies of weights are the same for all. The history itself, and what its mask makes of it,
    count as well, float32.
    """
    if not hr_CTHW[1] or config.variant == "no_memory":
        return 0
    model = _on_meta(config)
    with FakeTensorMode():
        for part in (model.encoder, model.patch_embedding):
            _without_memory(part)
        one, two = (_kept_bytes(model, num, hr_CTHW) for num in (1, 2))
    return two - one + 3 * _FLOAT32 * math.prod(hr_CTHW)


def _kept_bytes(model: MemoryDiT, batch_size: int, hr_CTHW: tuple[int, ...]) -> int:
    channels, num_frames, height, width = hr_CTHW
    lrs_BCTHW = [
        torch.empty(
            *(batch_size, channels, -(-num_frames // rate.time)),
            *(height // rate.height, width // rate.width),
        )
        for rate in model.config.rates
    ]
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # noqa: SLF001 - the only name that a storage has
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), bf16_products():
        model.encode_history(torch.empty(batch_size, *hr_CTHW), *lrs_BCTHW)
    return sum(storage.nbytes() for storage in kept.values())


def _without_memory(module: nn.Module | None) -> None:
    """Give a module of the meta device fake weights instead."""
    assert module is not None
    for part in module.modules():
        for name, weight in list(part._parameters.items()):  # noqa: SLF001 - swapped in place
            if weight is not None:
                part._parameters[name] = nn.Parameter(  # noqa: SLF001
                    torch.empty(weight.shape, dtype=weight.dtype),
                    requires_grad=weight.requires_grad,
                )


class VaeBytes(NamedTuple):
    """A VAE's weights, and what decoding one latent frame by itself holds at its most."""

    weights: int
    decoding: int


# Weights of the published configs in diffusers, and the bytes for each pixel of a frame that
# torch.profiler recorded on the CPU when two latents were decoded in float32 at 96 x 96.
_VAES: Final = {
    "wan21": (126_892_531, 20_526),
    "wan22_5b": (704_688_668, 22_522),
    "hunyuan": (246_478_803, 33_374),
}


def vae_bytes(name: str, size: tuple[int, int]) -> VaeBytes:
    """Of a VAE by its name, in float32, for frames of ``size`` (height, width) pixels.

    The tiny one's are nothing beside a device's memory.
    """
    num_weights, bytes_per_pixel = _VAES.get(name, (0, 0))
    return VaeBytes(_FLOAT32 * num_weights, bytes_per_pixel * math.prod(size))
