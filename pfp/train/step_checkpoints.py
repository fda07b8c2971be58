"""The checkpoints that a training leaves on the way: the newest, and the best besides."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pfp.errors import WeightsError
from pfp.models.memory.checkpoint import read_description
from pfp.train.export import export_state
from pfp.train.folders import (
    appearing_whole,
    remove_leftovers,
    remove_whole,
    step_folder,
    step_folders,
)
from pfp.train.state import newest_state

BEST_FILE: Final = "best.json"
BEST, LAST = "best", "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCheckpoints:
    """Checkpoints every so many steps, in ``folder/step-00001000`` and so on.

    The ``keep`` newest stay, and the one of the lowest held-out loss, which ``best.json`` names.
    All are made of states: whatever kills a training, it goes on from a state and from that makes
    what is missing. ``training_sha256`` stands for all that the training depends on; checkpoints of
    another training are removed when there is one of this.
    """

    folder: Path
    training_sha256: str
    every_steps: int
    keep: int

    def export(self, state: Path) -> None:
        """Make the checkpoint of a state, unless it is there, and remove those that are not kept.

        To be called on one process. Doing it again changes nothing.
        """
        remove_leftovers(self.folder)
        step = int(read_description(state)["num_steps"])
        own = self._own()
        for foreign in {*step_folders(self.folder).values()} - {*own.values()}:
            remove_whole(foreign)
        if step not in own:
            own[step] = step_folder(self.folder, step)
            export_state(state, own[step])
        best = self._write_best(own)
        for old in sorted(own)[: -self.keep]:
            if old != best:
                remove_whole(own[old])

    def take(self, wanted: str, state_folder: Path, folder: Path) -> int:
        """Put a step in ``folder`` as the training's checkpoint; the number of its steps.

        ``wanted`` is ``best``, ``last`` or a number of steps. ``state_folder`` is the training's
        own, which may be gone. Raises WeightsError, which says what there is, for a step that is
        not there.
        """
        own = self._own()
        state = newest_state(state_folder)
        state_step = None if state is None else int(read_description(state)["num_steps"])
        steps = sorted({*own, *([] if state_step is None else [state_step])})
        step = self._best_step() if wanted == BEST else _chosen(wanted, steps)
        if step is None or step not in steps:
            raise WeightsError(
                f"{self.folder} has no checkpoint {wanted!r} of this training"
                f"{'' if wanted != BEST else ' (it takes export_every_steps and validation)'}; "
                f"there are the steps {', '.join(map(str, steps)) or 'none'}"
            )
        if step in own:
            with appearing_whole(folder) as aside:
                shutil.copytree(own[step], aside, dirs_exist_ok=True)
        else:
            assert state is not None  # its step is the only other one
            export_state(state, folder)
        return step

    def _own(self) -> dict[int, Path]:
        """The checkpoints of this training, by their steps."""
        return {
            step: path
            for step, path in step_folders(self.folder).items()
            if read_description(path).get("training_sha256") == self.training_sha256
        }

    def _write_best(self, own: dict[int, Path]) -> int | None:
        """Write which of them has the lowest held-out loss, the first of equals; its step."""
        described = {step: read_description(path) for step, path in own.items()}
        losses = {
            step: float(each["held_out_loss"])
            for step, each in sorted(described.items())
            if "held_out_loss" in each
        }
        path = self.folder / BEST_FILE
        if not losses:
            path.unlink(missing_ok=True)
            return None
        best = min(losses, key=losses.__getitem__)
        told = {
            "step": best,
            "held_out_loss": losses[best],
            "checkpoint": own[best].name,
        }
        aside = path.with_name(f".{path.name}")
        aside.write_text(json.dumps(told, indent=2) + "\n")
        aside.replace(path)
        return best

    def _best_step(self) -> int | None:
        try:
            told: dict[str, Any] = json.loads((self.folder / BEST_FILE).read_text())
        except FileNotFoundError:
            return None
        return int(told["step"])


def _chosen(wanted: str, steps: list[int]) -> int | None:
    if wanted == LAST:
        return steps[-1] if steps else None
    return int(wanted) if wanted.isdecimal() else None
