"""The paper's training objectives: flow matching of frames, given a compressed history.

Axes: B batch, C latent channels, T latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pfp.models.memory_dit import MemoryDiT

NUM_TRAIN_TIMESTEPS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One step's samples, all of one shape.

    Latents are normalised: float32 as the model takes them, fp16 as they are stored and loaded.
    ``hr`` and ``lr`` are the history H that phi sees, ``target`` the frames to denoise (H_Omega
    for retrieval, the next section X_0 for continuation) at true latent indices ``frame_index``.
    ``origin`` is where a crop lies in its picture, in patches.
    """

    hr_BCTHW: Tensor
    lr_BCTHW: Tensor
    target_BCTHW: Tensor
    frame_index_BT: Tensor
    text_BLD: Tensor
    origin_B2: Tensor | None = None

    def pin_memory(self) -> Batch:
        """The same in pinned memory; a DataLoader calls it."""
        return self._map(Tensor.pin_memory)

    def to(self, device: torch.device | str) -> Batch:
        """On a device, without waiting for it, floats as float32."""
        return self._map(
            lambda tensor: (
                tensor.to(device, non_blocking=True).float()
                if tensor.is_floating_point()
                else tensor.to(device, non_blocking=True)
            )
        )

    def _map(self, fn: Callable[[Tensor], Tensor]) -> Batch:
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {k: None if x is None else fn(x) for k, x in tensors.items()}
        return Batch(**changed)


def sample_times(num: int, generator: torch.Generator, *, shift: float = 3.0) -> Tensor:
    """Shifted logit-normal times in (0, 1) (Esser et al. 2024), ``(num,)`` float32.

    The paper writes L(0, 1) for it and gives no shift; Wan's and HunyuanVideo's own lie between 3
    and 12 for far longer sequences, we infer 3 for short targets.
    """
    times = torch.randn(num, generator=generator).sigmoid()
    return shift * times / (1 + (shift - 1) * times)


def velocity_loss(model: MemoryDiT, batch: Batch, generator: torch.Generator) -> Tensor:
    """Equations 3 and 4: ``|| (eps - X) - G(X_t, t, c, phi(H)) ||^2``, mean over everything.

    Equation 3 (retrieval) and equation 4 (continuation) differ only in what the target is.
    """
    target = batch.target_BCTHW
    noise = torch.randn(target.shape, generator=generator)
    times_B = sample_times(len(target), generator)
    times = times_B[:, None, None, None, None]
    noisy = (1 - times) * target + times * noise
    timestep_BT = (times_B * NUM_TRAIN_TIMESTEPS)[:, None].expand(-1, target.shape[2])
    memory = model.remember(batch.hr_BCTHW, batch.lr_BCTHW)
    velocity = model(
        noisy,
        timestep_BT,
        batch.text_BLD,
        batch.frame_index_BT,
        memory=memory,
        origin_B2=batch.origin_B2,
    )
    error: Tensor = (velocity.float() - (noise - target)).square().mean()
    return error


def random_frame_set(num_frames: int, size: int, generator: torch.Generator) -> Tensor:
    """Omega: ``size`` distinct latent frames of ``[0, num_frames)``, in order (section 3.1).

    Random, because a fixed choice lets the encoder spend all its tokens on those frames.
    """
    return torch.randperm(num_frames, generator=generator)[:size].sort().values
