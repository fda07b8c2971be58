"""Row by row: the one place where a row's error becomes its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from pfp.errors import InvariantError, PermanentError, RetryableError
from pfp.io.filesystems import disk_full, explain_write_errors
from pfp.io.tables import conform
from pfp.runtime.keys import PREPROCESS_FAILURE, RESULT_KEY
from pfp.schema.record import Record, failed_verdict
from pfp.schema.verdict import VERDICT_TYPE, Failed, verdict_to_struct

# What Arrow and ``conform`` raise for values that a column cannot hold: a number that is too large,
# half a surrogate pair, a null or a value of another kind, more bytes than an array can have.
UNSTORABLE: Final = (pa.ArrowException, ArithmeticError, TypeError, ValueError)


def map_rows(
    batch: pa.Table,
    fn: Callable[[dict[str, Any]], Record],
    on_error: Callable[[dict[str, Any], Failed], Record],
) -> pa.Table:
    """The records that ``fn`` makes of the rows of a batch (one or more), with ``result_key``.

    A row whose ``fn`` raises becomes ``on_error(row, verdict)``: retryable after a
    ``RetryableError`` or when memory ran out, permanent after any other exception. So does, as a
    permanent failure, a row whose record cannot be stored. What is not about the row goes through:
    a full disk is an ``InputError``, a broken promise of pfp's own an ``InvariantError``.
    """
    rows = batch.to_pylist()
    records: list[Record] = []
    for row in rows:
        record, failure = _attempt(fn, row)
        records.append(record if failure is None else on_error(row, failure))
    try:
        table = _table_of(records)
    except UNSTORABLE:
        table = _table_of([_stored(*pair, on_error) for pair in zip(rows, records, strict=True)])
    position = table.schema.get_field_index(RESULT_KEY)
    return table.set_column(position, table.schema.field(position), batch[RESULT_KEY])


def _table_of(records: Sequence[Record]) -> pa.Table:
    """The records as their table, checked as it will be when it is written."""
    record = type(records[0])
    return conform(record.table(list(records)), record)


def _stored(
    row: dict[str, Any], record: Record, on_error: Callable[[dict[str, Any], Failed], Record]
) -> Record:
    """The record, or that of the failure that it cannot be stored."""
    try:
        _table_of([record])
    except UNSTORABLE as error:
        return on_error(row, _unstorable(error))
    return record


def _unstorable(error: BaseException) -> Failed:
    message = f"the row's values cannot be stored ({error}); mend what they came from"
    return failed_verdict(PermanentError(message))


def preprocess_rows(
    batch: pa.Table, fn: Callable[[dict[str, Any]], Mapping[str, Any]], columns: pa.Schema
) -> pa.Table:
    """The batch with ``columns``, of which ``fn`` makes each row's values, for a ``Preprocess``.

    A row whose ``fn`` raises, or whose values fit no column, gets nulls and takes its failure
    along, so that the stage's worker never sees it. Errors are told apart as in ``map_rows``.
    """
    values: list[Mapping[str, Any]] = []
    failures: list[Failed | None] = []
    for row in batch.to_pylist():
        value, failure = _attempt(fn, row)
        values.append(value if failure is None else {})
        failures.append(failure)
    try:
        preprocessed = _columns_of(values, columns)
    except UNSTORABLE:
        for number, value in enumerate(values):
            try:
                _columns_of([value], columns)
            except UNSTORABLE as error:
                values[number], failures[number] = {}, _unstorable(error)
        preprocessed = _columns_of(values, columns)
    for field, column in zip(columns, preprocessed, strict=True):
        batch = batch.append_column(field, column)
    structs = [None if failure is None else verdict_to_struct(failure) for failure in failures]
    return batch.append_column(PREPROCESS_FAILURE, pa.array(structs, VERDICT_TYPE))


def _columns_of(values: Sequence[Mapping[str, Any]], columns: pa.Schema) -> list[pa.Array]:
    return [pa.array([row.get(field.name) for row in values], field.type) for field in columns]


def _attempt(fn: Callable[[dict[str, Any]], Any], row: dict[str, Any]) -> tuple[Any, Failed | None]:
    """What ``fn`` makes of a row, or the verdict of the error that it raises about it."""
    try:
        return fn(row), None
    except InvariantError:
        raise
    except Exception as error:
        full = disk_full(error)
        if full is not None:
            with explain_write_errors(full.filename or "the output"):
                raise full from error
        retryable = isinstance(error, RetryableError | MemoryError)
        return None, failed_verdict(error, retryable=retryable)
