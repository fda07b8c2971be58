"""The key of a result: a digest of the row's content and of all else that the result depends on."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.io.digests import sha256_json
from pfp.runtime.stage import Stage

RESULT_KEY: Final = "result_key"
PRIOR_ATTEMPTS: Final = "_prior_attempts"  # int32: how often earlier runs tried the row
# VERDICT_TYPE: null, or why the row was not preprocessed.
PREPROCESS_FAILURE: Final = "_preprocess_failure"
_ROWS_AT_A_TIME: Final = 1 << 16  # as Python objects


def result_keys(stage: Stage, inputs: pa.Table) -> pa.Array:
    """One key per input row: strings of 64 hex digits, unique, since ``input_key`` is part of it.

    ``InputError`` if a column is missing or ``input_key`` is null or not unique.
    """
    columns = sorted({stage.input_key, *stage.content_columns})
    missing = sorted(set(columns) - set(inputs.column_names))
    if missing:
        message = (
            f"stage {stage.name}: the inputs lack the columns {missing}; "
            f"they have {inputs.column_names}"
        )
        raise InputError(message)
    _check_unique(stage, inputs[stage.input_key])
    # The schema version counts: a record with other columns is another result.
    shared = [stage.record.NAME, stage.record.VERSION, stage.fingerprint]
    parts = [pa.array([], pa.string())]
    for batch in inputs.select(columns).to_batches(max_chunksize=_ROWS_AT_A_TIME):
        keys = [sha256_json([*shared, row]) for row in batch.to_pylist()]
        parts.append(pa.array(keys, pa.string()))
    return pa.concat_arrays(parts)


def _check_unique(stage: Stage, column: pa.ChunkedArray) -> None:
    if column.null_count:
        message = f"stage {stage.name}: {column.null_count} input rows have no {stage.input_key}"
        raise InputError(f"{message}; every row needs one")
    counts = pc.value_counts(column)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0].as_py()
        message = (
            f"stage {stage.name}: {first['counts']} input rows share {stage.input_key} "
            f"{first['values']!r}; keep one row of each"
        )
        raise InputError(message)
