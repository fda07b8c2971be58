"""Row by row: the one place where a row's error becomes its verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from pfp.errors import InvariantError, RetryableError
from pfp.io.filesystems import disk_full, explain_write_errors
from pfp.runtime.keys import RESULT_KEY
from pfp.schema.record import Record, failed_verdict
from pfp.schema.verdict import Failed


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
    records = [_map_row(row, fn, on_error) for row in batch.to_pylist()]
    table = type(records[0]).table(records)
    position = table.schema.get_field_index(RESULT_KEY)
    return table.set_column(position, table.schema.field(position), batch[RESULT_KEY])


def _map_row(
    row: dict[str, Any],
    fn: Callable[[dict[str, Any]], Record],
    on_error: Callable[[dict[str, Any], Failed], Record],
) -> Record:
    try:
        return fn(row)
    except InvariantError:
        raise
    except Exception as error:
        full = disk_full(error)
        if full is not None:
            with explain_write_errors(full.filename or "the output"):
                raise full from error
        retryable = isinstance(error, RetryableError | MemoryError)
        return on_error(row, failed_verdict(error, retryable=retryable))
