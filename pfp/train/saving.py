"""What a training does between steps: validate, save its state, and leave checkpoints."""

from __future__ import annotations

import math
from typing import Protocol

from accelerate import Accelerator

from pfp.train.settings import TrainSettings
from pfp.train.state import TrainingState, newest_state
from pfp.train.step_checkpoints import StepCheckpoints


class HeldOutLoss(Protocol):
    """Measures the loss on held-out clips; ``pfp.train.validation.Validation`` does."""

    every_steps: int

    def __call__(self, step: int) -> float:
        """The loss after so many steps, the same on every process; all of them must ask."""
        ...


class Saving:
    """Keeps a training's state, on every process.

    A state is there before the checkpoint that is made of it, and holds the step's held-out loss,
    so that a training that was killed in between makes the same checkpoint when it is resumed.
    """

    def __init__(
        self,
        state: TrainingState | None,
        settings: TrainSettings,
        accelerator: Accelerator,
        *,
        checkpoints: StepCheckpoints | None = None,
        held_out_loss: HeldOutLoss | None = None,
    ) -> None:
        self._state, self._settings, self._accelerator = state, settings, accelerator
        self._checkpoints, self._held_out_loss = checkpoints, held_out_loss

    def resume(self) -> int:
        """Bring the newest state back; how many steps it had taken."""
        first = self._state.load() if self._state else 0
        if first and self._exports(first):
            self._export()
        return first

    def after(self, step: int) -> None:
        """After each step; ``step`` counts from 1."""
        exports, measures = self._exports(step), self._held_out_loss
        facts = {}
        if measures and (exports or self._is_due(step, measures.every_steps)):
            loss = measures(step)
            facts = {"held_out_loss": loss} if math.isfinite(loss) else {}
        if self._state and (exports or self._is_due(step, self._settings.save_every_steps)):
            self._state.save(step, facts)
        if exports:
            self._export()

    def _exports(self, step: int) -> bool:
        each = self._checkpoints
        return each is not None and self._is_due(step, each.every_steps)

    def _is_due(self, step: int, every_steps: int) -> bool:
        return step % every_steps == 0 or step == self._settings.num_steps

    def _export(self) -> None:
        assert self._checkpoints is not None
        assert self._state is not None, "checkpoints on the way are made of states"
        if self._accelerator.is_main_process:
            state = newest_state(self._state.folder)
            assert state is not None
            self._checkpoints.export(state)
        self._accelerator.wait_for_everyone()
