"""Columns of verdicts: which rows are kept, and verdicts put in the place of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.spans import Ints
from pfp.schema.verdict import KEPT, VERDICT_TYPE, Dropped, verdict_to_struct

_ROWS_AT_ONCE: Final = 1 << 14


def all_kept(num_rows: int) -> pa.StructArray:
    """As many rows that are kept."""
    kept = pa.array([verdict_to_struct(KEPT)], VERDICT_TYPE)
    return kept.take(pa.array(np.zeros(num_rows, np.int64)))


def is_kept(table: pa.Table) -> npt.NDArray[np.bool_]:
    """For each row whether its verdict is Kept."""
    return np.asarray(pc.equal(pc.struct_field(table["verdict"], "kind"), "kept"), bool)


def with_dropped(table: pa.Table, rows: Ints, dropped: Iterable[Dropped]) -> pa.Table:
    """The table with these verdicts in these rows. Few verdicts are held as objects at a time."""
    new = list(_structs(dropped))
    if not new:
        return table
    verdicts = table["verdict"].cast(VERDICT_TYPE)
    both = pa.chunked_array([*verdicts.chunks, *new], VERDICT_TYPE)
    place = np.arange(table.num_rows)
    place[rows] = table.num_rows + np.arange(len(rows))
    position = table.schema.get_field_index("verdict")
    return table.set_column(position, table.schema.field(position), both.take(pa.array(place)))


def _structs(dropped: Iterable[Dropped]) -> Iterator[pa.StructArray]:
    rest = iter(dropped)
    while some := [verdict_to_struct(one) for one in islice(rest, _ROWS_AT_ONCE)]:
        yield pa.array(some, VERDICT_TYPE)
