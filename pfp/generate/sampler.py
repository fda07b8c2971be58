"""Sampling latent frames from a MemoryDiT with diffusers' flow-matching Euler scheduler.

Axes: B batch, C latent channels, T target latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from pfp.errors import ConfigError
from pfp.models.backbones.wan import Memory
from pfp.models.memory_dit import MemoryDiT
from pfp.models.precision import bf16_products


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """Euler steps from pure noise; ``shift`` moves them towards high noise, as in training."""

    num_steps: int = 16
    shift: float = 3.0
    autocast: bool = True

    def __post_init__(self) -> None:
        """Refuses what cannot sample."""
        if self.num_steps < 1:
            message = f"num_steps is {self.num_steps}; give 1 or more"
            raise ConfigError(message)


@torch.inference_mode()
def sample_frames(
    model: MemoryDiT,
    *,
    memory: Memory | None,
    text_BLD: Tensor,
    frame_index_BT: Tensor,
    latent_size: tuple[int, int],
    settings: SamplerSettings,
    seed: int,
) -> Tensor:
    """Latents ``(B, C, T, H, W)``, normalised float32, of the frames with the given indices.

    ``memory`` is ``model.remember(hr, lr)``, computed once for all steps. The noise is a function
    of the seed alone, so that arms that are compared start from the same.
    """
    batch, num_frames = frame_index_BT.shape
    shape = (batch, model.dit.config.in_channels, num_frames, *latent_size)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    scheduler = FlowMatchEulerDiscreteScheduler(shift=settings.shift)
    scheduler.set_timesteps(settings.num_steps)
    for timestep in scheduler.timesteps:
        timestep_BT = timestep.expand(batch, num_frames)
        with bf16_products(enabled=settings.autocast):
            velocity = model(latents, timestep_BT, text_BLD, frame_index_BT, memory=memory)
        latents = scheduler.step(velocity.float(), timestep, latents).prev_sample
    return latents
