"""The state of a training in one process that is no training of a ``MemoryDiT``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pfp.errors import WeightsError
from pfp.train.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What a training needs to resume, in one file that is there whole or not at all.

    ``averages`` are the running averages of the weights, updated in place. A training goes on from
    no file of other ``settings``.
    """

    path: Path
    model: nn.Module
    optimiser: torch.optim.Optimizer
    settings: TrainSettings
    averages: Sequence[Tensor] = ()

    def load(self) -> int:
        """Bring the state back; the steps that it had taken, 0 when there is none.

        Raises WeightsError when it belongs to another training.
        """
        if not self.path.exists():
            return 0
        found: dict[str, Any] = torch.load(self.path)
        if found["settings"] != asdict(self.settings):
            raise WeightsError(
                f"{self.path} belongs to a training with other settings; remove it, or name "
                "another folder"
            )
        self.model.load_state_dict(found["model"])
        self.optimiser.load_state_dict(found["optimiser"])
        for average, saved in zip(self.averages, found["averages"], strict=True):
            average.copy_(saved)
        return int(found["step"])

    def save(self, step: int) -> None:
        """Write the state after ``step`` steps in place of the one before."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.aside")
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "averages": list(self.averages),
            "settings": asdict(self.settings),
            "step": step,
        }
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)
