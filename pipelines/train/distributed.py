"""Training by Ray: by several processes, which Ray Train starts and replaces, and from Ray Data.

Axes: B batch, T latent frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from pfp.errors import PfpError
from pfp.train.loader import WindowBatches
from pfp.train.objective import Batch
from pipelines.train.config import TrainConfig

T = TypeVar("T")

MORE_LR: Final = "more_lr_BCTHW"  # the one field that holds several tensors: a column for each


def run_on_processes(
    run: Callable[[T], None], job: T, config: TrainConfig, state_folder: Path
) -> None:
    """Call ``run(job)`` in ``num_processes`` processes of one group; needs a running Ray.

    Processes that die are replaced up to ``max_restarts`` times and all go on from the state in
    ``state_folder``, which any number of them can read: with ``min_processes`` fewer may be left.
    """
    fewest = config.min_processes or config.num_processes
    num_workers: Any = (
        config.num_processes
        if fewest == config.num_processes
        else (fewest, config.num_processes)  # elastic
    )
    trainer = TorchTrainer(
        _process,
        train_loop_config={"run": run, "job": job},
        scaling_config=ScalingConfig(
            num_workers=num_workers,
            use_gpu=config.num_gpus_per_process > 0,
            resources_per_worker=_resources(config),
        ),
        run_config=RunConfig(
            name=state_folder.name.removeprefix("."),
            storage_path=str(state_folder.parent.absolute() / ".ray"),
            failure_config=FailureConfig(max_failures=config.max_restarts),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise _own_error(error) or error from error


def _process(given: dict[str, Any]) -> None:
    given["run"](given["job"])


def _resources(config: TrainConfig) -> dict[str, float]:
    gpus = config.num_gpus_per_process
    return {"CPU": config.num_cpus_per_process, **({"GPU": gpus} if gpus else {})}


def _own_error(error: TrainingFailedError) -> PfpError | None:
    """What a process said in our own words, where it did."""
    failures = getattr(error, "worker_failures", {})
    return next((each for each in failures.values() if isinstance(each, PfpError)), None)


def iter_ray_batches(
    batches: WindowBatches, steps: range, *, prefetch: int = 2, **options: Any
) -> Iterator[Batch]:
    """The batches of ``steps`` in order, read by Ray's tasks; needs a running Ray.

    ``options`` are those of ``ray.data.Dataset.iter_torch_batches`` (``device``, ``pin_memory``).
    Each step is a task of one block, and Ray Data's backpressure bounds how many wait.
    """
    import ray.data  # here, since training itself reads without it

    context = ray.data.DataContext.get_current()
    before = context.execution_options.preserve_order
    context.execution_options.preserve_order = True
    try:
        read = ray.data.range(len(steps), override_num_blocks=len(steps)).map_batches(
            _ReadSteps(batches, steps), batch_size=1
        )
        found = read.iter_torch_batches(
            batch_size=None, prefetch_batches=prefetch, drop_last=False, **options
        )
        for tensors in found:
            yield _batch_of(tensors)
    finally:
        context.execution_options.preserve_order = before


class _ReadSteps:
    """A step's number to its samples, one row each."""

    def __init__(self, batches: WindowBatches, steps: range) -> None:
        self._batches = batches
        self._steps = steps

    def __call__(self, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        batch = self._batches[self._steps[int(rows["id"][0])]]
        columns = {field.name: getattr(batch, field.name) for field in fields(batch)}
        more = columns.pop(MORE_LR)
        columns |= {f"{MORE_LR}/{number}": tensor for number, tensor in enumerate(more)}
        return {
            name: np.ascontiguousarray(tensor.numpy())
            for name, tensor in columns.items()
            if tensor is not None
        }


def _batch_of(tensors: dict[str, torch.Tensor]) -> Batch:
    more = sorted(name for name in tensors if name.startswith(f"{MORE_LR}/"))
    rest = {name: tensor for name, tensor in tensors.items() if name not in more}
    return Batch(**rest, **{MORE_LR: tuple(tensors[name] for name in more)})  # type: ignore[arg-type]
