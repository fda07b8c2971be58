"""A stage in this process, batch after batch: for tests, debugging, and small tables."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pfp.runtime.pending import Pending
from pfp.runtime.preparing import PreparingWorker
from pfp.runtime.stage import Stage
from pfp.runtime.worker import CommittingWorker


def run_local(stage: Stage, todo: pa.Table, pending: Pending) -> Iterator[pa.Table]:
    """The receipts of the batches of ``todo``.

    There is no isolation here: a row that kills its process kills this run. Finished rows stay
    committed, but only the Ray engine survives such a row and gives it up as ``Failed``.
    """
    worker = CommittingWorker(stage, pending)
    prepare = PreparingWorker(stage, stage.prepare, pending) if stage.prepare is not None else None
    batch_size = stage.resources.batch_size
    for start in range(0, todo.num_rows, batch_size):
        batch = todo.slice(start, batch_size)
        yield worker(batch if prepare is None else prepare(batch))
