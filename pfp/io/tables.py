"""Tables on disk: a folder of Parquet files and a manifest that makes them one table.

    <table>/part-00000-<digest>.parquet ...   rows in the order of the record's key
    <table>/_manifest.json                    record, version, and each file's rows, bytes, SHA-256

New files never overwrite old ones (their names carry their digest) and the manifest changes in one
step, so a reader finds the old table or the new one. Equal rows make byte-equal folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pfp.errors import InputError, SchemaError
from pfp.io.filesystems import ASIDE_PREFIX, AsideFile, Folder
from pfp.io.locks import locked
from pfp.schema.record import NAME_KEY, VERSION_KEY, Record

MANIFEST_NAME: Final = "_manifest.json"
ROWS_PER_FILE: Final = 1000
# A row group is what a reader or a compaction holds in memory at once; a file, what it transfers.
GROUP_BYTES: Final = 64 << 20
FILE_BYTES: Final = 2 << 30
ROWS_PER_GROUP: Final = 1000

_DATA_NAME = re.compile(r"part-\d{5,}-[0-9a-f]{16}\.parquet")
_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One file of a table, as the manifest lists it."""

    name: str
    num_rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a table consists of."""

    record: str
    version: int
    rows_per_file: int
    files: tuple[DataFile, ...]

    @property
    def num_rows(self) -> int:
        """The rows of all files."""
        return sum(file.num_rows for file in self.files)

    def to_bytes(self) -> bytes:
        """The manifest as JSON with sorted keys."""
        content = {**asdict(self), "num_rows": self.num_rows}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """The inverse of ``to_bytes``; ``ValueError``, ``KeyError`` or ``TypeError`` if foreign."""
        values = json.loads(content)
        files = tuple(DataFile(**file) for file in values["files"])
        names = ("record", "version", "rows_per_file")
        return cls(files=files, **{name: values[name] for name in names})


# ------------------------------------------------------------------------------------- reading


def read_manifest(folder: Folder, record: type[Record]) -> Manifest:
    """The manifest of a table of that record and version; otherwise a ``SchemaError``."""
    try:
        manifest = Manifest.from_bytes(folder.read(MANIFEST_NAME))
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{folder.path} holds no {record.NAME} table; run the stage that writes it first"
        raise SchemaError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{folder.file(MANIFEST_NAME)} is damaged ({error}); run the stage again"
        raise SchemaError(message) from error
    if manifest.record != record.NAME:
        message = (
            f"{folder.path} holds {manifest.record} records, not {record.NAME} records; "
            "give the directory of the right table"
        )
        raise SchemaError(message)
    if manifest.version != record.VERSION:
        message = (
            f"{folder.path} holds {record.NAME} v{manifest.version}, "
            f"this pfp reads v{record.VERSION}; run the stage again"
        )
        raise SchemaError(message)
    return manifest


def read_table(
    directory: str | Path,
    record: type[Record],
    *,
    columns: Sequence[str] | None = None,
    filter: pc.Expression | None = None,  # noqa: A002 - the name that readers of Parquet know
) -> pa.Table:
    """A table's rows in the order of the key, all columns or the named ones.

    Reading all columns checks every file's digest; reading some checks each page's checksum.
    ``SchemaError`` for a missing table, a foreign record or version, unknown columns and damage.
    """
    folder = Folder.at(directory)
    manifest = read_manifest(folder, record)
    unknown = sorted(set(columns or ()) - set(record.SCHEMA.names))
    if unknown:
        message = f"{record.NAME} has no columns {unknown}; choose from {record.SCHEMA.names}"
        raise SchemaError(message)
    tables = []
    for file in manifest.files:
        if columns is None:
            _check_digest(folder, file)
        tables.append(_read_file(folder, file, record, columns, filter))
    # The cast gives list items back the name that the schema has for them.
    names = record.SCHEMA.names if columns is None else list(columns)
    schema = pa.schema([record.SCHEMA.field(name) for name in names], record.SCHEMA.metadata)
    return pa.concat_tables(tables).cast(schema).replace_schema_metadata(schema.metadata)


def read_records(directory: str | Path, record: type[_R], *, verdict: str | None = None) -> list[_R]:
    """A table's rows as records; ``verdict`` selects ``"kept"``, ``"dropped"`` or ``"failed"``."""
    table = read_table(directory, record)
    if verdict is not None:
        table = table.filter(pc.equal(pc.struct_field(table["verdict"], "kind"), verdict))
    return [record.from_row(row) for row in table.to_pylist()]


def iter_tables(
    directory: str | Path, record: type[Record], *, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """A table's row groups one after the other: at most about 64 MiB of rows at a time."""
    folder = Folder.at(directory)
    for file in read_manifest(folder, record).files:
        with _opening(folder, file.name), open_parquet(folder, file.name) as parquet:
            _check_footer(folder, file, parquet, record)
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group, columns=columns)


def verify_table(directory: str | Path, record: type[Record]) -> list[str]:
    """What is wrong with a table, one sentence each; an empty list if nothing is."""
    folder = Folder.at(directory)
    try:
        manifest = read_manifest(folder, record)
    except SchemaError as error:
        return [str(error)]
    problems = []
    for file in manifest.files:
        try:
            _check_digest(folder, file)
            _read_file(folder, file, record, None, None)
        except SchemaError as error:
            problems.append(str(error))
    listed = {file.name for file in manifest.files}
    problems += [
        f"{folder.file(name)} is not in the manifest; run the stage again to remove it"
        for name in folder.names()
        if _DATA_NAME.fullmatch(name) and name not in listed
    ]
    return problems


def open_parquet(folder: Folder, name: str) -> pq.ParquetFile:
    """A data file opened for reading with its page checksums verified."""
    return pq.ParquetFile(
        folder.filesystem.open_input_file(folder.file(name)), page_checksum_verification=True
    )


def _read_file(
    folder: Folder,
    file: DataFile,
    record: type[Record],
    columns: Sequence[str] | None,
    expression: pc.Expression | None,
) -> pa.Table:
    with _opening(folder, file.name), open_parquet(folder, file.name) as parquet:
        _check_footer(folder, file, parquet, record)
        if expression is None:
            return parquet.read(columns=columns)
        return pq.read_table(
            folder.file(file.name),
            filesystem=folder.filesystem,
            columns=columns,
            filters=expression,
            partitioning=None,
            page_checksum_verification=True,
        )


class _opening:  # noqa: N801 - reads as a statement
    """Says of any failure to read a data file that it is damaged, and what to do."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._path = folder.file(name)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError | pa.ArrowException):
            reason = " ".join(str(error).split())[:200]
            message = (
                f"{self._path} is missing or damaged ({reason}); delete it and run the stage again"
            )
            raise SchemaError(message) from error


def _check_digest(folder: Folder, file: DataFile) -> None:
    with _opening(folder, file.name):
        sha256 = folder.sha256(file.name)
    if sha256 != file.sha256:
        message = (
            f"{folder.file(file.name)} is damaged (its SHA-256 is {sha256[:12]}, the manifest says "
            f"{file.sha256[:12]}); delete it and run the stage again"
        )
        raise SchemaError(message)


def _check_footer(
    folder: Folder, file: DataFile, parquet: pq.ParquetFile, record: type[Record]
) -> None:
    schema = parquet.schema_arrow
    found = (schema.metadata or {}).get(VERSION_KEY, b"?").decode()
    if found != str(record.VERSION) or not schema.equals(record.SCHEMA):
        message = (
            f"{folder.file(file.name)} does not have the columns of {record.NAME} "
            f"v{record.VERSION} (it says v{found}); delete it and run the stage again"
        )
        raise SchemaError(message)
    if parquet.metadata.num_rows != file.num_rows:
        message = (
            f"{folder.file(file.name)} has {parquet.metadata.num_rows} rows, the manifest says "
            f"{file.num_rows}; delete it and run the stage again"
        )
        raise SchemaError(message)


# ------------------------------------------------------------------------------------- writing


def conform(table: pa.Table, record: type[Record]) -> pa.Table:
    """The table with the record's schema and column order; ``SchemaError`` if it does not fit."""
    extra = sorted(set(table.column_names) - set(record.SCHEMA.names))
    missing = sorted(set(record.SCHEMA.names) - set(table.column_names))
    if extra or missing or table.num_columns != len(record.SCHEMA):
        message = (
            f"a {record.NAME} table has unknown columns {extra} and lacks {missing}; "
            f"build it with {record.__name__}.table(records)"
        )
        raise SchemaError(message)
    table = table.select(record.SCHEMA.names)
    for field in record.SCHEMA:
        column = table[field.name]
        if not column.type.equals(field.type):
            message = (
                f"{record.NAME}.{field.name} is {column.type}, the schema says {field.type}; "
                f"build the table with {record.__name__}.table(records)"
            )
            raise SchemaError(message)
        if not field.nullable and column.null_count:
            message = f"{record.NAME}.{field.name} is null in {column.null_count} rows; fill it in"
            raise SchemaError(message)
    return table.cast(record.SCHEMA).replace_schema_metadata(record.SCHEMA.metadata)


def write_table(
    directory: str | Path,
    table: pa.Table,
    record: type[Record],
    *,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """Writes a whole table: sorted by key, aside, renamed; the manifest last, old files removed.

    A reader at any moment, and after a crash at any moment, sees the old table or the new one.
    ``SchemaError`` if the rows do not fit the record or share a key.
    """
    table = conform(table, record)
    keys = table[record.KEY].combine_chunks()
    order = pc.sort_indices(keys)
    check_unique(keys.take(order), record)
    folder = Folder.at(directory)
    with locked(folder):
        writer = TableWriter(folder, record, rows_per_file=rows_per_file)
        with writer:
            writer.append(table.take(order))
            files = writer.finish()
        commit_files(folder, record, files, rows_per_file=rows_per_file)


def check_unique(sorted_keys: pa.Array, record: type[Record]) -> None:
    """A ``SchemaError`` that quotes the first key that two rows share."""
    if len(sorted_keys) < 2:
        return
    same = pc.equal(sorted_keys[1:], sorted_keys[:-1])
    if pc.any(same).as_py():
        key = sorted_keys[pc.index(same, True).as_py()]
        message = f"two {record.NAME} rows share {record.KEY} {key.as_py()!r}; keys must be unique"
        raise SchemaError(message)


def commit_files(
    folder: Folder,
    record: type[Record],
    files: Sequence[DataFile],
    *,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """Makes these files the table, in one step, then removes data files that are not of it."""
    manifest = Manifest(
        record=record.NAME, version=record.VERSION, rows_per_file=rows_per_file, files=tuple(files)
    )
    content = manifest.to_bytes()
    if not folder.has(MANIFEST_NAME) or folder.read(MANIFEST_NAME) != content:
        folder.write(MANIFEST_NAME, content)
    remove_strays(folder, manifest)


def remove_strays(folder: Folder, manifest: Manifest) -> None:
    """Removes what a crash may have left: data files not in the manifest, files written aside."""
    listed = {file.name for file in manifest.files}
    for name in folder.names():
        stray = _DATA_NAME.fullmatch(name) is not None and name not in listed
        if stray or name.startswith(ASIDE_PREFIX):
            folder.delete(name)


class TableWriter:
    """Cuts a stream of rows into row groups and files, holding one row group in memory.

    The cuts depend on the rows alone, not on how they were handed over: a group ends with the row
    that brings it to ``ROWS_PER_GROUP`` rows or ``GROUP_BYTES`` bytes, a file likewise with
    ``rows_per_file`` and ``FILE_BYTES``. So equal rows make equal bytes.
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
        self._slices: list[pa.Table] = []
        self._group_rows = self._group_bytes = self._file_rows = self._file_bytes = 0
        self._aside: AsideFile | None = None
        self._parquet: pq.ParquetWriter | None = None

    def append(self, table: pa.Table) -> None:
        """Adds rows, which must follow all earlier ones in the order of the key."""
        sizes = row_sizes(table)
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
            if file_full or self._group_rows == ROWS_PER_GROUP or self._group_bytes >= GROUP_BYTES:
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
        room = min(FILE_BYTES - self._file_bytes, GROUP_BYTES - self._group_bytes)
        filled = np.cumsum(sizes[:rows])
        return min(int(np.searchsorted(filled, room)) + 1, len(filled))

    def _end_group(self) -> None:
        # One contiguous chunk: page cuts must not depend on how the rows came in.
        table = pa.concat_tables(self._slices).combine_chunks()
        self._slices = []
        self._group_rows = self._group_bytes = 0
        self._writer().write_table(table, row_group_size=max(table.num_rows, 1))

    def _writer(self) -> pq.ParquetWriter:
        if self._parquet is None:
            self._aside = AsideFile(self._folder)
            self._parquet = parquet_writer(self._aside, self._record.SCHEMA)
        return self._parquet

    def _end_file(self) -> None:
        self._writer().close()
        aside = self._aside
        assert aside is not None  # noqa: S101 - opened with the writer
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
        self._parquet = self._aside = None

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._aside is not None:
            self._aside.__exit__()


def row_sizes(table: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """int64 (rows,): the bytes in each row's top-level string and binary columns."""
    sizes = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        kind = column.type
        if pa.types.is_large_binary(kind) or pa.types.is_binary(kind) or pa.types.is_string(kind):
            lengths = pc.fill_null(pc.binary_length(column), 0)
            sizes += lengths.to_numpy().astype(np.int64)
    return sizes


def parquet_writer(sink: AsideFile, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer whose bytes depend on the rows alone: zstd, page checksums, no dates."""
    # Large binary columns hold tensors: a dictionary or min/max of them is never of use.
    small = [field.name for field in schema if not pa.types.is_large_binary(field.type)]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=small,
        write_statistics=small,
        write_page_checksum=True,
    )


__all__ = [
    "FILE_BYTES",
    "GROUP_BYTES",
    "MANIFEST_NAME",
    "NAME_KEY",
    "ROWS_PER_FILE",
    "ROWS_PER_GROUP",
    "DataFile",
    "Manifest",
    "TableWriter",
    "check_unique",
    "commit_files",
    "conform",
    "iter_tables",
    "open_parquet",
    "parquet_writer",
    "read_manifest",
    "read_records",
    "read_table",
    "remove_strays",
    "row_sizes",
    "verify_table",
    "write_table",
]
