"""Where every committed row of a table lies, and which of them a stage still has use for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pfp.errors import InputError
from pfp.io.filesystems import Folder
from pfp.io.manifest import MANIFEST_NAME, Manifest
from pfp.io.tables import open_parquet
from pfp.runtime.keys import RESULT_KEY
from pfp.runtime.staged import StagedFiles
from pfp.schema.record import Record

Int64s: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_VERDICT_FIELDS = ("kind", "reason", "error", "attempts", "retryable")
SCAN_THREADS = 16
# A row that was judged beats a failed one, whatever the attempts.
_JUDGED_RANK = 1 << 31


@dataclass(frozen=True, slots=True)
class Source:
    """A file that rows can be read from. ``starts`` is the first row of each of its row groups."""

    folder: Folder
    name: str
    num_rows: int
    starts: Int64s


@dataclass(frozen=True, slots=True)
class Index:
    """Committed rows: the sources they are in, old final files first, and one line per row.

    ``rows`` has the columns ``key``, ``result_key``, ``verdict`` (kind, reason, error, attempts,
    retryable), ``rank``, ``source`` (index into ``sources``), ``position`` (row in the file) and
    ``num_bytes`` (the mean of its row group, uncompressed) and ``blob_bytes`` (of the row's own
    blobs, exact).
    """

    sources: tuple[Source, ...]
    num_final: int  # how many of the sources are files of the present table
    manifest: Manifest | None
    rows: pa.Table


def scan(folder: Folder, record: type[Record], staged: StagedFiles) -> Index:
    """Reads the keys of all committed rows. Damaged files count as absent: rows are made again.

    ``InputError`` if the folder holds another kind of record: it would be overwritten.
    """
    manifest = _present(folder, record)
    names = [file.name for file in manifest.files] if manifest else []
    candidates = [(folder, name) for name in names]
    candidates += [(staged.folder, name) for name in staged.file_names()]
    sources: list[Source] = []
    rows: list[pa.Table] = [_rows_of([], [], record.SCHEMA.empty_table(), record)]
    num_final = 0
    # Side by side: millions of files in an object store are as many round trips.
    with ThreadPoolExecutor(SCAN_THREADS) as pool:
        found = pool.map(lambda each: _scan_file(each[0], each[1], record), candidates)
        for (place, _), scanned in zip(candidates, found, strict=True):
            if scanned is None:
                continue
            source, lines = scanned
            number = np.full(lines.num_rows, len(sources), np.int32)
            position = lines.schema.get_field_index("source")
            rows.append(lines.set_column(position, "source", pa.array(number)))
            sources.append(source)
            num_final += place is folder
    return Index(tuple(sources), num_final, manifest, pa.concat_tables(rows))


def _present(folder: Folder, record: type[Record]) -> Manifest | None:
    """The manifest of the present table; None if there is none of this version."""
    if not folder.has(MANIFEST_NAME):
        return None
    try:
        manifest = Manifest.from_bytes(folder.read(MANIFEST_NAME))
    except (ValueError, KeyError, TypeError):
        return None
    if manifest.record != record.NAME:
        message = (
            f"{folder.path} holds {manifest.record} records and would be overwritten by "
            f"{record.NAME} records; choose another output directory"
        )
        raise InputError(message)
    return manifest if manifest.version == record.VERSION else None


def _scan_file(folder: Folder, name: str, record: type[Record]) -> tuple[Source, pa.Table] | None:
    """One file and its rows, as of source 0; None for a damaged one."""
    columns = [record.KEY, RESULT_KEY, *(f"verdict.{field}" for field in _VERDICT_FIELDS)]
    columns += record.INDEXED
    try:
        with open_parquet(folder, name) as parquet:
            if not parquet.schema_arrow.equals(record.SCHEMA):
                return None
            table = parquet.read(columns=list(dict.fromkeys(columns)))
            counts, mean_bytes = _groups(parquet.metadata)
    except (OSError, pa.ArrowException):
        return None
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if counts else np.zeros(1)
    return (
        Source(folder, name, table.num_rows, starts.astype(np.int64)),
        _rows_of(counts, mean_bytes, table, record),
    )


def _groups(metadata: pq.FileMetaData) -> tuple[list[int], list[int]]:
    """Each row group's number of rows and mean bytes per row."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    groups = [group for group in groups if group.num_rows]
    return (
        [group.num_rows for group in groups],
        [group.total_byte_size // group.num_rows for group in groups],
    )


def _rows_of(
    counts: list[int], mean_bytes: list[int], table: pa.Table, record: type[Record]
) -> pa.Table:
    verdicts = table["verdict"].combine_chunks()
    fields = [pc.struct_field(verdicts, name) for name in _VERDICT_FIELDS]
    attempts = pc.fill_null(fields[_VERDICT_FIELDS.index("attempts")].cast(pa.int64()), 0)
    rank = pc.if_else(pc.equal(fields[0], "failed"), attempts, _JUDGED_RANK)
    num_bytes = np.repeat(np.array(mean_bytes, np.int64), np.array(counts, np.int64))
    return pa.table(
        {
            "key": table[record.KEY],
            RESULT_KEY: table[RESULT_KEY],
            "verdict": pa.StructArray.from_arrays(fields, names=list(_VERDICT_FIELDS)),
            "rank": rank,
            "source": np.zeros(table.num_rows, np.int32),
            "position": np.arange(table.num_rows, dtype=np.int64),
            "num_bytes": num_bytes,
            "blob_bytes": _blob_bytes(table, record),
        }
    )


def _blob_bytes(table: pa.Table, record: type[Record]) -> Int64s:
    total = np.zeros(table.num_rows, np.int64)
    for blob in record.BLOBS:
        total += np.array([length or 0 for length in record.blob_bytes(blob, table)], np.int64)
    return total


def choose(index: Index, wanted: pa.Array) -> pa.Table:
    """The best committed row of each wanted result key that has one, in the order of the key.

    Best: judged before failed, later attempts before earlier ones, final files before staged ones.
    """
    rows = index.rows.filter(pc.is_in(index.rows[RESULT_KEY], value_set=wanted))
    order = [(RESULT_KEY, "ascending"), ("rank", "descending"), ("source", "ascending")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=order))
    if rows.num_rows > 1:
        keys = rows[RESULT_KEY].combine_chunks()
        first = pc.not_equal(keys[1:], keys[:-1])
        rows = rows.filter(pa.concat_arrays([pa.array([True]), first]))
    return rows.take(pc.sort_indices(rows, sort_keys=[("key", "ascending")]))


def prior_attempts(chosen: pa.Table, wanted: pa.Array, max_attempts: int) -> pa.Array:
    """int32, one per wanted key: null if its row is done, else how often it has been tried.

    To be tried: rows that were never committed (0), and failures that say a later run should try
    again, as long as their attempts are below ``max_attempts``.
    """
    verdict = chosen["verdict"].combine_chunks()
    attempts = pc.fill_null(pc.struct_field(verdict, "attempts"), 0)
    again = pc.and_(
        pc.fill_null(pc.struct_field(verdict, "retryable"), False),
        pc.less(attempts, max_attempts),
    )
    position = pc.index_in(wanted, value_set=chosen[RESULT_KEY].combine_chunks())
    known = pc.if_else(again, attempts, pa.scalar(None, pa.int32()))
    return pc.if_else(pc.is_null(position), pa.scalar(0, pa.int32()), known.take(position))
