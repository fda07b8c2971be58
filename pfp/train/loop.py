"""The training loop: batches and noise are a pure function of the step, so that resuming is exact.

Accelerate places the model, averages gradients over ranks and keeps the trackers; ``sharding``
spreads a base over ranks that is too large for one device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from numpy.random import SeedSequence
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pfp.models.memory.checkpoint import whole
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products
from pfp.train.divergence import DivergenceCheck, LossByPosition
from pfp.train.objective import Batch, Denoising, Draws, draw
from pfp.train.saving import HeldOutLoss, Saving
from pfp.train.settings import TrainSettings
from pfp.train.state import TrainingState
from pfp.train.step_checkpoints import StepCheckpoints

# The batches of the steps from this one on, in order.
BatchesFrom: TypeAlias = Callable[[int], Iterable[Batch]]

PLAIN_ATTENTION_TOKENS: Final = 1024
_DATA_STREAM: Final = 1 << 31  # stands in a rank's place where a batch's own numbers are drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What a step did, averaged over ranks; ``positions`` are those of ``LossByPosition``."""

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    samples_per_second: float
    positions: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How a training ended: where it began, and the averages of what was trained, by name."""

    first_step: int
    averaged: dict[str, Tensor]

    def whole_averages(self) -> dict[str, Tensor]:
        """The averages put together; where they lie in parts on ranks, all of them must ask."""
        return {name: whole(average) for name, average in self.averaged.items()}


def generator_at(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """The random numbers of one step and rank: a pure function, whatever came before."""
    entropy = [seed, step, rank] if rank else [seed, step]
    # Hashed to 32 bits, because torch's CPU generator looks at no more of its seed.
    return torch.Generator().manual_seed(int(SeedSequence(entropy).generate_state(1)[0]))


def drawn_ahead(
    batches: Iterable[Batch], draw_of: Callable[[Batch, int], Draws], *, pinned: bool
) -> Iterator[tuple[Batch, Draws]]:
    """Batches with their random numbers, which a thread draws while the step before is under way.

    Of 8 histories of 20 s at 480p that is 0.1 billion numbers a step, and a CPU's generator is one
    thread; torch draws without holding Python's lock. ``draw_of`` is given a batch and its number.
    """

    def drawn(batch: Batch, number: int) -> Draws:
        draws = draw_of(batch, number)
        return draws.pin_memory() if pinned else draws

    with ThreadPoolExecutor(1, thread_name_prefix="draws") as pool:
        waiting: tuple[Batch, Future[Draws]] | None = None
        for number, batch in enumerate(batches):
            after = batch, pool.submit(drawn, batch, number)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = after
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def batches_by_step(batch_at: Callable[[int, torch.Generator], Batch], seed: int) -> BatchesFrom:
    """Batches that are made in memory, each from its step's own random numbers."""
    return lambda first: (
        batch_at(step, generator_at(seed, step, _DATA_STREAM)) for step in count(first)
    )


def make_optimiser(
    parameters: Iterable[tuple[str, nn.Parameter]], settings: TrainSettings
) -> torch.optim.AdamW:
    """AdamW over what is trained; each group knows its learning rate at full height as ``base``."""
    lora: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in parameters:
        if parameter.requires_grad:
            (lora if "lora_" in name else rest).append(parameter)
    own = settings.encoder_learning_rate or settings.learning_rate
    groups = [
        {"params": params, "lr": rate, "base": rate}
        for params, rate in ((lora, settings.learning_rate), (rest, own))
        if params
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=settings.weight_decay)


def train(
    denoising: Denoising,
    batches_from: BatchesFrom,
    settings: TrainSettings,
    folder: Path | None,
    *,
    report: Callable[[StepReport], None],
    accelerator: Accelerator | None = None,
    sharded: bool = False,
    card: Mapping[str, Any] | None = None,
    checkpoints: StepCheckpoints | None = None,
    held_out_loss: HeldOutLoss | None = None,
) -> Trained:
    """Train in place to ``num_steps``, going on from ``folder`` when a state lies there.

    A killed run that is started again ends with the same weights, bit for bit on one machine, as
    one that was never killed: every step's batch and noise depend on (seed, step, rank) alone, and
    weights, moments, averages and step are saved together. ``sharded`` says that ``denoising`` was
    given to ``sharding.shard``, and must not be copied to every rank.

    ``checkpoints`` are left on the way, made of states; ``card`` goes into their config.json.
    ``held_out_loss`` is measured every so many steps and changes nothing in the training.

    Raises ConfigError for a loss that is not finite or that grows; nothing is saved after it.
    """
    accelerator = accelerator or Accelerator()
    rank, device = accelerator.process_index, accelerator.device
    model = prepared(denoising.model.to(device), settings)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimiser = make_optimiser(trained.items(), settings)
    averages = _averages(list(trained.values()), settings)
    averaged = dict(zip(trained, averages.shadow_params if averages else [], strict=False))
    state = None
    if folder is not None:
        state = TrainingState(
            folder, model, optimiser, asdict(settings), averaged=averaged, card=card
        )
    saving = Saving(
        state, settings, accelerator, checkpoints=checkpoints, held_out_loss=held_out_loss
    )
    first = saving.resume()
    if averages is not None:
        averages.optimization_step = first
    call = denoising if sharded else accelerator.prepare(denoising)
    divergence, positions = DivergenceCheck(settings.divergence_factor), LossByPosition()
    model.train()
    started = time.monotonic()
    batches = islice(batches_from(first), settings.num_steps - first)
    coming = drawn_ahead(
        batches,
        lambda batch, number: draw(
            batch, generator_at(settings.seed, first + number, rank), denoising.objective
        ),
        pinned=device.type == "cuda",
    )
    for step, (stored, draws) in enumerate(coming, first):
        batch = stored.to(device)
        share = settings.learning_rate_share_at(step)
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * share
        with attention_for(device, num_tokens(model, batch)):
            with bf16_products(device.type, enabled=settings.autocast):
                error_BT = call(batch, draws)
                loss = error_BT.mean()
            everyones: Any = accelerator.reduce(loss.detach(), "mean")
            divergence.update(step, everyones.item())
            accelerator.backward(loss)
        norm = nn.utils.clip_grad_norm_(trained.values(), settings.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if averages is not None:
            averages.step(trained.values())
        positions.update(error_BT.detach(), batch.frame_index_BT, batch.hr_BCTHW.shape[2])
        now = time.monotonic()
        report(
            StepReport(
                step=step,
                loss=everyones.item(),
                grad_norm=float(norm),
                learning_rate=settings.learning_rate * share,
                samples_per_second=len(error_BT) * accelerator.num_processes / (now - started),
                positions=dict(positions.means),
            )
        )
        saving.after(step + 1)
        started = time.monotonic()
    model.eval()
    return Trained(first_step=first, averaged=averaged)


def prepared(model: MemoryDiT, settings: TrainSettings) -> MemoryDiT:
    """The model as the settings want it: what is trained, recomputed in backward, compiled."""
    if model.encoder is not None and not settings.train_encoder:
        model.encoder.requires_grad_(requires_grad=False)
    if settings.gradient_checkpointing:
        model.dit.enable_gradient_checkpointing()
    if settings.compiled:
        for block in model.backbone.blocks(model.dit):
            block.compile()
    return model


def num_tokens(model: MemoryDiT, batch: Batch) -> int:
    """Memory and target tokens of one sample."""
    _, _, num_frames, height, width = batch.hr_BCTHW.shape
    patch = model.geometry.patch
    target = batch.target_BCTHW.shape[2] * (height // patch) * (width // patch)
    return model.config.num_tokens((num_frames, height, width)) + target


def attention_for(device: torch.device, num_tokens: int) -> AbstractContextManager[None]:
    """Plain products for short sequences on a CPU, where torch's flash attention is slow in bf16.

    At 160 tokens it was a third of a step; from some 3,000 on it is faster and takes less memory.
    """
    plain = device.type == "cpu" and num_tokens <= PLAIN_ATTENTION_TOKENS
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()


def _averages(parameters: list[nn.Parameter], settings: TrainSettings) -> EMAModel | None:
    if settings.ema_decay is None:
        return None
    return EMAModel(parameters, decay=settings.ema_decay, use_ema_warmup=True)
