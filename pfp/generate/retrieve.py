"""Frame retrieval: phi^-1(phi(H), Omega), by sampling the frames that the memory is asked for.

Axes: T latent frames, F video frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pfp.generate.sampler import sample_frames
from pfp.generate.settings import SamplerSettings
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products
from pfp.models.vae.latent_vae import LatentVAE


def as_history(latents_TCHW: NDArray[np.float16] | NDArray[np.float32]) -> torch.Tensor:
    """Stored latents as the model takes them: float32 ``(1, C, T, H, W)``."""
    return torch.from_numpy(latents_TCHW.astype(np.float32)).transpose(0, 1)[None]


def retrieve_latents(
    model: MemoryDiT,
    *,
    hr_TCHW: NDArray[np.float16],
    lrs_TCHW: Sequence[NDArray[np.float16]],
    omega: Sequence[int],
    text: torch.Tensor | TextConditions,
    settings: SamplerSettings,
    seed: int,
    negative: torch.Tensor | TextConditions | None = None,
) -> NDArray[np.float32]:
    """Sample the history's latent frames ``omega`` (indices in ``[0, T)``): ``(len, C, H, W)``.

    ``lrs_TCHW`` are the LR latents beside the history, one for each rate; ``text`` and ``negative``
    are as for ``sample_frames``. The history is clean, whatever masking the training
    used: evaluation sees what generation sees.
    """
    device = model.patch_embedding.weight.device
    hr, *lrs = (as_history(latents).to(device) for latents in (hr_TCHW, *lrs_TCHW))
    with torch.inference_mode(), bf16_products(device.type, enabled=settings.autocast):
        memory = model.encode_history(hr, *lrs)
    latents = sample_frames(
        model,
        memory=memory,
        text=text,
        negative=negative,
        frame_index_BT=torch.tensor([list(omega)]),
        latent_size=(hr_TCHW.shape[2], hr_TCHW.shape[3]),
        settings=settings,
        seed=seed,
    )
    return latents[0].transpose(0, 1).cpu().numpy()


def decode_alone(
    vae: LatentVAE, latents_TCHW: NDArray[np.float32], omega: Sequence[int]
) -> NDArray[np.uint8]:
    """Decode each latent frame by itself, uint8 RGB ``(F, H, W, 3)``.

    Retrieved frames have no neighbours to lean on, so none of them may. Latent 0 gives one video
    frame and every other four.
    """
    parts = [
        vae.decode(latent[None], is_start=index == 0)
        for latent, index in zip(latents_TCHW, omega, strict=True)
    ]
    return np.concatenate(parts)
