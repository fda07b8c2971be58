"""A stage on Ray Data: a pool of workers that pull blocks, are replaced when they die, and commit."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pfp.errors import ConfigError, PfpError
from pfp.runtime.connect import connect
from pfp.runtime.pending import Pending
from pfp.runtime.stage import Resources, Stage
from pfp.runtime.worker import CommittingWorker

# Ray holds every block of the inputs in its store; a block of several batches is fetched at once.
MAX_BLOCKS = 10_000


def run_ray(stage: Stage, todo: pa.Table, pending: Pending) -> Iterator[pa.Table]:
    """The receipts of the batches of ``todo``, in the order in which their blocks are done.

    Ray replaces a worker that dies and hands its blocks out again, without limit; it is the marks
    of ``CommittingWorker`` that limit it. ``PfpError`` of a worker comes out as it was raised.
    """
    with connect("ray"), _quiet_ray_data():
        import ray.data

        num_workers = _num_workers(stage, -(-todo.num_rows // stage.resources.batch_size))
        resources = stage.resources
        dataset = ray.data.from_arrow(blocks(todo, resources.batch_size)).map_batches(
            CommittingWorker,
            fn_constructor_args=(stage, pending),
            batch_size=resources.batch_size,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(size=num_workers),
            num_cpus=resources.num_cpus,
            num_gpus=resources.num_gpus,
            memory=resources.memory_bytes,
        )
        try:
            yield from dataset.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            )
        except Exception as error:
            cause = _pfp_error(error)
            if cause is None:
                raise
            raise cause from None


def blocks(todo: pa.Table, batch_size: int) -> list[pa.Table]:
    """The rows cut into blocks of whole batches, at most ``MAX_BLOCKS``."""
    num_batches = -(-todo.num_rows // batch_size)
    step = batch_size * -(-num_batches // MAX_BLOCKS)
    return [todo.slice(start, step) for start in range(0, todo.num_rows, step)]


def _num_workers(stage: Stage, num_batches: int) -> int:
    """As many workers as asked for, or as fit, but no more than there are batches."""
    import ray

    resources = stage.resources
    if resources.num_workers is not None:
        return min(resources.num_workers, num_batches)
    total = ray.cluster_resources()
    fitting = _fitting(resources, total)
    if fitting < 1:
        have = {name: total.get(name, 0) for name in ("CPU", "GPU", "memory")}
        message = (
            f"stage {stage.name}: a worker needs {resources.num_cpus} CPUs, "
            f"{resources.num_gpus} GPUs and {resources.memory_bytes or 0} bytes, Ray has {have}; "
            "lower the stage's resources, or give num_workers if the cluster grows by itself"
        )
        raise ConfigError(message)
    return min(fitting, num_batches)


def _fitting(resources: Resources, total: dict[str, float]) -> int:
    needs = {
        "CPU": resources.num_cpus,
        "GPU": resources.num_gpus,
        "memory": resources.memory_bytes or 0,
    }
    return min(int(total.get(name, 0) / need) for name, need in needs.items() if need)


def _pfp_error(error: BaseException) -> PfpError | None:
    """The error that a worker raised, out of the wrappings that Ray has put around it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PfpError) and type(seen).__module__.startswith("pfp."):
            return seen
        cause: Any = getattr(seen, "cause", None)
        seen = cause if isinstance(cause, BaseException) else seen.__cause__
    return None


@contextlib.contextmanager
def _quiet_ray_data() -> Iterator[None]:
    """No bars and no log lines of Ray Data on the terminal; errors come out as exceptions."""
    import ray.data

    context = ray.data.DataContext.get_current()
    logger = logging.getLogger("ray.data")
    before = (context.enable_progress_bars, context.execution_no_progress_timeout_s, logger.level)
    context.enable_progress_bars = False
    # A batch may well take an hour; whether it hangs is for its worker to tell.
    context.execution_no_progress_timeout_s = -1
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.execution_no_progress_timeout_s = before[:2]
        logger.setLevel(before[2])
