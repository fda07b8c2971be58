"""Windows of stored latents as training batches: which frames, which text, in which order.

Axes: B batch, T latent frames, C channels, H rows, W columns, L text tokens, D text features.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfp.errors import InputError
from pfp.train.objective import Batch, random_frame_set


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainClip:
    """One clip's stored latents, and for every latent frame the text that holds then.

    ``text_TLD`` is float16, one embedding per latent frame, zero-padded to a common length: the
    prompt of the nearest timestamp and nothing else, as the paper trains (section 4.1).
    """

    clip_id: str
    hr_TCHW: NDArray[np.float16]
    lr_TCHW: NDArray[np.float16]
    text_TLD: NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """How windows are cut: history length, frames asked for, share of continuation."""

    batch_size: int
    history_frames: int
    num_targets: int
    continue_share: float


def window_batch(clips: Sequence[TrainClip], plan: WindowPlan, generator: torch.Generator) -> Batch:
    """A batch of windows of one shape; a pure function of the generator's state.

    Raises InputError when no clip is as long as a window.
    """
    by_shape: defaultdict[tuple[int, ...], list[TrainClip]] = defaultdict(list)
    for clip in clips:
        if len(clip.hr_TCHW) >= plan.history_frames:
            by_shape[clip.hr_TCHW.shape[1:]].append(clip)
    if not by_shape:
        message = (
            f"none of {len(clips)} clips has {plan.history_frames} latent frames; "
            "give longer clips or a shorter history"
        )
        raise InputError(message)
    usable = [clip for clips_of_shape in by_shape.values() for clip in clips_of_shape]
    first = usable[_draw(len(usable), generator)]  # shapes in proportion to their clips
    group = by_shape[first.hr_TCHW.shape[1:]]
    follows = torch.rand((), generator=generator) < plan.continue_share
    samples = [
        _sample(group[_draw(len(group), generator)], plan, generator, follows=bool(follows))
        for _ in range(plan.batch_size)
    ]
    hr, lr, target, frames, text = (torch.stack(parts) for parts in zip(*samples, strict=True))
    return Batch(
        hr_BCTHW=hr.transpose(1, 2),
        lr_BCTHW=lr.transpose(1, 2),
        target_BCTHW=target.transpose(1, 2),
        frame_index_BT=frames,
        text_BLD=text,
    )


def _sample(
    clip: TrainClip, plan: WindowPlan, generator: torch.Generator, *, follows: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One window: HR and LR history, target, the target's frame indices, its text."""
    history, num_latents = plan.history_frames, len(clip.hr_TCHW)
    follows = follows and num_latents >= history + plan.num_targets
    needed = history + plan.num_targets * follows
    # Even, so that the window's HR and LR frames stay in step.
    start = 2 * _draw((num_latents - needed) // 2 + 1, generator)
    if follows:
        frames = torch.arange(history, history + plan.num_targets)
    else:
        frames = random_frame_set(history, plan.num_targets, generator)
    at = start + frames
    return (
        _float(clip.hr_TCHW[start : start + history]),
        _float(clip.lr_TCHW[start // 2 : start // 2 + (history + 1) // 2]),
        _float(clip.hr_TCHW[at.numpy()]),
        frames,
        _float(clip.text_TLD[int(at[0])]),
    )


def _float(stored: NDArray[np.float16]) -> Tensor:
    # A copy: stored latents are read-only, tensors are not.
    return torch.from_numpy(stored.astype(np.float32))


def _draw(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))
