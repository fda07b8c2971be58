"""A stage on Ray Data: workers that commit what they compute and are replaced when they die."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pfp import errors
from pfp.errors import ConfigError, PfpError
from pfp.io.table_writer import DataFile
from pfp.runtime.compact import WriteFile, run_here
from pfp.runtime.connect import connect, environment
from pfp.runtime.preprocessing import PreprocessingWorker
from pfp.runtime.stage import Preprocess, Resources, Stage
from pfp.runtime.staged import StagedFiles
from pfp.runtime.worker import RECEIPT_SCHEMA, CommittingWorker

# Ray's default is to give a task up, and with it the stage, when its process has died four times.
_UNLIMITED_RETRIES = {"RAY_TASK_MAX_RETRIES": "-1"}
# Ray holds every block of the inputs in its store; a block of several batches is fetched at once.
MAX_BLOCKS = 10_000
# A worker that encodes one preprocessed row has the next one fetched; more would fill its memory.
PREPROCESSED_PER_WORKER = 2
STAGE_ERROR = "_stage_error"  # string: null, or the class and text of what ends the stage


def run_ray(stage: Stage, todo: pa.Table, staged: StagedFiles) -> Iterator[pa.Table]:
    """The receipts of the batches of ``todo``, in the order in which their blocks are done.

    Ray hands the blocks of a worker that died out again, without limit; it is the marks of
    ``CommittingWorker`` that limit it. A ``PfpError`` of a worker comes out as it was raised.
    """
    with connect("ray"), _data_context(stage), environment(_UNLIMITED_RETRIES):
        dataset = _dataset(stage, todo, staged)
        for answer in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            _raise_error(answer)
            yield answer.select(RECEIPT_SCHEMA.names)


def write_on_ray(jobs: Sequence[WriteFile]) -> list[DataFile]:
    """The files, in the order of the jobs, written by as many tasks at a time as there are CPUs.

    A table of terabytes does not pass through one machine. A single file is written here.
    """
    if len(jobs) < 2:
        return run_here(jobs)
    import ray

    with connect("ray"):
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = max(1, int(total.get("CPU", 1)))
        write = ray.remote(num_cpus=1, max_retries=-1)(WriteFile.__call__)
        files: list[Any] = []
        waiting: list[Any] = []
        for job in jobs:
            if len(waiting) == room:
                _, waiting = ray.wait(waiting, num_returns=1)
            files.append(write.remote(job))
            waiting.append(files[-1])
        try:
            written: list[DataFile] = ray.get(files)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error  # a full disk, say, in its own words
        return written


def _dataset(stage: Stage, todo: pa.Table, staged: StagedFiles) -> Any:
    """The ``ray.data.Dataset`` of answers, lazy.

    Workers on GPUs are actors, which free the GPU when the stage ends. Others are tasks: Ray runs
    them in processes that it keeps, so that the next stage need not import everything again.
    """
    import ray.data

    batch_size = stage.resources.batch_size
    preprocess_size, size = _sizes(stage, -(-todo.num_rows // batch_size))
    dataset: Any = ray.data.from_arrow(blocks(todo, batch_size))
    if stage.preprocess is not None:
        dataset = dataset.map_batches(
            _PreprocessingActor,
            fn_constructor_args=(stage, stage.preprocess, staged),
            compute=ray.data.ActorPoolStrategy(size=preprocess_size),
            **_needs(stage.preprocess.resources),
        )
    if _as_actors(stage.resources):
        waiting = None if stage.preprocess is None else PREPROCESSED_PER_WORKER
        pool = ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=waiting)
        return dataset.map_batches(
            _Actor,
            fn_constructor_args=(stage, staged),
            compute=pool,
            **_needs(stage.resources),
        )
    tasks = ray.data.TaskPoolStrategy(size=size)
    return dataset.map_batches(
        _task, fn_args=(stage, staged), compute=tasks, **_needs(stage.resources)
    )


def _needs(resources: Resources) -> dict[str, Any]:
    return {
        "batch_size": resources.batch_size,
        "batch_format": "pyarrow",
        "zero_copy_batch": True,
        "num_cpus": resources.num_cpus,
        "num_gpus": resources.num_gpus,
        "memory": resources.memory_bytes,
    }


def _as_actors(resources: Resources) -> bool:
    return resources.num_gpus > 0


class _PreprocessingActor:
    """``PreprocessingWorker`` as an actor, which Ray does not fuse with the step that follows."""

    def __init__(self, stage: Stage, preprocess: Preprocess, staged: StagedFiles) -> None:
        self._worker = PreprocessingWorker(stage, preprocess, staged)

    def __call__(self, row: pa.Table) -> pa.Table:
        try:
            preprocessed, error = self._worker(row), None
        except PfpError as raised:
            preprocessed, error = self._worker.without(row), _as_text(raised)
        return preprocessed.append_column(STAGE_ERROR, pa.array([error], pa.string()))


class _Actor:
    """``CommittingWorker`` as an actor: it lives as long as the stage."""

    def __init__(self, stage: Stage, staged: StagedFiles) -> None:
        self._worker = CommittingWorker(stage, staged)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return _answer(self._worker, batch)


# The worker of the run that this process works for, under the run's id: made once per process.
_workers: dict[str, CommittingWorker] = {}


def _task(batch: pa.Table, stage: Stage, staged: StagedFiles) -> pa.Table:
    """``CommittingWorker`` as a task: it lives until this process gets another run's batch."""
    if staged.run_id not in _workers:
        _workers.clear()
        _workers[staged.run_id] = CommittingWorker(stage, staged)
        _use_assigned_threads()
    return _answer(_workers[staged.run_id], batch)


def _answer(worker: CommittingWorker, batch: pa.Table) -> pa.Table:
    """A receipt with a column ``STAGE_ERROR``.

    Ray would wrap the exception and add to its text.
    """
    error = None
    if STAGE_ERROR in batch.column_names:
        (error,) = batch[STAGE_ERROR].to_pylist()
        batch = batch.drop_columns([STAGE_ERROR])
    if error is None:
        try:
            receipt = worker(batch)
        except PfpError as raised:
            error = _as_text(raised)
    if error is not None:
        receipt = pa.Table.from_pylist([{"file": "", "num_rows": 0, "size_bytes": 0}])
    errors_of_rows = pa.array([error] * receipt.num_rows, pa.string())
    return receipt.append_column(STAGE_ERROR, errors_of_rows)


def _as_text(error: PfpError) -> str:
    known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return json.dumps([known.__name__, str(error)])


def _raise_error(answer: pa.Table) -> None:
    for error in answer[STAGE_ERROR].drop_null().to_pylist():
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


def _sizes(stage: Stage, num_batches: int) -> tuple[int, int]:
    """How many workers preprocess (0 if the stage does not) and how many compute beside them.

    At least one of each has to fit, for both hold their CPUs as long as the stage runs.
    """
    import ray

    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    if stage.preprocess is None:
        return 0, _num_workers(stage, stage.resources, total, num_batches)
    first = stage.preprocess.resources
    left = _without(total, first, first.num_workers or 1)
    size = _num_workers(stage, stage.resources, left, num_batches)
    left = _without(total, stage.resources, size)
    return _num_workers(stage, first, left, num_batches), size


def _num_workers(
    stage: Stage, resources: Resources, free: dict[str, float], num_batches: int
) -> int:
    """As many workers as asked for, or as fit, but no more than there are batches."""
    fitting = _fitting(resources, free)
    may_grow = resources.num_workers is not None and "RAY_ADDRESS" in os.environ
    if fitting < 1 and not may_grow:
        have = {name: free.get(name, 0) for name in ("CPU", "GPU", "memory")}
        message = (
            f"stage {stage.name}: a worker needs {resources.num_cpus} CPUs, "
            f"{resources.num_gpus} GPUs and {resources.memory_bytes or 0} bytes, Ray has {have}"
            f"{'' if stage.preprocess is None else ' beside the workers of its other step'}; "
            "lower the stage's resources, or give num_workers if the cluster grows by itself"
        )
        raise ConfigError(message)
    return min(resources.num_workers or fitting, num_batches)


def _without(free: dict[str, float], resources: Resources, num_workers: int) -> dict[str, float]:
    return {
        name: amount - num_workers * _of_one(resources).get(name, 0)
        for name, amount in free.items()
    }


def _fitting(resources: Resources, free: dict[str, float]) -> int:
    needs = _of_one(resources)
    return min(int(free.get(name, 0) / need) for name, need in needs.items() if need)


def _of_one(resources: Resources) -> dict[str, float]:
    return {
        "CPU": resources.num_cpus,
        "GPU": resources.num_gpus,
        "memory": resources.memory_bytes or 0,
    }


@contextlib.contextmanager
def _data_context(stage: Stage) -> Iterator[None]:
    """Ray Data as a stage needs it, for the time of the block.

    Nothing of it shows on the terminal: progress is ours, and errors come out as exceptions.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    settings: dict[str, Any] = {
        "enable_progress_bars": False,
        # A batch may well take an hour; whether it hangs is for its worker to tell.
        "execution_no_progress_timeout_s": -1,
    }
    if stage.preprocess is not None:
        # A block per row, whatever its size: a process that dies is replaced and repeats its
        # blocks, and Ray tells repeated ones by their number.
        settings["target_max_block_size"] = 1
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
