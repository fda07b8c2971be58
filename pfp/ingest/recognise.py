"""Which files are those of an earlier run, though a time says otherwise: their bytes are read."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.io.unchanged import sha256_of

_THREADS: Final = 8
LISTED: Final = ("video_uri", "size_bytes", "changed_ns")
_NOTED: Final = (*LISTED, "video_sha256")


class Touched(NamedTuple):
    """Times of change, by URI, of files that have the bytes that were measured."""

    measured_ns: Mapping[str, int]
    changed_ns: Mapping[str, int]


def recognise(files: pa.Table, measured: pa.Table | None) -> Touched:
    """The files that were only touched since they were measured, or linked: when then, when now.

    Read are files of the size that they had, under another time. ``measured`` are the rows of the
    earlier run, None without one.
    """
    if measured is None:
        return Touched({}, {})
    pairs = files.select(LISTED).join(
        measured.select(_NOTED), "video_uri", None, "inner", None, "_noted"
    )
    is_in_doubt = pc.and_(
        pc.equal(pairs["size_bytes"], pairs["size_bytes_noted"]),
        pc.not_equal(pairs["changed_ns"], pairs["changed_ns_noted"]),
    )
    doubtful = pairs.filter(is_in_doubt).to_pylist()
    with ThreadPoolExecutor(_THREADS) as pool:
        is_same = pool.map(_has_its_bytes, doubtful)
        same = [row for row, found in zip(doubtful, is_same, strict=True) if found]
    return Touched(
        measured_ns={row["video_uri"]: row["changed_ns_noted"] for row in same},
        changed_ns={row["video_uri"]: row["changed_ns"] for row in same},
    )


def with_times(table: pa.Table, times: Mapping[str, int]) -> pa.Table:
    """The table with another ``changed_ns`` for some URIs."""
    if not times:
        return table
    places = pc.index_in(table["video_uri"], pa.array(times.keys(), pa.string()))
    others = pa.array(times.values(), pa.int64()).take(places.combine_chunks())
    column = pc.coalesce(others, table["changed_ns"].combine_chunks())
    position = table.schema.get_field_index("changed_ns")
    return table.set_column(position, table.schema.field(position), column)


def _has_its_bytes(known: Mapping[str, Any]) -> bool:
    try:
        return bool(sha256_of(known["video_uri"]) == known["video_sha256"])
    except (InputError, OSError):  # the stage says what is wrong with it
        return False
