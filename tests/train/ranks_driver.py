"""The trainings of ``test_ranks`` by one of several processes; writes what they ended with.

Arguments: ``copied``, ``sharded`` or ``every way``, what is trained (``small``, or the large preset
whose settings a narrow model is trained with), the folder of the state, and the file for the
weights. ``every way`` trains all of them, and takes the folder for all.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from pfp.models.memory.checkpoint import own_weights
from pfp.models.memory.dit import MemoryDiT
from pfp.train.loop import BatchesFrom, StepReport, TrainSettings, batches_by_step, train
from pfp.train.objective import Batch, Denoising
from pfp.train.settings import Objective, ValidationPlan
from pfp.train.sharding import shard
from pfp.train.validation import Validation
from pipelines.train.config import PRESETS
from tests.small_models import small_hunyuan, small_wan
from tests.train.small_training import batch_at, held_out_window, tiny_model

SMALL = TrainSettings(
    num_steps=4, warmup_steps=2, save_every_steps=2, autocast=False, ema_decay=0.9
)


# The presets whose large bases do not fit a card of 80 GB by themselves.
SHARDED = tuple(name for name, make in PRESETS.items() if make().sharded)


class BrokenOff(Exception):  # noqa: N818 - no error: what the test wants
    """Ends a training as a lost process would, between two steps."""


class Training(NamedTuple):
    """What is trained and how."""

    model: MemoryDiT
    objective: Objective
    settings: TrainSettings
    batches_from: BatchesFrom
    window_at: Callable[[int], Batch]


def training_of(what: str, rank: int) -> Training:
    """The small one, or a narrow model with all the settings of a large preset."""
    if what == "small":
        batches = batches_by_step(batch_at, 0)
        return Training(tiny_model(), Objective(), SMALL, batches, held_out_window)
    preset = PRESETS[what]()
    dit = in_dtype(small_hunyuan() if what == "hunyuan" else small_wan(), preset.base_dtype)
    settings = replace(preset.steps, num_steps=4, warmup_steps=2, save_every_steps=2)
    model = MemoryDiT(dit, replace(preset.model, base="tiny", rate="4x4x2", lora_rank=2))

    text_dim = 12 if what == "hunyuan" else 8

    def given(step: int, generator: torch.Generator) -> Batch:
        return mixed_batch(step, rank, generator, text_dim)

    def window(number: int) -> Batch:
        return mixed_batch(number, 0, torch.Generator().manual_seed(number), text_dim)

    return Training(model, preset.objective, settings, batches_by_step(given, 0), window)


def in_dtype(dit: Any, name: str) -> Any:
    """A base in this dtype but for what diffusers keeps in float32, as ``from_pretrained`` does."""
    kept: list[str] = dit._keep_in_fp32_modules or []
    for path, parameter in dit.named_parameters():
        if not any(part in path for part in kept):
            parameter.data = parameter.data.to(getattr(torch, name))
    return dit


def mixed_batch(step: int, rank: int, generator: torch.Generator, text_dim: int) -> Batch:
    """Retrieval, then what follows; at some steps one rank has no history and the other has."""
    num_frames = 0 if (step + rank) % 3 == 2 else 5
    index = [[0, 3], [1, 4]] if num_frames and step % 2 else [[num_frames, num_frames + 1]] * 2
    return Batch(
        hr_BCTHW=torch.randn(2, 16, num_frames, 16, 16, generator=generator),
        lr_BCTHW=torch.randn(2, 16, -(-num_frames // 2), 4, 4, generator=generator),
        target_BCTHW=torch.randn(2, 16, 2, 16, 16, generator=generator),
        frame_index_BT=torch.tensor(index),
        text_BLD=torch.randn(2, 3, text_dim, generator=generator),
        text_mask_BL=torch.tensor([[True, True, False]] * 2),
        text_pooled_BP=torch.randn(2, 10, generator=generator),
    )


def ended(
    way: str,
    what: str,
    accelerator: Accelerator,
    folder: Path,
    out: Path,
    *,
    break_off_at: int = -1,
) -> None:
    """Train to the end, going on from the state if there is one, or break off at a step."""
    model, objective, settings, batches_from, window_at = training_of(
        what, accelerator.process_index
    )
    denoising = Denoising(model, objective)
    if way == "sharded":
        shard(denoising, device_type="cpu", num_ranks=accelerator.num_processes)
    reports = []

    def report(done: StepReport) -> None:
        reports.append([done.loss, done.grad_norm])
        if done.step == break_off_at:
            raise BrokenOff

    measured: list[Mapping[str, float]] = []
    held_out_loss = Validation(
        denoising,
        window_at,
        ValidationPlan(num_windows=3, times=(0.5, 0.9)),
        every_steps=2,
        accelerator=accelerator,
        autocast=settings.autocast,
        report=lambda _, values: measured.append(values),
    )
    trained = train(
        denoising,
        batches_from,
        settings,
        folder,
        report=report,
        accelerator=accelerator,
        sharded=way == "sharded",
        held_out_loss=held_out_loss,
    )
    held_out_loss(settings.num_steps)
    weights = {**own_weights(model)}
    weights |= {f"average {name}": x for name, x in trained.whole_averages().items()}
    if accelerator.is_main_process:
        save_file({name: x.detach().contiguous() for name, x in weights.items()}, out)
        told = {
            "first_step": trained.first_step,
            "reports": reports,
            "held_out": [dict(values) for values in measured],
        }
        out.with_suffix(".json").write_text(json.dumps(told))


def main(way: str, what: str, folder: str, out: str) -> None:
    """One training, or with ``every way`` all that the tests compare, in the folder ``out``."""
    accelerator = Accelerator(cpu=True)
    if way == "every way":
        for each in ("small", *SHARDED):
            every_way(each, accelerator, Path(out) / each)
    else:
        ended(way, what, accelerator, Path(folder), Path(out))
    accelerator.end_training()


def every_way(what: str, accelerator: Accelerator, folder: Path) -> None:
    """Copied, sharded, and sharded again with a break; each with its state and its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for way in ("copied", "sharded"):
        ended(way, what, accelerator, folder / way, folder / f"{way}.safetensors")
    again = ("sharded", what, accelerator, folder / "resumed", folder / "resumed.safetensors")
    with contextlib.suppress(BrokenOff):
        ended(*again, break_off_at=2)
    ended(*again)


if __name__ == "__main__":
    main(*sys.argv[1:])
