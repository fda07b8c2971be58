"""How TinyCausalVAE is trained: principal components first, then mean squared error under noise.

Axes: B batch, C channels, T latent frames, F video frames, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from numpy.typing import NDArray
from scipy.linalg import hadamard
from torch import Tensor

from pfp.models.precision import bf16_products
from pfp.models.vae.tiny import TEMPORAL_STRIDE, TinyCausalVAE, fold

MAX_NOISE: Final = 0.2  # of a unit-variance latent; what a sampler's small errors look like
SCALE_PENALTY: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeTraining:
    """How long and how: the defaults are those of the shipped weights."""

    num_steps: int = 1500
    batch_size: int = 8
    num_frames: int = 17
    crop: int = 96
    learning_rate: float = 1e-3
    seed: int = 0


def to_unit_range(frames_THWC: NDArray[np.uint8]) -> Tensor:
    """uint8 RGB ``(T, H, W, 3)`` to float32 in [-1, 1], ``(3, T, H, W)``."""
    return torch.from_numpy(frames_THWC).permute(3, 0, 1, 2).float().div_(127.5).sub_(1.0)


def start_from_principal_components(vae: TinyCausalVAE, windows: list[NDArray[np.uint8]]) -> None:
    """Set both linear maps to the windows' first principal components.

    A component of variance v gets the amplitude v^(1/4): under equal noise in every channel that
    is the linear code of least squared error. A Hadamard turn then gives all channels the same
    power, so that no channel matters more than another to the diffusion loss.
    """
    folded_NC = torch.cat(
        [
            fold(to_unit_range(window[: len(window) // 4 * 4])[None]).movedim(2, -1).flatten(0, 3)
            for window in windows
        ]
    )
    mean_C = folded_NC.mean(0)
    z_dim = vae.config.z_dim
    values, vectors_CZ = torch.linalg.eigh((folded_NC - mean_C).T.cov())
    values, vectors_CZ = values[-z_dim:], vectors_CZ[:, -z_dim:]
    gain_Z = values**-0.25 / values.sqrt().mean().sqrt()
    turn_ZZ = torch.from_numpy(hadamard(z_dim)).float() / math.sqrt(z_dim)
    into_ZC = turn_ZZ @ (vectors_CZ * gain_Z).T
    back_CZ = (vectors_CZ / gain_Z) @ turn_ZZ.T
    with torch.no_grad():
        vae.encoder.linear.weight.copy_(into_ZC[..., None, None])
        vae.encoder.linear.bias.copy_(-into_ZC @ mean_C)  # type: ignore[union-attr]
        vae.decoder.linear.weight.copy_(back_CZ[..., None, None])
        vae.decoder.linear.bias.copy_(mean_C)  # type: ignore[union-attr]


def vae_loss(vae: TinyCausalVAE, frames_BCFHW: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared error of a decoded stretch of latents that begins anywhere, under noise."""
    latents_BCTHW = vae.encode(frames_BCFHW)
    num_latents = latents_BCTHW.shape[2]
    spread = latents_BCTHW.float().var(dim=(0, 2, 3, 4))
    first, last = 0, num_latents
    if torch.rand((), generator=generator) < 0.5:
        first = int(torch.randint(num_latents, (), generator=generator))
        last = int(torch.randint(first + 1, num_latents + 1, (), generator=generator))
    stretch = latents_BCTHW[:, :, first:last]
    level = MAX_NOISE * torch.rand(len(stretch), 1, 1, 1, 1, generator=generator)
    stretch = stretch + level * torch.randn(stretch.shape, generator=generator)
    decoded = vae.decode(stretch, is_start=first == 0)
    begin = TEMPORAL_STRIDE * first - 3 if first else 0
    true = frames_BCFHW[:, :, begin : begin + decoded.shape[2]]
    error = (decoded.float() - true).square().mean()
    return error + SCALE_PENALTY * spread.log().square().mean()


def train_vae(
    vae: TinyCausalVAE,
    batches: Iterator[Tensor],
    training: VaeTraining,
    report: Callable[[int, float], None],
) -> None:
    """Train in place on batches ``(B, 3, F, H, W)`` in [-1, 1]; the averaged weights are kept."""
    generator = torch.Generator().manual_seed(training.seed)
    named = list(vae.named_parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if ".linear." in name], "lr_share": 0.2},
        {"params": [p for name, p in named if ".linear." not in name]},
    ]
    optimiser = torch.optim.AdamW(
        groups,
        lr=training.learning_rate,
        weight_decay=0.0,
        betas=(0.9, 0.99),
    )
    ema = EMAModel(vae.parameters(), decay=0.995)
    for step in range(training.num_steps):
        share = (
            min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / training.num_steps))
        )
        for group in optimiser.param_groups:
            group["lr"] = training.learning_rate * share * group.get("lr_share", 1.0)
        with bf16_products():
            loss = vae_loss(vae, next(batches), generator)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        ema.step(vae.parameters())
        report(step, loss.item())
    ema.copy_to(vae.parameters())


@torch.no_grad()
def measure_latents(
    vae: TinyCausalVAE, windows: list[NDArray[np.uint8]]
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of every latent channel over the windows."""
    latents_NZ = torch.cat(
        [vae.encode(to_unit_range(window)[None]).movedim(1, -1).flatten(0, 3) for window in windows]
    ).double()
    return latents_NZ.mean(0).tolist(), latents_NZ.std(0).tolist()
