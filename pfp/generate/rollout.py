"""Autoregressive generation: each section is sampled from the compressed history, then joins it.

Axes: T latent frames, F video frames, C channels, H rows, W columns, L text tokens, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pfp.generate.retrieve import history_tensors
from pfp.generate.sampler import SamplerSettings, sample_frames
from pfp.models.memory_dit import MemoryDiT
from pfp.models.precision import bf16_products
from pfp.models.vae.latent_vae import LatentVAE

EncodeLowResolution = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What has been seen so far: HR and LR latents, and the frames themselves.

    ``hr_TCHW`` has an odd number T of latent frames, so that HR and LR end together; the frames
    are uint8 RGB, ``4T - 3`` of them.
    """

    hr_TCHW: NDArray[np.float32]
    lr_TCHW: NDArray[np.float32]
    frames_FHWC: NDArray[np.uint8]


def continue_history(
    model: MemoryDiT,
    vae: LatentVAE,
    history: History,
    section_texts_LD: Sequence[NDArray[np.float16]],
    encode_low_resolution: EncodeLowResolution,
    *,
    section_latents: int,
    settings: SamplerSettings,
    seed: int,
) -> Iterator[NDArray[np.uint8]]:
    """Yield each section's frames in turn, uint8 RGB ``(4 * section_latents, H, W, 3)``.

    ``section_texts_LD`` holds each section's prompt, the nearest in time, alone (section 4.1).
    ``section_latents`` is even, so that HR and LR stay in step. The history's frames stay as they
    were; what is generated is decoded in their context and encoded again for the LR branch.
    """
    for number, text_LD in enumerate(section_texts_LD):
        num_latents = len(history.hr_TCHW)
        hr, lr = history_tensors(history.hr_TCHW, history.lr_TCHW)
        with (
            torch.inference_mode(),
            bf16_products(enabled=settings.autocast),
        ):
            memory = model.remember(hr, lr)
        sampled = sample_frames(
            model,
            memory=memory,
            text_BLD=torch.from_numpy(text_LD.astype(np.float32))[None],
            frame_index_BT=torch.arange(num_latents, num_latents + section_latents)[None],
            latent_size=(hr.shape[3], hr.shape[4]),
            settings=settings,
            seed=seed + number,
        )
        hr_TCHW = np.concatenate([history.hr_TCHW, sampled[0].transpose(0, 1).numpy()])
        new_FHWC = vae.decode(hr_TCHW)[len(history.frames_FHWC) :]
        frames_FHWC = np.concatenate([history.frames_FHWC, new_FHWC])
        history = History(
            hr_TCHW=hr_TCHW,
            lr_TCHW=encode_low_resolution(frames_FHWC),
            frames_FHWC=frames_FHWC,
        )
        yield new_FHWC
