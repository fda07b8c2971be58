"""The worker of a stage's first step: prepares a row, or says why it could not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pfp.errors import InvariantError
from pfp.runtime.attempts import MadeOnce, worker_died
from pfp.runtime.keys import PREPARE_FAILURE, PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.pending import Pending, part_name
from pfp.runtime.stage import Prepare, Stage
from pfp.schema.verdict import VERDICT_TYPE, verdict_to_struct


class PreparingWorker:
    """Takes one row at a time and returns it with the prepared columns and ``PREPARE_FAILURE``.

    Deaths are counted as ``CommittingWorker`` does: a row on which the process died
    ``max_attempts`` times goes on with the failure ``WorkerDied``. A row whose result is committed
    already goes on with nulls; its worker will only look whether it is.
    """

    def __init__(self, stage: Stage, prepare: Prepare, pending: Pending) -> None:
        self._stage = stage
        self._prepare = prepare
        self._pending = pending
        self._made = MadeOnce(stage, pending, prepare.worker, prepare.worker_args)
        self._handing_over: tuple[str, int] | None = None

    def __call__(self, row: pa.Table) -> pa.Table:
        """The row (a table of one) with the columns ``prepared_schema`` more."""
        self._end_last()
        name = part_name(row)
        if self._pending.folder.has(name):
            return self.without(row)
        mark = f"prepare-{name}"
        worker = self._made.get(mark)
        tries = self._pending.num_tries(mark)
        if tries >= self._stage.max_attempts:
            died = worker_died(tries, doing=" while it was prepared")
            return self.without(row, verdict_to_struct(died))
        self._pending.begin_try(mark, tries)
        prepared = worker(row.drop_columns([PRIOR_ATTEMPTS]))
        self._handing_over = mark, tries + 1
        return self._checked(row, prepared)

    def without(self, row: pa.Table, failure: dict[str, object] | None = None) -> pa.Table:
        """The row with nulls in the prepared columns."""
        for field in self._prepare.columns:
            row = row.append_column(field, pa.nulls(row.num_rows, field.type))
        return row.append_column(PREPARE_FAILURE, pa.array([failure] * row.num_rows, VERDICT_TYPE))

    def _end_last(self) -> None:
        """Unmarks the last row: who asks for another has it.

        Not before, since the copy of a large row into shared memory can be what kills the process.
        """
        if self._handing_over is not None:
            self._pending.end_tries(*self._handing_over)
            self._handing_over = None

    def _checked(self, row: pa.Table, prepared: pa.Table) -> pa.Table:
        expected = [*row.drop_columns([PRIOR_ATTEMPTS]).schema, *self._prepare.columns]
        names = [field.name for field in expected]
        found: dict[str, Any] = {field.name: field.type for field in prepared.schema}
        wrong = [field.name for field in expected if found.get(field.name) != field.type]
        if wrong or prepared[RESULT_KEY].to_pylist() != row[RESULT_KEY].to_pylist():
            message = (
                f"stage {self._stage.name}: what prepares its rows returned {prepared.num_rows} "
                f"rows with {prepared.column_names} for one row, which shall keep its columns and "
                f"get {self._prepare.columns.names}; wrong are {wrong or 'the rows'}"
            )
            raise InvariantError(message)
        if PREPARE_FAILURE in found:
            failure = prepared[PREPARE_FAILURE]
        else:
            failure = pa.nulls(row.num_rows, VERDICT_TYPE)
        prepared = prepared.select(names).append_column(PRIOR_ATTEMPTS, row[PRIOR_ATTEMPTS])
        return prepared.append_column(PREPARE_FAILURE, failure)
