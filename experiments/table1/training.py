"""The trainings of the small Table 1: LoRA and encoder of every variant on the frozen tiny base.

Axes: B batch, C channels, T latent frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import torch

from experiments.table1.data import load_banks
from experiments.tiny.batches import BatchPlan, bank_batch
from pfp.models._folders import weights_sha256
from pfp.models.memory.branch import HighResolutionBranch, Stage
from pfp.models.memory.config import MemoryDiTConfig
from pfp.models.memory.dit import MemoryDiT
from pfp.models.rates import GEOMETRIES, parse_rate
from pfp.models.tiny import load_base
from pfp.models.tiny_names import tiny_folder
from pfp.train.loop import StepReport, batches_by_step, train
from pfp.train.objective import Batch, Denoising
from pfp.train.settings import MaskScope, Objective, TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table, and how it is named there; ``once`` means for one seed only.

    ``as_proposed`` lets the variant's tokens stand where and when the proposed variant's do.
    ``shift`` is that of training and sampling, None for the plan's; ``mask_scope`` which branches
    see noise as a mask; ``temporal_kernel`` that of the HR branch.
    """

    name: str
    encoder: str  # one of pfp.models.memory.config.VARIANTS
    rate: str = "4x4x2"
    omega: Literal["random", "last"] = "random"
    as_proposed: bool = False
    kaiming_init: bool = True
    shift: float | None = None
    mask_scope: MaskScope = "none"
    temporal_kernel: int = 2
    once: bool = False


# First the paper's Table 1 in its order of PSNR, then what explains differences.
VARIANTS: Final = (
    Variant(name="no_memory", encoder="no_memory", once=True),
    Variant(name="large_patchifier 4x4x2", encoder="large_patchifier"),
    Variant(name="only_lr 4x4x2", encoder="only_lr"),
    Variant(name="without_lr 4x4x2", encoder="without_lr"),
    Variant(name="proposed 4x4x2", encoder="proposed"),
    Variant(name="proposed 2x2x4", encoder="proposed", rate="2x2x4"),
    Variant(name="proposed 2x2x2", encoder="proposed", rate="2x2x2"),
    Variant(name="proposed 2x2x1", encoder="proposed", rate="2x2x1"),
    Variant(name="only_lr 2x2x2", encoder="only_lr", rate="2x2x2"),
    Variant(name="large_patchifier 2x2x2", encoder="large_patchifier", rate="2x2x2"),
    Variant(name="only_lr 1x1x1", encoder="only_lr", rate="1x1x1", once=True),
    Variant(name="proposed 4x4x2, mask hr", encoder="proposed", mask_scope="hr", once=True),
    Variant(name="proposed 4x4x2, mask hr+lr", encoder="proposed", mask_scope="hr+lr", once=True),
    Variant(name="only_lr 4x4x2, shift 3", encoder="only_lr", shift=3.0, once=True),
    Variant(name="proposed 4x4x2, shift 3", encoder="proposed", shift=3.0, once=True),
    Variant(name="proposed 4x4x2, kernel 3", encoder="proposed", temporal_kernel=3, once=True),
    Variant(name="fixed Omega 4x4x2", encoder="proposed", omega="last", once=True),
    Variant(
        name="large_patchifier, placed", encoder="large_patchifier", as_proposed=True, once=True
    ),
    Variant(name="without_lr, torch start", encoder="without_lr", kaiming_init=False, once=True),
    Variant(name="proposed, torch start", encoder="proposed", kaiming_init=False, once=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What all variants have in common; the defaults are those of docs/table1.md."""

    num_steps: int = 250
    batch_size: int = 8
    num_targets: int = 2
    crop_cells: int = 2
    num_latents: int = 13
    lora_rank: int = 32
    learning_rate: float = 1e-3
    encoder_learning_rate: float = 1e-3
    shift: float = 12.0
    compiled: bool = True

    def objective(self, variant: Variant) -> Objective:
        """What is asked of a variant at a step."""
        shift = self.shift if variant.shift is None else variant.shift
        return Objective(shift=shift, mask_scope=variant.mask_scope)


def make_model(variant: Variant, plan: TrainPlan, seed: int) -> MemoryDiT:
    """The variant before any training; weights are a pure function of the seed."""
    torch.manual_seed(seed)
    config = MemoryDiTConfig(
        variant=variant.encoder,
        rate=variant.rate,
        lora_rank=plan.lora_rank,
        temporal_kernel=variant.temporal_kernel,
    )
    if variant.as_proposed:
        config = replace(config, positions="centre", history_timestep="zero")
    model = MemoryDiT(load_base(), config)
    branch = getattr(model.encoder, "hr", None)
    if not variant.kaiming_init and isinstance(branch, HighResolutionBranch):
        start_as_torch(branch)
    return model


def start_as_torch(branch: HighResolutionBranch) -> None:
    """Weights and biases as torch begins convolutions, which lets little of a latent through."""
    for stage in branch.stages:
        cast("Stage", stage).conv.reset_parameters()


def batches(
    variant: Variant, plan: TrainPlan, bank_folder: Path
) -> Callable[[int, torch.Generator], Batch]:
    """A step's batch: for a seed, the same windows, crops and noise for every variant."""
    rate = parse_rate(variant.rate, GEOMETRIES["tiny"])
    banks = load_banks(bank_folder, rate)
    cut = BatchPlan(
        rate=rate,
        omega=variant.omega,
        batch_size=plan.batch_size,
        num_targets=plan.num_targets,
        crop_cells=plan.crop_cells,
        continue_share=0.0,
        history_frames=(plan.num_latents,),
    )
    return lambda _step, generator: bank_batch(banks, cut, generator)


def train_variant(
    variant: Variant,
    plan: TrainPlan,
    seed: int,
    *,
    num_steps: int,
    banks: Path,
    folder: Path,
    marks: tuple[int, ...],
    report: Callable[[int, float], None],
) -> None:
    """Train to ``num_steps`` and leave ``step-MARK`` in ``folder`` for every mark on the way.

    A killed training goes on from its state in ``folder/state``. Of no steps the base is left.
    """
    model, objective = make_model(variant, plan, seed), plan.objective(variant)
    folder.mkdir(parents=True, exist_ok=True)
    card = {
        "base_sha256": weights_sha256(tiny_folder() / "base"),
        "seed": seed,
        "objective": asdict(objective),
    }
    if not num_steps:
        save(model, folder / "step-0", card)
        return

    def keep(done: StepReport) -> None:
        num_done = done.step + 1
        if num_done in marks:
            save(model, folder / f"step-{num_done}", {**card, "num_steps": num_done})
        report(done.step, done.loss)

    settings = TrainSettings(
        num_steps=num_steps,
        learning_rate=plan.learning_rate,
        encoder_learning_rate=plan.encoder_learning_rate,
        seed=seed,
        compiled=plan.compiled,
        save_every_steps=100,
    )
    train(
        Denoising(model, objective),
        batches_by_step(batches(variant, plan, banks), seed),
        settings,
        folder / "state",
        report=keep,
    )


def save(model: MemoryDiT, folder: Path, card: Mapping[str, Any]) -> None:
    """The variant's weights in fp16, aside and renamed."""
    aside = folder.with_name(f".{folder.name}")
    model.save_pretrained(aside, dtype=torch.float16, card=card)
    aside.replace(folder)
