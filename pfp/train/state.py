"""The state of a training that is under way: whole or not there, for any number of ranks to read.

``folder/step-00000200`` holds what is trained, the optimiser's moments and the average, in torch's
distributed checkpoint format: every rank writes its shard, and another number of ranks can read
it. All ranks need to see the folder. What the loader shows next follows from the step alone.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import distributed, nn
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

PREFIX: Final = "step-"
RUN_FILE: Final = "run.json"
_OPTIONS: Final = StateDictOptions(ignore_frozen_params=True, strict=False)


class TrainingState:
    """What a training needs to resume, in a folder that all ranks see.

    ``run`` is what has to be equal for a training to be the same one (seed, steps, settings).
    ``averaged`` maps the names of trained parameters to their running averages, updated in place.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        run: Mapping[str, Any],
        averaged: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self._folder = folder
        self._model = model
        self._optimiser = optimiser
        self._run = json.loads(json.dumps(run))
        self._averaged = dict(averaged or {})

    def save(self, step: int) -> None:
        """Write the state after ``step`` steps aside, rename it, and remove the one before."""
        final = self._folder / f"{PREFIX}{step:08d}"
        aside = self._folder / f".{final.name}.aside"
        if _is_first():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        _wait()
        with _alone_is_fine():
            save_checkpoint(self._tensors(), checkpoint_id=aside)
        if _is_first():
            (aside / RUN_FILE).write_text(json.dumps({**self._run, "step": step}) + "\n")
            _sync(aside)
            shutil.rmtree(final, ignore_errors=True)
            aside.rename(final)
            for old in _steps(self._folder):
                if old != final:
                    shutil.rmtree(old)
        _wait()

    def load(self) -> int:
        """Bring the newest state back; the steps that it had taken, 0 when there is none.

        Raises WeightsError when it belongs to another training.
        """
        found = _steps(self._folder)
        if not found:
            return 0
        path = found[-1]
        run = json.loads((path / RUN_FILE).read_text())
        step = int(run.pop("step"))
        if run != self._run:
            differing = sorted(k for k in {*run, *self._run} if run.get(k) != self._run.get(k))
            raise WeightsError(
                f"{path} belongs to another training ({', '.join(differing)} differ); remove the "
                "folder or name another"
            )
        state = self._tensors()
        with _alone_is_fine():
            load_checkpoint(state, checkpoint_id=path)
        set_model_state_dict(self._model, state["model"], options=_OPTIONS)
        set_optimizer_state_dict(self._model, self._optimiser, state["optimiser"], options=_OPTIONS)
        return step

    def _tensors(self) -> dict[str, Any]:
        return {
            "model": get_model_state_dict(self._model, options=_OPTIONS),
            "optimiser": get_optimizer_state_dict(self._model, self._optimiser, options=_OPTIONS),
            "averaged": self._averaged,
        }


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}*"))


def _is_first() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _wait() -> None:
    if distributed.is_initialized():
        distributed.barrier()


def _sync(folder: Path) -> None:
    """Put the files' bytes on the disk before their folder gets its name."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _alone_is_fine() -> Iterator[None]:
    """Torch warns when there is one process only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
