"""Rows to Parquet files: cut by the rows alone, so that equal rows make equal bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pfp.errors import InputError
from pfp.io.filesystems import AsideFile, Folder
from pfp.schema.record import Record

ROWS_PER_FILE: Final = 1000
# A row group is what a reader or a compaction holds in memory at once; a file, what it transfers.
ROWS_PER_GROUP: Final = 1000
GROUP_BYTES: Final = 32 << 20
# Tensors that are read in parts: hardly more than one row in a group, so that a whole row is cheap
# to read, too, but no group of a few bytes, of which the footer would hold as many again.
BLOB_GROUP_BYTES: Final = 1 << 20
FILE_BYTES: Final = 2 << 30
# No column of tensors is cut into pages: the place of each row's bytes then follows from the
# column's place alone. A page's length is an int32.
PAGE_BYTES: Final = 1 << 30
DESCRIPTION_KEY: Final = "pfp.description"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One file of a table, as the manifest lists it."""

    name: str
    num_rows: int
    size_bytes: int
    sha256: str


class TableWriter:
    """Cuts a stream of rows into row groups and files, holding one row group in memory.

    The cuts depend on the rows alone, not on how they were handed over: a group ends with the row
    that brings it to ``ROWS_PER_GROUP`` rows or ``GROUP_BYTES`` bytes (``BLOB_GROUP_BYTES`` for
    records with blobs), a file likewise with ``rows_per_file`` and ``FILE_BYTES``. So equal rows
    make equal bytes.
    """

    def __init__(
        self,
        folder: Folder,
        record: type[Record],
        *,
        rows_per_file: int = ROWS_PER_FILE,
        first_index: int = 0,
    ) -> None:
        if rows_per_file < 1:
            message = f"rows_per_file is {rows_per_file}; give 1 or more"
            raise InputError(message)
        self._folder = folder
        self._record = record
        self._rows_per_file = rows_per_file
        self._index = first_index
        self._files: list[DataFile] = []
        self._group_limit = BLOB_GROUP_BYTES if record.BLOBS else GROUP_BYTES
        self._slices: list[pa.Table] = []
        self._described: list[pa.Table] = []
        self._group_rows = self._group_bytes = self._file_rows = self._file_bytes = 0
        self._aside: AsideFile | None = None
        self._parquet: pq.ParquetWriter | None = None

    def append(self, table: pa.Table) -> None:
        """Adds rows, which must follow all earlier ones in the order of the key."""
        sizes = row_sizes(table, self._record)
        start = 0
        while start < table.num_rows:
            count = self._rows_that_fit(sizes[start:])
            self._slices.append(table.slice(start, count))
            size_bytes = int(sizes[start : start + count].sum())
            self._group_rows += count
            self._group_bytes += size_bytes
            self._file_rows += count
            self._file_bytes += size_bytes
            start += count
            file_full = self._file_rows == self._rows_per_file or self._file_bytes >= FILE_BYTES
            group_full = (
                self._group_rows == ROWS_PER_GROUP or self._group_bytes >= self._group_limit
            )
            if file_full or group_full:
                self._end_group()
            if file_full:
                self._end_file()

    def finish(self) -> list[DataFile]:
        """Ends the last file; a table without rows is one file without rows."""
        if self._slices:
            self._end_group()
        if self._parquet is not None or (not self._files and self._index == 0):
            self._end_file()
        return self._files

    def _rows_that_fit(self, sizes: np.ndarray[Any, np.dtype[np.int64]]) -> int:
        rows = min(self._rows_per_file - self._file_rows, ROWS_PER_GROUP - self._group_rows)
        room = min(FILE_BYTES - self._file_bytes, self._group_limit - self._group_bytes)
        filled = np.cumsum(sizes[:rows])
        return min(int(np.searchsorted(filled, room)) + 1, len(filled))

    def _end_group(self) -> None:
        # One contiguous chunk: page cuts must not depend on how the rows came in.
        table = pa.concat_tables(self._slices).combine_chunks()
        self._slices = []
        self._group_rows = self._group_bytes = 0
        if self._record.BLOBS:
            self._described.append(table.drop_columns(list(self._record.BLOBS)))
        self._writer().write_table(table, row_group_size=max(table.num_rows, 1))

    def _writer(self) -> pq.ParquetWriter:
        if self._parquet is None:
            self._aside = AsideFile(self._folder)
            self._parquet = parquet_writer(self._aside, self._record.SCHEMA)
        return self._parquet

    def _end_file(self) -> None:
        writer = self._writer()
        if self._described:
            description = self._record.describe(pa.concat_tables(self._described))
            if description:
                text = json.dumps(description, sort_keys=True)
                writer.add_key_value_metadata({DESCRIPTION_KEY: text})
        writer.close()
        aside = self._aside
        assert aside is not None  # opened with the writer
        name = f"part-{self._index:05d}-{aside.sha256[:16]}.parquet"
        aside.commit(name)
        entry = DataFile(
            name=name,
            num_rows=self._file_rows,
            size_bytes=aside.size_bytes,
            sha256=aside.sha256,
        )
        self._files.append(entry)
        self._index += 1
        self._file_rows = self._file_bytes = 0
        self._described = []
        self._parquet = self._aside = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._aside is not None:
            self._aside.__exit__()


def row_sizes(
    table: pa.Table, record: type[Record] | None = None
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """int64 (rows,): the bytes in each row's top-level string and binary columns.

    Of a record with blobs only these count: their lengths are known without reading the row, and
    with them where files are cut.
    """
    names = record.BLOBS if record is not None and record.BLOBS else table.column_names
    sizes = np.zeros(table.num_rows, dtype=np.int64)
    for column in (table[name] for name in names):
        kind = column.type
        if pa.types.is_large_binary(kind) or pa.types.is_binary(kind) or pa.types.is_string(kind):
            lengths = pc.fill_null(pc.binary_length(column), 0)
            sizes += lengths.to_numpy().astype(np.int64)
    return sizes


def file_spans(
    sizes: np.ndarray[Any, np.dtype[np.int64]], rows_per_file: int
) -> list[tuple[int, int]]:
    """The rows ``[start, end)`` of each file that ``TableWriter`` makes of rows of these sizes."""
    spans, start = [], 0
    while start < len(sizes):
        filled = np.cumsum(sizes[start : start + rows_per_file])
        end = start + min(int(np.searchsorted(filled, FILE_BYTES)) + 1, len(filled))
        spans.append((start, end))
        start = end
    return spans


def parquet_writer(sink: AsideFile, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer whose bytes depend on the rows alone: zstd, page checksums, no dates.

    Large binary columns hold tensors, of which a dictionary or min/max is never of use. They are
    stored plain: zstd would take 12 % off fp16 latents (25 % with byte-stream split; see
    ``benchmarks/latent_sizes.py``), and the way to read a part of one.
    """
    small = [path for field in schema for path in _leaves(field.name, field.type)]
    tensors = [field.name for field in schema if pa.types.is_large_binary(field.type)]
    codecs = dict.fromkeys(small, "zstd") | dict.fromkeys(tensors, "none")
    names = [field.name for field in schema if field.name not in tensors]
    return pq.ParquetWriter(
        sink,
        schema,
        compression=codecs,
        use_dictionary=names,
        write_statistics=names,
        write_page_checksum=True,
        data_page_size=PAGE_BYTES if tensors else None,
    )


def _leaves(path: str, kind: pa.DataType) -> list[str]:
    """The paths of a column's leaves, as Parquet spells them."""
    if pa.types.is_list(kind):
        return _leaves(f"{path}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        children = [(f"{path}.{child.name}", child.type) for child in kind.fields]
        return [leaf for child in children for leaf in _leaves(*child)]
    return [path]
