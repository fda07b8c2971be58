"""The paper's training objectives: flow matching of frames, given a compressed history.

Axes: B batch, C latent channels, T latent frames, H rows, W columns, L text tokens, P channels of
pooled text. ``H`` in a comment is the history, ``Omega`` the latent frames asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, cast

import torch
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.memory.dit import MemoryDiT
from pfp.train.noise_schedule import sample_noise_levels
from pfp.train.settings import Objective

NUM_TRAIN_TIMESTEPS: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One step's samples, all of one shape.

    Latents are normalised: float32 as the model takes them, fp16 as they are stored and loaded.
    ``hr`` and ``lr`` are the history H that phi sees, ``target`` the frames to denoise (H_Omega
    for retrieval, the next section X_0 for continuation) at true latent indices ``frame_index``.
    A history of T = 0 is none: the section is how the video begins.
    ``more_lr`` are the LR latents of further encoders, of other rates.
    ``text_mask`` and ``text_pooled`` are what HunyuanVideo wants beside the text. ``origin`` is
    where a crop lies in its frame, in patches.
    """

    hr_BCTHW: Tensor
    lr_BCTHW: Tensor
    target_BCTHW: Tensor
    frame_index_BT: Tensor
    text_BLD: Tensor
    text_mask_BL: Tensor | None = None
    text_pooled_BP: Tensor | None = None
    origin_B2: Tensor | None = None
    more_lr_BCTHW: tuple[Tensor, ...] = ()

    @property
    def text(self) -> TextConditions:
        """The prompts as a backbone takes them, without guidance."""
        return TextConditions(self.text_BLD, self.text_mask_BL, self.text_pooled_BP)

    def text_of(self, sample: int) -> TextConditions:
        """One sample's prompt, with B = 1."""
        own = slice(sample, sample + 1)
        return TextConditions(
            self.text_BLD[own],
            None if self.text_mask_BL is None else self.text_mask_BL[own],
            None if self.text_pooled_BP is None else self.text_pooled_BP[own],
        )

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
        return Batch(**_mapped(self, fn))


class Denoising(nn.Module):
    """A model with its objective: a batch and random numbers in, squared errors out.

    A module, because wrappers that average gradients or shard weights act on a module's call.
    ``empty_text`` is the empty prompt's condition, each tensor with B = 1.
    """

    def __init__(
        self, model: MemoryDiT, objective: Objective, empty_text: TextConditions | None = None
    ) -> None:
        super().__init__()
        if objective.text_free_share and empty_text is None:
            raise ConfigError(
                f"text_free_share is {objective.text_free_share} but no condition of the empty "
                "prompt is given; run pipelines/latents with --set with_empty_prompt=true"
            )
        self.model = model
        self.objective = objective
        self.empty_text = empty_text

    def forward(self, batch: Batch, random: torch.Generator | Draws) -> Tensor:
        """Squared velocity error of each target frame, ``(B, T)``; see ``squared_error``."""
        return squared_error(self.model, batch, random, self.objective, self.empty_text)

    def errors_at(self, batch: Batch, generator: torch.Generator, times: Sequence[float]) -> Tensor:
        """Squared errors at given diffusion times in [0, 1], ``(times, B, T)``.

        The history is clean and encoded once, the prompt is the batch's own, and the noise is the
        same at all times.
        """
        model, target = self.model, batch.target_BCTHW
        noise = torch.randn(target.shape, generator=generator).to(target.device)
        memory = model.encode_history(batch.hr_BCTHW, batch.lr_BCTHW, *batch.more_lr_BCTHW)
        text = _prompts(batch, None, self.objective, None)
        return torch.stack(
            [
                _velocity_error(model, batch, noise, times_B, text=text, memory=memory)
                for times_B in noise.new_tensor(times)[:, None].expand(-1, len(target))
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """All random numbers of a batch, float32: noise and times of targets, of masks, of text.

    ``mask_levels_B`` is None where nothing is masked; ``lr_noises`` is empty where no LR copy is,
    and ``text_free_B`` None where all samples keep their prompts.
    """

    noise_BCTHW: Tensor
    times_B: Tensor
    mask_levels_B: Tensor | None = None
    hr_noise_BCTHW: Tensor | None = None
    lr_noises_BCTHW: tuple[Tensor, ...] = ()
    text_free_B: Tensor | None = None

    def pin_memory(self) -> Draws:
        """The same in pinned memory."""
        return self._map(Tensor.pin_memory)

    def to(self, device: torch.device | str) -> Draws:
        """On a device, without waiting for it."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def _map(self, fn: Callable[[Tensor], Tensor]) -> Draws:
        return Draws(**_mapped(self, fn))


def _mapped(values: Any, fn: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """A dataclass's tensors, alone, in tuples or None, each given to ``fn``."""
    changed: dict[str, Any] = {}
    for field in fields(values):
        value = getattr(values, field.name)
        if isinstance(value, tuple):
            changed[field.name] = tuple(map(fn, value))
        else:
            changed[field.name] = None if value is None else fn(value)
    return changed


def draw(batch: Batch, generator: torch.Generator, objective: Objective) -> Draws:
    """What a batch needs of a CPU's generator, always in one order; only shapes are looked at."""
    noise_BCTHW = torch.randn(batch.target_BCTHW.shape, generator=generator)
    num = len(noise_BCTHW)
    times_B = sample_noise_levels(
        num,
        generator,
        shift=objective.shift,
        low=objective.low,
        high=objective.high,
        mode=objective.range_mode,
    )
    mask = _draw_mask(batch, generator, objective) if is_masked(batch, objective) else {}
    text_free_B = None
    if objective.text_free_share:
        text_free_B = torch.rand(num, generator=generator) < objective.text_free_share
    return Draws(noise_BCTHW=noise_BCTHW, times_B=times_B, text_free_B=text_free_B, **mask)


def _draw_mask(batch: Batch, generator: torch.Generator, objective: Objective) -> dict[str, Any]:
    levels_B = sample_noise_levels(
        len(batch.hr_BCTHW),
        generator,
        shift=objective.mask_shift,
        low=objective.mask_low,
        high=objective.mask_high,
        mode=objective.range_mode,
    )
    hr_noise = torch.randn(batch.hr_BCTHW.shape, generator=generator)
    lrs = (batch.lr_BCTHW, *batch.more_lr_BCTHW) if objective.mask_scope == "hr+lr" else ()
    lr_noises = tuple(torch.randn(lr.shape, generator=generator) for lr in lrs)
    return {
        "mask_levels_B": levels_B,
        "hr_noise_BCTHW": hr_noise,
        "lr_noises_BCTHW": lr_noises,
    }


def is_masked(batch: Batch, objective: Objective) -> bool:
    """Whether frames outside Omega are noised: not where the target follows the history."""
    if objective.mask_scope == "none":
        return False
    return int(batch.frame_index_BT.max()) < batch.hr_BCTHW.shape[2]


def squared_error(
    model: MemoryDiT,
    batch: Batch,
    random: torch.Generator | Draws,
    objective: Objective,
    empty_text: TextConditions | None = None,
) -> Tensor:
    """Equations 3 and 4: ``|| (eps - X) - G(X_t, t, c, phi(H)) ||^2``, mean over a frame, (B, T).

    Equation 3 (retrieval) and equation 4 (continuation) differ only in what the target is. All
    random numbers are ``random``, or drawn from it, a generator of the CPU wherever the model is.
    """
    draws = random if isinstance(random, Draws) else draw(batch, random, objective)
    draws = draws.to(batch.target_BCTHW.device)
    strides = [rate.time for rate in model.config.rates]
    hr_BCTHW, lrs_BCTHW = masked_history(batch, draws, strides)
    return _velocity_error(
        model,
        batch,
        draws.noise_BCTHW,
        draws.times_B,
        text=_prompts(batch, draws.text_free_B, objective, empty_text),
        memory=model.encode_history(hr_BCTHW, *lrs_BCTHW),
    )


def _velocity_error(
    model: MemoryDiT,
    batch: Batch,
    noise: Tensor,
    times_B: Tensor,
    *,
    text: TextConditions,
    memory: Memory | None,
) -> Tensor:
    """The squared error of the velocity at times in [0, 1], mean over a frame, ``(B, T)``."""
    target, times = batch.target_BCTHW, times_B[:, None, None, None, None]
    noisy = (1 - times) * target + times * noise
    velocity = model(
        noisy if memory is not None else noisy + _nothing_of_memory(model),
        (times_B * NUM_TRAIN_TIMESTEPS)[:, None].expand(-1, target.shape[2]),
        text,
        batch.frame_index_BT,
        memory=memory,
        origin_B2=batch.origin_B2,
    )
    return cast("Tensor", (velocity.float() - (noise - target)).square().mean(dim=(1, 3, 4)))


def _nothing_of_memory(model: MemoryDiT) -> Tensor | float:
    """0, whose gradient is 0 for what only a memory uses: encoder and cross-attention.

    Ranks add up gradients, and each must bring one for every weight, whether or not its own batch
    had a history. Added to what the first block sees, because FSDP2 reduces a block's gradients
    early or late as its inputs need some or none, and ranks must do so in one order.
    """
    return sum(0.0 * parameter.sum() for parameter in model.memory_parameters())


class History(NamedTuple):
    """What phi sees: HR latents, and the LR latents of each encoder."""

    hr_BCTHW: Tensor
    lrs_BCTHW: tuple[Tensor, ...]


def masked_history(batch: Batch, draws: Draws, time_strides: Sequence[int]) -> History:
    """Noise-as-mask (section 3.1): frames outside Omega noised, those of Omega clean.

    An LR latent is kept when one of the HR latents that it covers is, as many as its encoder's
    ``time_strides`` says. A history that the target follows is left clean: no frame of it was asked
    for.
    """
    hr, lrs = batch.hr_BCTHW, (batch.lr_BCTHW, *batch.more_lr_BCTHW)
    levels_B = draws.mask_levels_B
    if levels_B is None or draws.hr_noise_BCTHW is None:
        return History(hr, lrs)
    kept_BT = torch.zeros(len(hr), hr.shape[2], dtype=torch.bool, device=hr.device)
    kept_BT.scatter_(1, batch.frame_index_BT.to(hr.device), value=True)
    hr = _noised(hr, levels_B, kept_BT, draws.hr_noise_BCTHW)
    if draws.lr_noises_BCTHW:
        lrs = tuple(
            _noised(lr, levels_B, lr_frames_kept(kept_BT, stride), noise)
            for lr, stride, noise in zip(lrs, time_strides, draws.lr_noises_BCTHW, strict=True)
        )
    return History(hr, lrs)


def lr_frames_kept(kept_BT: Tensor, time_stride: int) -> Tensor:
    """Whether LR latent j covers a kept HR latent; it covers ``s j - s + 1 .. s j`` (causal).

    HR latents after the last that completes an LR latent belong to none.
    """
    before = kept_BT.new_zeros(len(kept_BT), time_stride - 1)
    num_covered = kept_BT.shape[1] - (kept_BT.shape[1] - 1) % time_stride
    covered = torch.cat([before, kept_BT[:, :num_covered]], dim=1)
    return covered.reshape(len(kept_BT), -1, time_stride).any(dim=2)


def _noised(clean_BCTHW: Tensor, levels_B: Tensor, kept_BT: Tensor, noise_BCTHW: Tensor) -> Tensor:
    noise = noise_BCTHW.to(clean_BCTHW)
    levels = levels_B[:, None] * ~kept_BT
    levels = levels[:, None, :, None, None]
    return (1 - levels) * clean_BCTHW + levels * noise


def _prompts(
    batch: Batch,
    free_B: Tensor | None,
    objective: Objective,
    empty: TextConditions | None,
) -> TextConditions:
    text = batch.text
    if free_B is not None and empty is not None:
        free_B = free_B.to(text.text_BLD.device)
        text = TextConditions(
            torch.where(free_B[:, None, None], empty.text_BLD.to(text.text_BLD), text.text_BLD),
            _replaced(text.mask_BL, empty.mask_BL, free_B),
            _replaced(text.pooled_BP, empty.pooled_BP, free_B),
        )
    if objective.guidance is None:
        return text
    scale_B = text.text_BLD.new_full((len(text.text_BLD),), objective.guidance * 1000.0)
    return text._replace(guidance_B=scale_B)


def _replaced(given: Tensor | None, empty: Tensor | None, free_B: Tensor) -> Tensor | None:
    if given is None or empty is None:
        return given
    return torch.where(free_B[:, None], empty.to(given), given)


def random_frame_set(num_frames: int, size: int, generator: torch.Generator) -> Tensor:
    """Omega: ``size`` distinct latent frames of ``[0, num_frames)``, in order (section 3.1).

    Random, because a fixed choice lets the encoder spend all its tokens on those frames.
    """
    return torch.randperm(num_frames, generator=generator)[:size].sort().values
