"""Divergence checks: what stops a training whose loss goes up, and what shows one that cheats."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from pfp.errors import ConfigError

SMOOTHING = 0.98  # the weight of the past in a running mean: some fifty steps
PARTS = ("early", "middle", "late")
POSITIONS = (*PARTS, "next", "first")  # all that ``part_of`` says


@dataclass(slots=True)
class DivergenceCheck:
    """Refuses a loss that is not finite, or whose running mean leaves its best by ``factor``.

    ``factor`` None: only the first. The first ``patience`` steps only make the mean.
    """

    factor: float | None = 4.0
    patience: int = 50
    _mean: float = math.nan
    _best: float = math.inf
    _num_seen: int = 0

    def update(self, step: int, loss: float) -> None:
        """Raise ConfigError when the training should end at this step."""
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss is {loss} at step {step}; lower the learning rate or check the latents"
            )
        self._num_seen += 1
        past = loss if math.isnan(self._mean) else self._mean
        weight = min(SMOOTHING, 1 - 1 / self._num_seen)
        self._mean = weight * past + (1 - weight) * loss
        if self._num_seen < self.patience:
            return
        self._best = min(self._best, self._mean)
        if self.factor is not None and self._mean > self.factor * self._best:
            raise ConfigError(
                f"the loss has gone up to {self._mean:.3g} at step {step} from {self._best:.3g}; "
                "lower the learning rate and start again from the last state"
            )


@dataclass(slots=True)
class LossByPosition:
    """Running means of the loss on frames of each third of the history, and of what follows it.

    ``first`` is the loss on sections that follow nothing: a video's beginning. An encoder that
    cheats (section 3.1) gives back some positions and not others; with random frame sets the
    thirds stay together.
    """

    means: dict[str, float] = field(default_factory=dict)

    def update(self, error_BT: Tensor, frame_index_BT: Tensor, num_frames: int) -> None:
        """Take in the errors of a batch."""
        for error, index in zip(
            error_BT.flatten().tolist(), frame_index_BT.flatten().tolist(), strict=True
        ):
            name = part_of(index, num_frames)
            before = self.means.get(name, error)
            self.means[name] = SMOOTHING * before + (1 - SMOOTHING) * error


def part_of(index: int, num_frames: int) -> str:
    """What a target's place is called in a history of so many latent frames."""
    if not num_frames:
        return "first"
    return "next" if index >= num_frames else PARTS[index * len(PARTS) // num_frames]
