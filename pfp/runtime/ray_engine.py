"""A stage on Ray Data: workers that commit what they compute and are replaced when they die."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pfp import errors
from pfp.errors import ConfigError, PfpError
from pfp.runtime.connect import connect, environment
from pfp.runtime.pending import Pending
from pfp.runtime.stage import Resources, Stage
from pfp.runtime.worker import RECEIPT_SCHEMA, CommittingWorker

# Ray's default is to give a task up, and with it the stage, when its process has died four times.
_UNLIMITED_RETRIES = {"RAY_TASK_MAX_RETRIES": "-1"}
# Ray holds every block of the inputs in its store; a block of several batches is fetched at once.
MAX_BLOCKS = 10_000


def run_ray(stage: Stage, todo: pa.Table, pending: Pending) -> Iterator[pa.Table]:
    """The receipts of the batches of ``todo``, in the order in which their blocks are done.

    Ray hands the blocks of a worker that died out again, without limit; it is the marks of
    ``CommittingWorker`` that limit it. A ``PfpError`` of a worker comes out as it was raised.
    """
    with connect("ray"), _data_context(), environment(_UNLIMITED_RETRIES):
        dataset = _dataset(stage, todo, pending)
        for answer in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            _raise_error(answer)
            yield answer.select(RECEIPT_SCHEMA.names)


def _dataset(stage: Stage, todo: pa.Table, pending: Pending) -> Any:
    """The ``ray.data.Dataset`` of answers, lazy.

    Workers on GPUs are actors, which free the GPU when the stage ends. Others are tasks: Ray runs
    them in processes that it keeps, so that the next stage need not import everything again.
    """
    import ray.data

    resources = stage.resources
    size = _num_workers(stage, -(-todo.num_rows // resources.batch_size))
    dataset = ray.data.from_arrow(blocks(todo, resources.batch_size))
    how: dict[str, Any] = {
        "batch_size": resources.batch_size,
        "batch_format": "pyarrow",
        "zero_copy_batch": True,
        "num_cpus": resources.num_cpus,
        "num_gpus": resources.num_gpus,
        "memory": resources.memory_bytes,
    }
    if _as_actors(resources):
        pool = ray.data.ActorPoolStrategy(size=size)
        how |= {"compute": pool, "fn_constructor_args": (stage, pending)}
        return dataset.map_batches(_Actor, **how)
    tasks = ray.data.TaskPoolStrategy(size=size)
    how |= {"fn": _task, "compute": tasks, "fn_args": (stage, pending)}
    return dataset.map_batches(**how)


def _as_actors(resources: Resources) -> bool:
    return resources.num_gpus > 0


class _Actor:
    """``CommittingWorker`` as an actor: it lives as long as the stage."""

    def __init__(self, stage: Stage, pending: Pending) -> None:
        self._worker = CommittingWorker(stage, pending)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return _answer(self._worker, batch)


# The worker of the run that this process works for, under the run's id: made once per process.
_workers: dict[str, CommittingWorker] = {}


def _task(batch: pa.Table, stage: Stage, pending: Pending) -> pa.Table:
    """``CommittingWorker`` as a task: it lives until this process gets another run's batch."""
    if pending.run_id not in _workers:
        _workers.clear()
        _workers[pending.run_id] = CommittingWorker(stage, pending)
        _use_assigned_threads()
    return _answer(_workers[pending.run_id], batch)


def _answer(worker: CommittingWorker, batch: pa.Table) -> pa.Table:
    """A receipt with a column ``error``: null, or the class and text of what ends the stage.

    Ray would wrap the exception and add to its text.
    """
    try:
        receipt = worker(batch)
    except PfpError as error:
        receipt = pa.Table.from_pylist([{"part": "", "num_rows": 0, "size_bytes": 0}])
        known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return receipt.append_column("error", [[json.dumps([known.__name__, str(error)])]])
    return receipt.append_column("error", pa.nulls(receipt.num_rows, pa.string()))


def _raise_error(answer: pa.Table) -> None:
    for error in answer["error"].drop_null().to_pylist():
        kind, text = json.loads(error)
        raise getattr(errors, kind)(text)


def _use_assigned_threads() -> None:
    """Tells torch, if an earlier stage has loaded it, how many threads Ray gives to this one."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if "torch" in sys.modules and threads.isdigit():
        sys.modules["torch"].set_num_threads(int(threads))


def blocks(todo: pa.Table, batch_size: int) -> list[pa.Table]:
    """The rows cut into blocks of whole batches, at most ``MAX_BLOCKS``."""
    num_batches = -(-todo.num_rows // batch_size)
    step = batch_size * -(-num_batches // MAX_BLOCKS)
    return [todo.slice(start, step) for start in range(0, todo.num_rows, step)]


def _num_workers(stage: Stage, num_batches: int) -> int:
    """As many workers as asked for, or as fit, but no more than there are batches."""
    import ray

    resources = stage.resources
    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    fitting = _fitting(resources, total)
    may_grow = resources.num_workers is not None and "RAY_ADDRESS" in os.environ
    if fitting < 1 and not may_grow:
        have = {name: total.get(name, 0) for name in ("CPU", "GPU", "memory")}
        message = (
            f"stage {stage.name}: a worker needs {resources.num_cpus} CPUs, "
            f"{resources.num_gpus} GPUs and {resources.memory_bytes or 0} bytes, Ray has {have}; "
            "lower the stage's resources, or give num_workers if the cluster grows by itself"
        )
        raise ConfigError(message)
    return min(resources.num_workers or fitting, num_batches)


def _fitting(resources: Resources, total: dict[str, float]) -> int:
    needs = {
        "CPU": resources.num_cpus,
        "GPU": resources.num_gpus,
        "memory": resources.memory_bytes or 0,
    }
    return min(int(total.get(name, 0) / need) for name, need in needs.items() if need)


@contextlib.contextmanager
def _data_context() -> Iterator[None]:
    """Ray Data as a stage needs it, for the time of the block.

    Nothing of it shows on the terminal: progress is ours, and errors come out as exceptions.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    settings = {
        "enable_progress_bars": False,
        # A batch may well take an hour; whether it hangs is for its worker to tell.
        "execution_no_progress_timeout_s": -1,
    }
    before = {name: getattr(context, name) for name in settings}
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    for name, value in settings.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        logger.setLevel(level)
