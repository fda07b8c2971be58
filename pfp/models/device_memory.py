"""How much device memory a backbone will take, said before anything is loaded.

    weights      parameters x bytes each; modules that diffusers keeps in float32 are under 1%
    LoRA         rank x (in + out) of every target, float32
    gradients    one float32 for each LoRA weight
    optimiser    two float32 for each LoRA weight (AdamW)
    activations  tokens x 2 bytes x (blocks x D + a x D + b x F) when training,
                 tokens x 2 bytes x max(c x D, d x D + 2 x F) when sampling

D is the inner width, F the feed-forward's. Training is under bf16 autocast with gradient
checkpointing: every block's input is kept (blocks x D), and one block at a time is computed again
with all that its backward pass needs (a, b). a to d were fitted to allocations that torch.profiler
recorded on the CPU, D 512 and 1024, F/D 1 to 8; against them the formula is within 15%. Attention
that keeps no score matrix is assumed. Left out: the memory encoder, the VAE, what NCCL and the
allocator hold back. The first GPU run should leave a tenth free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import nn

from pfp.errors import ConfigError
from pfp.models.backbones.loading import Architecture, architecture, backbone_of

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
    widths = _live_widths(sizes, training=training)
    return DeviceMemoryEstimate(
        weights_bytes=num_weights * bytes_per_weight,
        lora_bytes=lora_bytes,
        gradients_bytes=lora_bytes * training,
        optimiser_bytes=2 * lora_bytes * training,
        activations_bytes=math.ceil(batch_size * num_tokens * BYTES_PER_ACTIVATION * widths),
    )


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


def _live_widths(sizes: Architecture, *, training: bool) -> float:
    config: dict[str, Any] = dict(sizes.config)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    hidden = config["ffn_dim"] if "ffn_dim" in config else config["mlp_ratio"] * width
    num_blocks = config["num_layers"] + config.get("num_single_layers", 0)
    fit = _FITS[sizes.model_class.__name__]
    if training:
        return float((num_blocks + fit.a) * width + fit.b * hidden)
    return float(max(fit.c * width, fit.d * width + 2 * hidden))
