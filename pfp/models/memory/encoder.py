"""The memory encoder phi: a long latent history becomes a short run of DiT tokens (section 3.1).

A high-resolution (HR) branch of strided 3D convolutions is added to the low-resolution (LR)
branch, which is the backbone's own patchify and first projection over a small, slow copy of the
video. The addition happens after that projection, so the HR branch does not pass through the
VAE's 16 channels. The other variants are what the paper compares it with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pfp.errors import ConfigError
from pfp.models.memory.branch import HighResolutionBranch
from pfp.models.memory.config import VARIANTS
from pfp.models.memory.multi_rate import Encoder, MultiRateEncoder
from pfp.models.memory.tokens import MemoryTokens, centre_positions, joined, pooled_positions
from pfp.models.memory.variants import (
    WINDOW,
    EncoderState,
    LargePatchifier,
    MemoryEncoder,
    SlidingWindow,
)
from pfp.models.rates import Rate, Rounding, TimeStride

__all__ = [
    "VARIANTS",
    "Encoder",
    "EncoderState",
    "HighResolutionBranch",
    "LargePatchifier",
    "MemoryEncoder",
    "MemoryTokens",
    "MultiRateEncoder",
    "SlidingWindow",
    "centre_positions",
    "joined",
    "make_encoder",
    "make_encoders",
    "pooled_positions",
]


def make_encoder(
    variant: str,
    rate: Rate,
    patch_embedding: nn.Conv3d,
    *,
    stride: TimeStride = "causal",
    rounding: Rounding = "floor",
    window: int = WINDOW,
    temporal_kernel: int = 2,
    attention_frames: int = 1,
) -> Encoder | None:
    """The encoder of a variant, ready to train; None for ``no_memory``.

    ``stride`` is how the HR branch halves time: the paper does not say; we infer causal, which
    keeps both branches in step and lets histories grow. ``rounding`` is what happens to rows and
    columns that fill no token: the paper's counts cut them. ``window`` is sliding_window's length
    in latent frames; that variant has no rate. ``temporal_kernel`` and ``attention_frames`` are
    those of ``HighResolutionBranch``.
    """
    z_channels, inner_dim = patch_embedding.in_channels, patch_embedding.out_channels
    patch = patch_embedding.kernel_size[1]

    def branch(*, zero_init: bool) -> HighResolutionBranch:
        return HighResolutionBranch(
            z_channels,
            inner_dim,
            rate,
            patch=patch,
            stride=stride,
            zero_init=zero_init,
            temporal_kernel=temporal_kernel,
            attention_frames=attention_frames,
        )

    match variant:
        case "proposed":
            hr = branch(zero_init=True)
            return MemoryEncoder(rate, hr=hr, lr=True, patch=patch, rounding=rounding)
        case "without_lr":
            hr = branch(zero_init=False)
            _init_bias(hr, patch_embedding)
            return MemoryEncoder(rate, hr=hr, lr=False, patch=patch, rounding=rounding)
        case "only_lr":
            return MemoryEncoder(rate, hr=None, lr=True, patch=patch, rounding=rounding)
        case "large_patchifier":
            encoder = LargePatchifier(z_channels, inner_dim, rate, patch=patch, rounding=rounding)
            encoder.init_from(patch_embedding)
            return encoder
        case "sliding_window":
            return SlidingWindow(window)
        case "no_memory":
            return None
    message = f"variant {variant!r} is unknown; choose one of {', '.join(VARIANTS)}"
    raise ConfigError(message)


def make_encoders(
    variants: Sequence[tuple[str, Rate]],
    patch_embedding: nn.Conv3d,
    *,
    stride: TimeStride = "causal",
    rounding: Rounding = "floor",
    window: int = WINDOW,
    temporal_kernel: int = 2,
    attention_frames: int = 1,
) -> MultiRateEncoder:
    """An encoder of (variant, rate) pairs: ``[("proposed", r442), ("proposed", r228)]``."""
    made = [
        make_encoder(
            variant,
            rate,
            patch_embedding,
            stride=stride,
            rounding=rounding,
            window=window,
            temporal_kernel=temporal_kernel,
            attention_frames=attention_frames,
        )
        for variant, rate in variants
    ]
    return MultiRateEncoder([encoder for encoder in made if encoder is not None])


def _init_bias(hr: HighResolutionBranch, patch_embedding: nn.Conv3d) -> None:
    """Initialise the projection's bias with the base's, which is its token of a latent of zeros.

    Without the LR branch nothing else carries memory, so the weights must not be zero. Section 4.2
    does not say how they are initialised; we infer torch's default random weights.
    """
    if patch_embedding.bias is not None and hr.project.bias is not None:
        with torch.no_grad():
            hr.project.bias.copy_(patch_embedding.bias)
