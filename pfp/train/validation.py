"""The loss on held-out clips, by diffusion time and by the frame's position in the history.

Windows, noise and times are the same at every step of every training of the same clips: a pure
function, with random numbers of its own, so that curves can be compared and a training is not
changed by being watched.

Axes: B batch, T latent frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from accelerate import Accelerator
from torch import Tensor

from pfp.models.precision import bf16_products
from pfp.train.divergence import POSITIONS, part_of
from pfp.train.loop import attention_for, generator_at, num_tokens
from pfp.train.objective import Batch, Denoising
from pfp.train.settings import ValidationPlan

# In the place of a training's seed, so that trainings of several seeds are measured alike.
VALIDATION_SEED: Final = 1_234_567

BatchAt = Callable[[int], Batch]
Report = Callable[[int, Mapping[str, float]], None]


class Validation:
    """Measures the held-out loss every so many steps, on every process.

    ``batch_at`` gives the windows by number, each a batch of one. Each process takes every n-th of
    them, and all know the whole result, which does not depend on how many they are. Where the model
    is spread over processes, some measure a window twice, since all must call it alike.
    ``psnr`` measures retrieved frames in dB, on the first process; None: nobody does.
    """

    def __init__(
        self,
        denoising: Denoising,
        batch_at: BatchAt,
        plan: ValidationPlan,
        *,
        every_steps: int,
        accelerator: Accelerator,
        autocast: bool,
        report: Report,
        psnr: Callable[[], float] | None = None,
    ) -> None:
        self.every_steps = every_steps
        self._denoising, self._batch_at, self._plan = denoising, batch_at, plan
        self._accelerator, self._autocast = accelerator, autocast
        self._report, self._psnr = report, psnr

    def __call__(self, step: int) -> float:
        """The mean loss over all windows and times after so many steps; reports all there is."""
        model = self._denoising.model
        model.eval()
        try:
            with torch.no_grad():
                by_time, by_position = self._losses()
            values = _named(self._plan.times, by_time, by_position)
            if self._psnr is not None and self._accelerator.is_main_process:
                values["held_out_psnr"] = self._psnr()
        finally:
            model.train()
        self._report(step, values)
        return values["held_out_loss"]

    def _losses(self) -> tuple[Tensor, Tensor]:
        """Mean loss by time, and by position (NaN for one that no window has), in float64."""
        num, times = self._plan.num_windows, self._plan.times
        # A row a window, filled in by one process and 0 on the others: their sum is exact.
        device = self._accelerator.device
        error_NS = torch.zeros(num, len(times), device=device)
        sum_NP = torch.zeros(num, len(POSITIONS), device=device)
        count_NP = torch.zeros_like(sum_NP)
        rank, num_ranks = self._accelerator.process_index, self._accelerator.num_processes
        for turn in range(math.ceil(num / num_ranks)):
            number = turn * num_ranks + rank
            errors_ST, batch = self._errors(min(number, num - 1))
            if number >= num:
                continue
            error_NS[number] = errors_ST.mean(dim=1)
            for error, index in zip(errors_ST.mean(dim=0), batch.frame_index_BT[0], strict=True):
                place = POSITIONS.index(part_of(int(index), batch.hr_BCTHW.shape[2]))
                sum_NP[number, place] += error
                count_NP[number, place] += 1
        error_NS, sum_NP, count_NP = (
            self._accelerator.reduce(table, "sum").double().cpu()
            for table in (error_NS, sum_NP, count_NP)
        )
        return error_NS.mean(dim=0), sum_NP.sum(dim=0) / count_NP.sum(dim=0)

    def _errors(self, number: int) -> tuple[Tensor, Batch]:
        """Squared errors of a window at each time, ``(times, T)``, and the window."""
        device = self._accelerator.device
        batch = self._batch_at(number).to(device)
        with (
            attention_for(device, num_tokens(self._denoising.model, batch)),
            bf16_products(device.type, enabled=self._autocast),
        ):
            errors = self._denoising.errors_at(
                batch, generator_at(VALIDATION_SEED, number), self._plan.times
            )
        return errors[:, 0], batch


def _named(times: tuple[float, ...], by_time: Tensor, by_position: Tensor) -> dict[str, float]:
    values = {"held_out_loss": by_time.mean().item()}
    values |= {
        f"held_out_loss_by_time/{time:g}": loss
        for time, loss in zip(times, by_time.tolist(), strict=True)
    }
    return values | {
        f"held_out_loss_by_position/{name}": loss
        for name, loss in zip(POSITIONS, by_position.tolist(), strict=True)
        if not math.isnan(loss)
    }
