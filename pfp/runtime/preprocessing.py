"""The worker of a stage's first step: preprocesses a row, or says why it could not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pfp.errors import InvariantError
from pfp.runtime.attempts import MadeOnce, worker_died
from pfp.runtime.keys import PREPROCESS_FAILURE, PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.stage import Preprocess, Stage
from pfp.runtime.staged import StagedFiles, staged_name
from pfp.schema.verdict import VERDICT_TYPE, verdict_to_struct


class PreprocessingWorker:
    """Takes one row at a time and returns it with the columns that ``Preprocess`` adds.

    One more, ``PREPROCESS_FAILURE``, says why they are null.

    Deaths are counted as ``CommittingWorker`` does: a row on which the process died
    ``max_attempts`` times goes on with the failure ``WorkerDied``. A row whose result is committed
    already goes on with nulls; its worker will only look whether it is.
    """

    def __init__(self, stage: Stage, preprocess: Preprocess, staged: StagedFiles) -> None:
        self._stage = stage
        self._preprocess = preprocess
        self._staged = staged
        self._made = MadeOnce(stage, staged, preprocess.worker, preprocess.worker_args)
        self._handing_over: tuple[str, int] | None = None

    def __call__(self, row: pa.Table) -> pa.Table:
        """The row (a table of one) with the columns ``preprocessed_schema`` more."""
        self._end_last()
        name = staged_name(row)
        if self._staged.folder.has(name):
            return self.without(row)
        mark = f"preprocess-{name}"
        worker = self._made.get(mark)
        tries = self._staged.num_tries(mark)
        if tries >= self._stage.max_attempts:
            died = worker_died(tries, doing=" while it was preprocessed")
            return self.without(row, verdict_to_struct(died))
        self._staged.begin_try(mark, tries)
        preprocessed = worker(row.drop_columns([PRIOR_ATTEMPTS]))
        self._handing_over = mark, tries + 1
        return self._checked(row, preprocessed)

    def without(self, row: pa.Table, failure: dict[str, object] | None = None) -> pa.Table:
        """The row with nulls in the preprocessed columns."""
        for field in self._preprocess.columns:
            row = row.append_column(field, pa.nulls(row.num_rows, field.type))
        return row.append_column(
            PREPROCESS_FAILURE, pa.array([failure] * row.num_rows, VERDICT_TYPE)
        )

    def _end_last(self) -> None:
        """Unmarks the last row: who asks for another has it.

        Not before, since the copy of a large row into shared memory can be what kills the process.
        """
        if self._handing_over is not None:
            self._staged.end_tries(*self._handing_over)
            self._handing_over = None

    def _checked(self, row: pa.Table, preprocessed: pa.Table) -> pa.Table:
        expected = [*row.drop_columns([PRIOR_ATTEMPTS]).schema, *self._preprocess.columns]
        names = [field.name for field in expected]
        found: dict[str, Any] = {field.name: field.type for field in preprocessed.schema}
        wrong = [field.name for field in expected if found.get(field.name) != field.type]
        if wrong or preprocessed[RESULT_KEY].to_pylist() != row[RESULT_KEY].to_pylist():
            message = (
                f"stage {self._stage.name}: what preprocesses its rows returned "
                f"{preprocessed.num_rows} rows with {preprocessed.column_names} for one row, which "
                f"shall keep its columns and get {self._preprocess.columns.names}; wrong are "
                f"{wrong or 'the rows'}"
            )
            raise InvariantError(message)
        if PREPROCESS_FAILURE in found:
            failure = preprocessed[PREPROCESS_FAILURE]
        else:
            failure = pa.nulls(row.num_rows, VERDICT_TYPE)
        preprocessed = preprocessed.select(names).append_column(PRIOR_ATTEMPTS, row[PRIOR_ATTEMPTS])
        return preprocessed.append_column(PREPROCESS_FAILURE, failure)
