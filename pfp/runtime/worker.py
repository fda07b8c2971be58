"""The worker that engines run: computes a batch, checks it, commits it, and returns a receipt."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InvariantError, SchemaError
from pfp.io.tables import conform
from pfp.runtime.attempts import MadeOnce, worker_died
from pfp.runtime.keys import PREPROCESS_FAILURE, PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.stage import Stage, Worker
from pfp.runtime.staged import StagedFiles, staged_name
from pfp.schema.verdict import VERDICT_TYPE, Failed, verdict_from_struct, verdict_to_struct

RECEIPT_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("num_rows", pa.int64(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
    ]
)


class CommittingWorker:
    """Bytes go from the worker straight to its file on disk; only a receipt travels back.

    An attempt is marked before it begins and unmarked once its rows are committed. A worker that
    is killed (a crash in a decoder, too much memory) leaves its mark, so whoever gets the batch
    next can tell: after ``max_attempts`` deaths the rows are tried one by one, and a row that is
    alone with ``max_attempts`` deaths is given up as ``Failed("WorkerDied")``.

    A row that could not be preprocessed is committed as the failure that it brings along.
    """

    def __init__(self, stage: Stage, staged: StagedFiles) -> None:
        self._stage = stage
        self._staged = staged
        self._made = MadeOnce(stage, staged, stage.worker, stage.worker_args)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The receipt (``RECEIPT_SCHEMA``) of the files that hold the batch's rows."""
        receipts = self._attempt(batch)
        return pa.Table.from_pylist(receipts, schema=RECEIPT_SCHEMA)

    def _attempt(self, batch: pa.Table) -> list[dict[str, Any]]:
        name = staged_name(batch)
        # An engine that lost a worker hands out its batches again, committed ones too.
        if self._staged.folder.has(name):
            return [_receipt(name, batch, 0)]
        failure = _failure_of(batch)
        if failure is not None:
            return [_receipt(name, batch, self._give_up(batch, failure, name))]
        worker = self._made.get(name)
        tries = self._staged.num_tries(name)
        if tries < self._stage.max_attempts:
            self._staged.begin_try(name, tries)
            size_bytes = self._staged.commit(self._compute(worker, batch), name)
            self._staged.end_tries(name, tries + 1)
            return [_receipt(name, batch, size_bytes)]
        if batch.num_rows == 1:
            return [_receipt(name, batch, self._give_up(batch, worker_died(tries), name))]
        rows_alone = [batch.slice(row, 1) for row in range(batch.num_rows)]
        return [receipt for row in rows_alone for receipt in self._attempt(row)]

    def _compute(self, worker: Worker, batch: pa.Table) -> pa.Table:
        rows = worker(batch.drop_columns(_own_columns(batch)))
        if rows.num_rows != batch.num_rows:
            message = (
                f"stage {self._stage.name}: the worker returned {rows.num_rows} rows for a batch "
                f"of {batch.num_rows}; it must return one for each"
            )
            raise InvariantError(message)
        return _sign(conform(rows, self._stage.record), batch)

    def _give_up(self, batch: pa.Table, verdict: Failed, name: str) -> int:
        """Commits the one row of the batch as failed; the file's size in bytes."""
        preprocess = self._stage.preprocess
        preprocessed = preprocess.columns.names if preprocess is not None else []
        (row,) = batch.drop_columns([*_own_columns(batch), *preprocessed]).to_pylist()
        record = self._stage.record
        if self._stage.on_error is not None:
            output = self._stage.on_error(row, verdict)
        else:
            output = record.from_row(_blank_row(self._stage, row, verdict))
        rows = _sign(conform(record.table([output]), record), batch)
        return self._staged.commit(rows, name)


def _own_columns(batch: pa.Table) -> list[str]:
    """The columns that are the runtime's and not the worker's business."""
    return [name for name in (PRIOR_ATTEMPTS, PREPROCESS_FAILURE) if name in batch.column_names]


def _failure_of(batch: pa.Table) -> Failed | None:
    """Why the one row of a preprocessed batch could not be preprocessed; None if it could."""
    if PREPROCESS_FAILURE not in batch.column_names:
        return None
    (failure,) = batch[PREPROCESS_FAILURE].to_pylist()
    if failure is None:
        return None
    verdict = verdict_from_struct(failure)
    assert isinstance(verdict, Failed)
    return verdict


def _receipt(name: str, batch: pa.Table, size_bytes: int) -> dict[str, Any]:
    return {"file": name, "num_rows": batch.num_rows, "size_bytes": size_bytes}


def _sign(rows: pa.Table, batch: pa.Table) -> pa.Table:
    """The rows with their result keys, and with earlier runs' attempts counted."""
    position = rows.schema.get_field_index(RESULT_KEY)
    keys = batch[RESULT_KEY].cast(pa.string())
    rows = rows.set_column(position, rows.schema.field(position), keys)
    if not pc.any(pc.greater(batch[PRIOR_ATTEMPTS], 0)).as_py():
        return rows.combine_chunks()
    verdicts = rows["verdict"].to_pylist()
    for verdict, prior in zip(verdicts, batch[PRIOR_ATTEMPTS].to_pylist(), strict=True):
        if verdict["kind"] == "failed":
            verdict["attempts"] += prior
    position = rows.schema.get_field_index("verdict")
    column = pa.array(verdicts, VERDICT_TYPE)
    return rows.set_column(position, rows.schema.field(position), column).combine_chunks()


def _blank_row(stage: Stage, row: dict[str, Any], verdict: Failed) -> dict[str, Any]:
    """The input's columns of the same names, null elsewhere; empty lists where null can't be."""
    blank: dict[str, Any] = {}
    for field in stage.record.SCHEMA:
        value = row.get(field.name)
        if value is None and not field.nullable and pa.types.is_list(field.type):
            value = []
        blank[field.name] = value
    blank["verdict"] = verdict_to_struct(verdict)
    lacking = [f.name for f in stage.record.SCHEMA if not f.nullable and blank[f.name] is None]
    if lacking:
        message = (
            f"stage {stage.name}: no {stage.record.NAME} row can be made for "
            f"{stage.input_key} {row[stage.input_key]!r} without {lacking}; give the stage on_error"
        )
        raise SchemaError(message)
    return blank
