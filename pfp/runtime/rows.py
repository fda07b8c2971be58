"""Row by row: the one place where a row's error becomes its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from pfp.errors import InvariantError, RetryableError
from pfp.io.filesystems import disk_full, explain_write_errors
from pfp.runtime.keys import PREPARE_FAILURE, RESULT_KEY
from pfp.schema.record import Record, failed_verdict
from pfp.schema.verdict import VERDICT_TYPE, Failed, verdict_to_struct


def map_rows(
    batch: pa.Table,
    fn: Callable[[dict[str, Any]], Record],
    on_error: Callable[[dict[str, Any], Failed], Record],
) -> pa.Table:
    """The records that ``fn`` makes of the rows of a batch (one or more), with ``result_key``.

    A row whose ``fn`` raises becomes ``on_error(row, verdict)``: retryable after a
    ``RetryableError`` or when memory ran out, permanent after any other exception. What is not
    about the row goes through: a full disk is an ``InputError``, a broken promise of pfp's own an
    ``InvariantError``.
    """
    records: list[Record] = []
    for row in batch.to_pylist():
        record, failure = _attempt(fn, row)
        records.append(record if failure is None else on_error(row, failure))
    table = type(records[0]).table(records)
    position = table.schema.get_field_index(RESULT_KEY)
    return table.set_column(position, table.schema.field(position), batch[RESULT_KEY])


def prepare_rows(
    batch: pa.Table, fn: Callable[[dict[str, Any]], Mapping[str, Any]], columns: pa.Schema
) -> pa.Table:
    """The batch with ``columns``, of which ``fn`` makes each row's values, for a ``Prepare``.

    A row whose ``fn`` raises gets nulls and takes its failure along, so that the stage's worker
    never sees it. Errors are told apart as in ``map_rows``.
    """
    values: list[Mapping[str, Any]] = []
    failures: list[dict[str, object] | None] = []
    for row in batch.to_pylist():
        value, failure = _attempt(fn, row)
        values.append(value if failure is None else {})
        failures.append(None if failure is None else verdict_to_struct(failure))
    for field in columns:
        column = pa.array([row.get(field.name) for row in values], field.type)
        batch = batch.append_column(field, column)
    return batch.append_column(PREPARE_FAILURE, pa.array(failures, VERDICT_TYPE))


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
