"""The training loop: batches that are a pure function of the step, so that resuming is exact."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from numpy.random import SeedSequence
from torch import nn

from pfp.errors import ConfigError, WeightsError
from pfp.models.memory_dit import MemoryDiT
from pfp.models.precision import bf16_products
from pfp.train.objective import Batch, velocity_loss

STATE_FILE: Final = "training_state.pt"
PROGRESS_FILE: Final = "progress.json"

BatchAt = Callable[[int, torch.Generator], Batch]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How an arm is trained. The learning rate warms up and then falls to zero as a cosine."""

    num_steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    max_grad_norm: float = 1.0
    seed: int = 0
    autocast: bool = True  # bf16 products, fp32 weights: several times faster on CPUs with bf16
    save_every_steps: int = 200

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.num_steps))


def generator_at(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step: a pure function of (seed, step), whatever came before."""
    # Hashed to 32 bits, because torch's CPU generator looks at no more of its seed.
    return torch.Generator().manual_seed(int(SeedSequence([seed, step]).generate_state(1)[0]))


def make_optimiser(
    parameters: list[nn.Parameter], settings: TrainSettings
) -> torch.optim.Optimizer:
    """AdamW over what is trained."""
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
    )


def train(
    model: MemoryDiT,
    batch_at: BatchAt,
    settings: TrainSettings,
    directory: Path | None,
    *,
    report: Callable[[int, float], None],
    loss_of: Callable[[MemoryDiT, Batch, torch.Generator], torch.Tensor] = velocity_loss,
) -> int:
    """Train in place to ``num_steps``, going on from ``directory`` when a state lies there.

    Returns the step that it started from. A killed run that is started again ends with the same
    weights, bit for bit on one machine, as one that was never killed: every step's batch and noise
    depend on (seed, step) alone, and weights, moments and step are saved together.
    """
    parameters = model.trainable_parameters()
    optimiser = make_optimiser(parameters, settings)
    first = load_state(directory, parameters, optimiser, settings) if directory else 0
    model.train()
    for step in range(first, settings.num_steps):
        generator = generator_at(settings.seed, step)
        batch = batch_at(step, generator)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate_at(step)
        with bf16_products(enabled=settings.autocast):
            loss = loss_of(model, batch, generator)
        if not torch.isfinite(loss):
            raise ConfigError(
                f"the loss is {loss.item()} at step {step}; "
                "lower the learning rate or check the latents"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        report(step, loss.item())
        done = step + 1
        if directory and (done % settings.save_every_steps == 0 or done == settings.num_steps):
            save_state(directory, done, parameters, optimiser, settings)
    model.eval()
    return first


def save_state(
    directory: Path,
    step: int,
    parameters: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    settings: TrainSettings,
) -> None:
    """Write weights, moments and step in one file, aside and renamed."""
    directory.mkdir(parents=True, exist_ok=True)
    aside = directory / f".{STATE_FILE}.{os.getpid()}"
    state = {
        "step": step,
        "seed": settings.seed,
        "num_steps": settings.num_steps,
        "parameters": [parameter.detach() for parameter in parameters],
        "optimiser": optimiser.state_dict(),
    }
    with aside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(directory / STATE_FILE)
    progress = directory / f".{PROGRESS_FILE}.{os.getpid()}"
    progress.write_text(json.dumps({"step": step, "num_steps": settings.num_steps}) + "\n")
    progress.replace(directory / PROGRESS_FILE)


def load_state(
    directory: Path,
    parameters: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    settings: TrainSettings,
) -> int:
    """Bring weights and moments back; the step to go on with, 0 when there is no state."""
    path = directory / STATE_FILE
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, weights_only=True)
    same_run = (state["seed"], state["num_steps"]) == (settings.seed, settings.num_steps)
    shapes = [tuple(parameter.shape) for parameter in parameters]
    if not same_run or shapes != [tuple(saved.shape) for saved in state["parameters"]]:
        raise WeightsError(
            f"{path} belongs to another training (seed, steps or arm differ); "
            "remove the folder or name another"
        )
    with torch.no_grad():
        for parameter, saved in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(saved)
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
