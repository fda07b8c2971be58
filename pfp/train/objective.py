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
from pfp.models.backbones.interface import TextConditions
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
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                changed[field.name] = tuple(map(fn, value))
            else:
                changed[field.name] = None if value is None else fn(value)
        return Batch(**changed)


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

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Squared velocity error of each target frame, ``(B, T)``; see ``squared_error``."""
        return squared_error(self.model, batch, generator, self.objective, self.empty_text)


def squared_error(
    model: MemoryDiT,
    batch: Batch,
    generator: torch.Generator,
    objective: Objective,
    empty_text: TextConditions | None = None,
) -> Tensor:
    """Equations 3 and 4: ``|| (eps - X) - G(X_t, t, c, phi(H)) ||^2``, mean over a frame, (B, T).

    Equation 3 (retrieval) and equation 4 (continuation) differ only in what the target is. All
    random numbers come from ``generator``, which is the CPU's wherever the model is.
    """
    target = batch.target_BCTHW
    device = target.device
    noise = torch.randn(target.shape, generator=generator).to(device)
    times_B = sample_noise_levels(
        len(target),
        generator,
        shift=objective.shift,
        low=objective.low,
        high=objective.high,
        mode=objective.range_mode,
    ).to(device)
    times = times_B[:, None, None, None, None]
    strides = [rate.time for rate in model.config.rates]
    hr_BCTHW, lrs_BCTHW = masked_history(batch, generator, objective, strides)
    memory = model.encode_history(hr_BCTHW, *lrs_BCTHW)
    noisy = (1 - times) * target + times * noise
    velocity = model(
        noisy if memory is not None else noisy + _nothing_of_memory(model),
        (times_B * NUM_TRAIN_TIMESTEPS)[:, None].expand(-1, target.shape[2]),
        _prompts(batch, generator, objective, empty_text),
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


def masked_history(
    batch: Batch, generator: torch.Generator, objective: Objective, time_strides: Sequence[int]
) -> History:
    """Noise-as-mask (section 3.1): frames outside Omega noised, those of Omega clean.

    An LR latent is kept when one of the HR latents that it covers is, as many as its encoder's
    ``time_strides`` says. A history that the target follows is left clean: no frame of it was asked
    for.
    """
    hr, lrs = batch.hr_BCTHW, (batch.lr_BCTHW, *batch.more_lr_BCTHW)
    num_frames = hr.shape[2]
    if objective.mask_scope == "none" or int(batch.frame_index_BT.max()) >= num_frames:
        return History(hr, lrs)
    kept_BT = torch.zeros(len(hr), num_frames, dtype=torch.bool, device=hr.device)
    kept_BT.scatter_(1, batch.frame_index_BT.to(hr.device), value=True)
    levels_B = sample_noise_levels(
        len(hr),
        generator,
        shift=objective.mask_shift,
        low=objective.mask_low,
        high=objective.mask_high,
        mode=objective.range_mode,
    ).to(hr.device)
    hr = _noised(hr, levels_B, kept_BT, generator)
    if objective.mask_scope == "hr+lr":
        lrs = tuple(
            _noised(lr, levels_B, lr_frames_kept(kept_BT, stride), generator)
            for lr, stride in zip(lrs, time_strides, strict=True)
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


def _noised(
    clean_BCTHW: Tensor, levels_B: Tensor, kept_BT: Tensor, generator: torch.Generator
) -> Tensor:
    noise = torch.randn(clean_BCTHW.shape, generator=generator).to(clean_BCTHW)
    levels = levels_B[:, None] * ~kept_BT
    levels = levels[:, None, :, None, None]
    return (1 - levels) * clean_BCTHW + levels * noise


def _prompts(
    batch: Batch,
    generator: torch.Generator,
    objective: Objective,
    empty: TextConditions | None,
) -> TextConditions:
    text = batch.text
    if objective.text_free_share and empty is not None:
        drawn = torch.rand(len(text.text_BLD), generator=generator) < objective.text_free_share
        free_B = drawn.to(text.text_BLD.device)
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
