"""A stage in this process, batch after batch: for tests, debugging, and small tables."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pfp.runtime.preprocessing import PreprocessingWorker
from pfp.runtime.stage import Stage
from pfp.runtime.staged import StagedFiles
from pfp.runtime.worker import CommittingWorker


def run_local(stage: Stage, todo: pa.Table, staged: StagedFiles) -> Iterator[pa.Table]:
    """The receipts of the batches of ``todo``.

    There is no isolation here: a row that kills its process kills this run. Finished rows stay
    committed, but only the Ray engine survives such a row and gives it up as ``Failed``.
    """
    worker = CommittingWorker(stage, staged)
    first = stage.preprocess
    preprocess = None if first is None else PreprocessingWorker(stage, first, staged)
    batch_size = stage.resources.batch_size
    for start in range(0, todo.num_rows, batch_size):
        batch = todo.slice(start, batch_size)
        yield worker(batch if preprocess is None else preprocess(batch))
