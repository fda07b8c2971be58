"""Sampling latent frames from a MemoryDiT with diffusers' flow-matching schedulers.

Axes: B batch, C latent channels, T target latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from pfp.errors import ConfigError, PermanentError
from pfp.generate.settings import SamplerSettings
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.finite import first_bad_layer, is_finite
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products

GUIDANCE_UNITS: Final = 1000.0  # an embedded guidance scale is given times this, as in diffusers


def make_scheduler(settings: SamplerSettings) -> Any:
    """Diffusers' scheduler with its timesteps set; a new one for every sample, since it has state.

    Both shift sigma to ``s * sigma / (1 + (s - 1) * sigma)``. Left to itself Euler's scheduler
    shifts the smallest sigma twice: it spaces sigmas down to that of a shifted training table, and
    shifts what it has spaced. UniPC keeps sigmas exactly and tells
    the model timesteps that are cut to whole numbers, as in the pipelines of Wan.
    """
    if settings.scheduler == "unipc":
        scheduler: Any = UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=settings.shift
        )
    else:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=settings.shift)
    if settings.sigmas == "even":
        num = settings.num_steps
        scheduler.set_timesteps(sigmas=[1 - step / num for step in range(num)])
    else:
        scheduler.set_timesteps(settings.num_steps)
    return scheduler


@torch.inference_mode()
def sample_frames(
    model: MemoryDiT,
    *,
    memory: Memory | None,
    text: Tensor | TextConditions,
    frame_index_BT: Tensor,
    latent_size: tuple[int, int],
    settings: SamplerSettings,
    seed: int,
    negative: Tensor | TextConditions | None = None,
    on_step: Callable[[], None] | None = None,
) -> Tensor:
    """Latents ``(B, C, T, H, W)``, normalised float32, of the frames with the given indices.

    ``memory`` is ``model.encode_history(hr, lr)``, computed once for all steps, and stands in both
    forwards of guidance, which is therefore guidance by text. ``negative`` is the negative prompt's
    condition, which a ``guidance_scale`` other than 1 needs (``ConfigError`` without), unless the
    model was distilled to guidance. ``on_step`` is called after every step. The noise is a function
    of the seed alone and drawn on the CPU, so that checkpoints that are compared start from the
    same.
    """
    batch, num_frames = frame_index_BT.shape
    device = model.patch_embedding.weight.device
    given, against = _conditions(
        model, text, negative, scale=settings.guidance_scale, batch=batch, device=device
    )
    frame_index_BT = frame_index_BT.to(device)
    shape = (batch, model.dit.config.in_channels, num_frames, *latent_size)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    scheduler = make_scheduler(settings)
    _check_given(memory, given, against)

    def velocity_at(latents: Tensor, timestep: Tensor) -> Tensor:
        timestep_BT = timestep.to(device, torch.float32).expand(batch, num_frames)
        with bf16_products(device.type, enabled=settings.autocast):
            velocity: Tensor = model(
                latents, timestep_BT, given, frame_index_BT, memory=memory
            ).float()
            if against is not None:
                other = model(latents, timestep_BT, against, frame_index_BT, memory=memory)
                velocity = guided(velocity, other.float(), settings.guidance_scale)
        return velocity

    for number, timestep in enumerate(scheduler.timesteps, 1):
        velocity = velocity_at(latents, timestep)
        if not is_finite(velocity):
            layer = first_bad_layer(model, partial(velocity_at, latents, timestep))
            raise PermanentError(
                f"step {number} of {settings.num_steps} computed NaN or infinity, first in "
                f"{layer or 'no single layer'}; check the weights of base and checkpoint, or set "
                "autocast off"
            )
        latents = scheduler.step(velocity, timestep, latents).prev_sample
        if on_step is not None:
            on_step()
    return latents


def _check_given(memory: Memory | None, *texts: TextConditions | None) -> None:
    """Raise PermanentError for memory or text that holds NaN: no layer of the model made it."""
    given = [("embeddings of the prompt", text.text_BLD) for text in texts if text is not None]
    if memory is not None:
        given += [("memory's tokens", memory.tokens_BND)]
    for what, values in given:
        if not is_finite(values):
            raise PermanentError(
                f"{what} hold NaN or infinity; check the history's latents and the weights of the "
                "encoders"
            )


def guided(towards: Tensor, against: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): beyond ``towards``, away from ``against``.

    A scale of 1 gives ``towards``, 0 gives ``against``.
    """
    return against + scale * (towards - against)


def is_guidance_distilled(model: MemoryDiT) -> bool:
    """Whether the base takes the guidance scale as a condition, as HunyuanVideo does."""
    return bool(getattr(model.dit.config, "guidance_embeds", False))  # Wan's config has no such key


def _conditions(
    model: MemoryDiT,
    text: Tensor | TextConditions,
    negative: Tensor | TextConditions | None,
    *,
    scale: float,
    batch: int,
    device: torch.device,
) -> tuple[TextConditions, TextConditions | None]:
    """The prompt's condition, and the negative prompt's if a second forward is needed."""
    text = _on(text, device)
    if is_guidance_distilled(model):
        told_B = torch.full((batch,), scale * GUIDANCE_UNITS, device=device)
        return text._replace(guidance_B=told_B), None
    if scale == 1:
        return text, None
    if negative is None:
        raise ConfigError(
            f"guidance_scale {scale} needs the negative prompt's embedding; give one, or 1 for no "
            "guidance"
        )
    return text, _on(negative, device)


def _on(text: Tensor | TextConditions, device: torch.device) -> TextConditions:
    given = text if isinstance(text, TextConditions) else TextConditions(text)
    others = (part if part is None else part.to(device) for part in given[1:])
    return TextConditions(given.text_BLD.to(device), *others)
