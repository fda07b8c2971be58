"""How much device memory a model will take, said before anything is loaded.

    weights      parameters x bytes each; modules that diffusers keeps in float32 are under 1%
    LoRA         rank x (in + out) of every target, float32
    gradients    one float32 for each LoRA weight
    optimiser    two float32 for each LoRA weight (AdamW)
    activations  tokens x 2 bytes x (blocks x D + a x D + b x F) when training,
                 tokens x 2 bytes x blocks x (a x D + b x F) without checkpointing,
                 tokens x 2 bytes x max(c x D, d x D + 2 x F) when sampling

D is the inner width, F the feed-forward's. Training is under bf16 autocast with gradient
checkpointing: every block's input is kept (blocks x D), and one block at a time is computed again
with all that its backward pass needs (a, b). a to d were fitted to allocations that torch.profiler
recorded on the CPU, D 512 and 1024, F/D 1 to 8; against them the formula is within 15%. Attention
that keeps no score matrix is assumed. What an encoder keeps for its backward pass is counted in a
forward of tensors without memory. ``pfp.train.device_memory`` adds up what a training's process
holds of all these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from pfp.errors import ConfigError
from pfp.models.backbones.loading import Architecture, architecture, backbone_of
from pfp.models.memory.config import MemoryDiTConfig
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products

BYTES_PER_ACTIVATION: Final = 2
_FLOAT32: Final = 4


class _Fit(NamedTuple):
    """Widths that live at once in a block: training a x D + b x F, sampling c x D or d x D + 2F."""

    a: float
    b: float
    c: float
    d: float


_FITS: Final = {
    "WanTransformer3DModel": _Fit(a=33.0, b=4.2, c=14.0, d=4.0),
    "HunyuanVideoTransformer3DModel": _Fit(a=25.5, b=4.2, c=17.0, d=3.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemoryEstimate:
    """Bytes by what they are for; sampling has no gradients and no optimiser."""

    weights_bytes: int
    lora_bytes: int
    gradients_bytes: int
    optimiser_bytes: int
    activations_bytes: int

    @property
    def total_bytes(self) -> int:
        """The sum of all parts."""
        return (
            self.weights_bytes
            + self.lora_bytes
            + self.gradients_bytes
            + self.optimiser_bytes
            + self.activations_bytes
        )

    def __str__(self) -> str:
        """One line to print before loading, in GB of 10^9 bytes."""
        parts = ("weights", "lora", "gradients", "optimiser", "activations")
        said = ", ".join(f"{part} {getattr(self, f'{part}_bytes') / 1e9:.2f}" for part in parts)
        return f"about {self.total_bytes / 1e9:.1f} GB of device memory: {said}"


def estimate_device_memory(
    backbone: str | Architecture,
    *,
    num_tokens: int,
    lora_rank: int,
    lora_targets: str = "attention_ffn",
    batch_size: int = 1,
    bytes_per_weight: int = 2,
    training: bool = True,
) -> DeviceMemoryEstimate:
    """What one device needs that holds the whole model.

    ``num_tokens`` is a sample's sequence: memory and target, and for HunyuanVideo the prompt too.
    Nothing is allocated: parameters are counted on the meta device.
    """
    sizes = architecture(backbone) if isinstance(backbone, str) else backbone
    if min(num_tokens, batch_size, lora_rank) < 1:
        raise ConfigError(
            f"num_tokens {num_tokens}, batch_size {batch_size} and lora_rank {lora_rank} must be "
            "1 or more; correct the one that is not"
        )
    with torch.device("meta"):
        dit = sizes.build()
    num_weights = sum(parameter.numel() for parameter in dit.parameters())
    lora_bytes = _FLOAT32 * lora_parameters(dit, lora_rank, lora_targets)
    return DeviceMemoryEstimate(
        weights_bytes=num_weights * bytes_per_weight,
        lora_bytes=lora_bytes,
        gradients_bytes=lora_bytes * training,
        optimiser_bytes=2 * lora_bytes * training,
        activations_bytes=activation_bytes(sizes, batch_size * num_tokens, training=training),
    )


def activation_bytes(
    sizes: Architecture, num_tokens: int, *, training: bool = True, checkpointed: bool = True
) -> int:
    """What a backbone's activations take at their most, of all tokens of a batch."""
    widths = _live_widths(sizes, training=training, checkpointed=checkpointed)
    return math.ceil(num_tokens * BYTES_PER_ACTIVATION * widths)


def lora_parameters(dit: nn.Module, rank: int, targets: str) -> int:
    """Weights that LoRA of a rank adds to a backbone's ``attention`` or ``attention_ffn``."""
    known = backbone_of(dit).lora_targets
    if targets not in known:
        raise ConfigError(f"lora_targets {targets!r} is unknown; choose {' or '.join(known)}")
    # As peft matches them: the whole name, or its end after a dot.
    ends = tuple(f".{name}" for name in known[targets])
    maps = [
        module
        for name, module in dit.named_modules()
        if isinstance(module, nn.Linear) and f".{name}".endswith(ends)
    ]
    return sum(rank * (linear.in_features + linear.out_features) for linear in maps)


def _live_widths(sizes: Architecture, *, training: bool, checkpointed: bool) -> float:
    config: dict[str, Any] = dict(sizes.config)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    hidden = config["ffn_dim"] if "ffn_dim" in config else config["mlp_ratio"] * width
    num_blocks = config["num_layers"] + config.get("num_single_layers", 0)
    fit = _FITS[sizes.model_class.__name__]
    if not training:
        return float(max(fit.c * width, fit.d * width + 2 * hidden))
    block = fit.a * width + fit.b * hidden
    return float(num_blocks * width + block if checkpointed else num_blocks * block)


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
