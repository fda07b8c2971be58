"""Batches for the tiny family, out of latents of many short windows held in memory.

Axes: N windows, B batch, C channels, T latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfp.models.rates import Rate
from pfp.train.objective import Batch, random_frame_set

CELL: Final = 8  # latent rows or columns that crops are whole multiples of: a token of rate 4x4x2
CONTINUE_SHARE: Final = 0.2  # of batches whose target follows the history instead of lying in it


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentBank:
    """Latents of windows of one shape: ``hr`` fp16 (N, T, C, H, W), ``lr`` likewise, text fp16.

    ``lr`` are the latents of the small, slow copies of one rate.
    """

    hr_NTCHW: NDArray[np.float16]
    lr_NTCHW: NDArray[np.float16]
    text_NLD: NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """How batches are cut out of the banks. A crop of 0 means the whole frame.

    ``omega`` is which frames retrieval asks for: random ones, or always the history's last ones.
    """

    rate: Rate  # that the banks' LR latents are of
    omega: Literal["random", "last"] = "random"
    batch_size: int = 16
    num_targets: int = 2
    crop_cells: int = 2
    continue_share: float = CONTINUE_SHARE
    history_frames: tuple[int, ...] = (11,)


def bank_batch(banks: list[LatentBank], plan: BatchPlan, generator: torch.Generator) -> Batch:
    """Retrieval or continuation of random windows, cut to random crops on the token grid.

    Rates and ways to choose Omega draw the same windows, crops and noise from equal generators.
    """
    bank = banks[int(torch.randint(len(banks), (), generator=generator))]
    index = torch.randint(len(bank.hr_NTCHW), (plan.batch_size,), generator=generator)
    hr, lr = _tensor(bank.hr_NTCHW, index), _tensor(bank.lr_NTCHW, index)
    history = plan.history_frames[
        int(torch.randint(len(plan.history_frames), (), generator=generator))
    ]
    if torch.rand((), generator=generator) < plan.continue_share:
        history = min(history, hr.shape[1] - plan.num_targets)
        history -= 1 - history % 2  # odd, so that HR and LR tokens end together
        first = history
        frames_BT = torch.arange(first, first + plan.num_targets).expand(plan.batch_size, -1)
    else:
        frames_BT = torch.stack(
            [random_frame_set(history, plan.num_targets, generator) for _ in range(plan.batch_size)]
        )
        if plan.omega == "last":
            last_T = torch.arange(history - plan.num_targets, history)
            frames_BT = last_T.expand(plan.batch_size, -1)
    target = torch.stack([clip[frames] for clip, frames in zip(hr, frames_BT, strict=True)])
    hr, lr = hr[:, :history], lr[:, : -(-history // plan.rate.time)]
    origin_B2 = None
    if plan.crop_cells:
        hr, lr, target, origin_B2 = _crop(hr, lr, target, plan, generator)
    return Batch(
        hr_BCTHW=hr.transpose(1, 2),
        lr_BCTHW=lr.transpose(1, 2),
        target_BCTHW=target.transpose(1, 2),
        frame_index_BT=frames_BT,
        text_BLD=_tensor(bank.text_NLD, index),
        origin_B2=origin_B2,
    )


def _tensor(array: NDArray[np.float16], index: Tensor) -> Tensor:
    return torch.from_numpy(array[index.numpy()]).float()


def _crop(
    hr_BTCHW: Tensor,
    lr_BTCHW: Tensor,
    target_BTCHW: Tensor,
    plan: BatchPlan,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Square crops of ``plan.crop_cells`` cells a side; the origin is in patches (2 latents)."""
    high = [side // CELL - plan.crop_cells + 1 for side in hr_BTCHW.shape[-2:]]
    corner_B2 = torch.stack(
        [torch.randint(limit, (len(hr_BTCHW),), generator=generator) for limit in high], dim=1
    )
    origin_B2 = (corner_B2 * (CELL // 2)).float()
    lr_cells = (CELL // plan.rate.height, CELL // plan.rate.width)
    return (
        cut(hr_BTCHW, corner_B2, plan.crop_cells, (CELL, CELL)),
        cut(lr_BTCHW, corner_B2, plan.crop_cells, lr_cells),
        cut(target_BTCHW, corner_B2, plan.crop_cells, (CELL, CELL)),
        origin_B2,
    )


def cut(video_BTCHW: Tensor, corner_B2: Tensor, num_cells: int, cell: tuple[int, int]) -> Tensor:
    """From each video ``num_cells`` cells of ``cell`` rows and columns; corners count in cells."""
    height, width = (num_cells * side for side in cell)
    return torch.stack(
        [
            clip[
                ...,
                row * cell[0] : row * cell[0] + height,
                column * cell[1] : column * cell[1] + width,
            ]
            for clip, (row, column) in zip(video_BTCHW, corner_B2.tolist(), strict=True)
        ]
    )
