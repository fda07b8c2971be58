"""The state of a training that is under way: whole or not there, for any number of ranks to read.

``folder/step-00000200`` holds the checkpoint's weights, the optimiser's moments and the average, in
torch's distributed checkpoint format: every rank writes its shard, and another number of ranks can
read it. All ranks need to see the folder. What the loader shows next follows from the step alone.
Beside them lies the config.json that a checkpoint of that step has (``pfp.train.export``).
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import distributed
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_checkpoint
from torch.distributed.checkpoint.state_dict_saver import save as save_checkpoint

from pfp.errors import WeightsError
from pfp.models.memory.checkpoint import is_own_weight, write_description
from pfp.models.memory.dit import MemoryDiT
from pfp.train.folders import aside_of, put_in_place, remove_whole, step_folder, step_folders

RUN_FILE: Final = "run.json"
_OPTIONS: Final = StateDictOptions(ignore_frozen_params=True, strict=False)


class TrainingState:
    """What a training needs to resume, in a folder that all ranks see.

    ``run`` is what has to be equal for a training to be the same one (seed, steps, settings).
    ``averaged`` maps the names of trained parameters to their running averages, updated in place.
    ``card`` is what a checkpoint of it says in its config.json, beside the step.
    """

    def __init__(
        self,
        folder: Path,
        model: MemoryDiT,
        optimiser: torch.optim.Optimizer,
        run: Mapping[str, Any],
        *,
        averaged: Mapping[str, torch.Tensor] | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._model = model
        self._optimiser = optimiser
        self._run = json.loads(json.dumps(run))
        self._averaged = dict(averaged or {})
        self._card = dict(card or {})

    def save(self, step: int, facts: Mapping[str, Any] | None = None) -> None:
        """Write the state after ``step`` steps aside, rename it, and remove the one before.

        ``facts`` is what else there is to say of this step.
        """
        final = step_folder(self.folder, step)
        aside = aside_of(final)
        if _is_first():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        _wait()
        with alone_is_fine():
            save_checkpoint(self._tensors(), checkpoint_id=aside)
        if _is_first():
            (aside / RUN_FILE).write_text(json.dumps({**self._run, "step": step}) + "\n")
            card = {**self._card, "num_steps": step, **(facts or {})}
            write_description(aside, self._model.config, card)
            put_in_place(aside, final)
            for old in step_folders(self.folder).values():
                if old != final:
                    remove_whole(old)
        _wait()

    def load(self) -> int:
        """Bring the newest state back; the steps that it had taken, 0 when there is none.

        Raises WeightsError when it belongs to another training.
        """
        path = newest_state(self.folder)
        if path is None:
            return 0
        run = json.loads((path / RUN_FILE).read_text())
        step = int(run.pop("step"))
        if run != self._run:
            differing = sorted(k for k in {*run, *self._run} if run.get(k) != self._run.get(k))
            raise WeightsError(
                f"{path} belongs to another training ({', '.join(differing)} differ); remove the "
                "folder or name another"
            )
        state = self._tensors()
        with alone_is_fine():
            load_checkpoint(state, checkpoint_id=path)
        set_model_state_dict(self._model, state["model"], options=_OPTIONS)
        set_optimizer_state_dict(self._model, self._optimiser, state["optimiser"], options=_OPTIONS)
        return step

    def _tensors(self) -> dict[str, Any]:
        weights = get_model_state_dict(self._model)  # frozen ones too: an encoder may be
        return {
            "model": {name: x for name, x in weights.items() if is_own_weight(name)},
            "optimiser": get_optimizer_state_dict(self._model, self._optimiser, options=_OPTIONS),
            "averaged": self._averaged,
        }


def newest_state(folder: Path) -> Path | None:
    """The newest state of a training's folder, or the folder itself where it is one."""
    if (folder / RUN_FILE).is_file():
        return folder
    return next(reversed(step_folders(folder).values()), None)


def _is_first() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _wait() -> None:
    if distributed.is_initialized():
        distributed.barrier()


@contextmanager
def alone_is_fine() -> Iterator[None]:
    """Torch warns when there is one process only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
