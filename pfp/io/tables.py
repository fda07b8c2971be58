"""Tables on disk: a folder of Parquet files and a manifest that makes them one table.

    <table>/part-00000-<digest>.parquet ...   rows in the order of the record's key
    <table>/_manifest.json                    record, version, and each file's rows, bytes, SHA-256

New files never overwrite old ones (their names carry their digest) and the manifest changes in one
step, so a reader finds the old table or the new one. Equal rows make byte-equal folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pfp.errors import SchemaError
from pfp.io.blob_index import INDEX_NAME, index_of, load_index, make_index
from pfp.io.files import open_file
from pfp.io.filesystems import Folder, explain_store_errors
from pfp.io.locks import locked
from pfp.io.manifest import DATA_NAME, Manifest, commit_files, read_manifest
from pfp.io.table_writer import ROWS_PER_FILE, DataFile, TableWriter
from pfp.schema.record import VERSION_KEY, Record

VERDICT_KINDS: Final = {"kept", "dropped", "failed"}
_R = TypeVar("_R", bound=Record)


# ------------------------------------------------------------------------------------- reading


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


def read_records(
    directory: str | Path, record: type[_R], *, verdict: str | None = None
) -> list[_R]:
    """A table's rows as records; ``verdict`` selects ``"kept"``, ``"dropped"`` or ``"failed"``."""
    table = read_table(directory, record)
    if verdict is not None:
        table = table.filter(pc.equal(pc.struct_field(table["verdict"], "kind"), verdict))
    return [record.from_row(row) for row in table.to_pylist()]


def iter_tables(
    directory: str | Path, record: type[Record], *, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """A table's row groups one after the other: about 32 MiB of rows at a time."""
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
    if record.BLOBS and not problems:
        problems += _index_problems(folder, record, manifest)
    listed = {file.name for file in manifest.files}
    problems += [
        f"{folder.file(name)} is not in the manifest; run the stage again to remove it"
        for name in folder.names()
        if DATA_NAME.fullmatch(name) and name not in listed
    ]
    return problems


def _index_problems(folder: Folder, record: type[Record], manifest: Manifest) -> list[str]:
    """Whether the index says of the files what they say themselves."""
    try:
        made = index_of(make_index(folder, record, manifest.files, manifest.to_bytes()))
    except SchemaError as error:
        return [str(error)]
    stored = load_index(folder, record, manifest.files, manifest.to_bytes())
    if stored.rows.equals(made.rows) and stored.descriptions == made.descriptions:
        return []
    return [f"{folder.file(INDEX_NAME)} does not fit the files; delete it and run the stage again"]


def open_parquet(folder: Folder, name: str) -> pq.ParquetFile:
    """A data file opened for reading with its page checksums verified."""
    if folder.is_local:
        open_file(folder.file(name)).close()  # no pipe, which pyarrow would wait for
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


@contextmanager
def _opening(folder: Folder, name: str) -> Iterator[None]:
    """Says of a data file that cannot be read that it is damaged, and what to do.

    A store that does not answer has damaged nothing: that is a ``RetryableError``.
    """
    path = folder.file(name)
    try:
        with explain_store_errors(folder.filesystem, path):
            yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        message = f"{path} is missing or damaged ({reason}); delete it and run the stage again"
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
    _check_verdicts(table, record)
    _check_blobs(table, record)
    return table.cast(record.SCHEMA).replace_schema_metadata(record.SCHEMA.metadata)


def _check_verdicts(table: pa.Table, record: type[Record]) -> None:
    kinds = pc.unique(pc.struct_field(table["verdict"], "kind")).to_pylist()
    unknown = sorted(str(kind) for kind in set(kinds) - VERDICT_KINDS)
    if unknown:
        message = f"{record.NAME}.verdict is {unknown}; a verdict is kept, dropped or failed"
        raise SchemaError(message)


def _check_blobs(table: pa.Table, record: type[Record]) -> None:
    """Blobs are as long as the row says: by that readers find them."""
    for blob in record.BLOBS:
        found = pc.binary_length(table[blob]).to_pylist()
        expected = record.blob_bytes(blob, table)
        for row, (length, told) in enumerate(zip(found, expected, strict=True)):
            if length != told:
                key = table[record.KEY][row].as_py()
                message = (
                    f"{record.NAME} {key!r} has {length} bytes of {blob}, its shape says {told}; "
                    "give both alike"
                )
                raise SchemaError(message)


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
    check_unique(keys.take(order), record)  # before a folder is made
    write_tables(directory, [table.take(order)], record, rows_per_file=rows_per_file)


def write_tables(
    directory: str | Path,
    tables: Iterable[pa.Table],
    record: type[Record],
    *,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """The same of a table that comes in parts, in the order of the key: one is held at a time.

    ``SchemaError`` also for parts that are in no order.
    """
    folder = Folder.at(directory)
    with locked(folder):
        writer = TableWriter(folder, record, rows_per_file=rows_per_file)
        before = pa.array([], record.SCHEMA.field(record.KEY).type)
        with writer:
            for table in tables:
                part = conform(table, record)
                keys = pa.concat_arrays([before, *part[record.KEY].chunks])
                _check_order(keys, record)
                check_unique(keys, record)
                writer.append(part)
                before = keys[-1:]
            files = writer.finish()
        commit_files(folder, record, files, rows_per_file=rows_per_file)


def _check_order(keys: pa.Array, record: type[Record]) -> None:
    if len(keys) > 1 and pc.any(pc.less(keys[1:], keys[:-1])).as_py():
        key = keys[pc.index(pc.less(keys[1:], keys[:-1]), True).as_py() + 1]
        message = f"{record.NAME} {key.as_py()!r} comes after a later {record.KEY}; sort the rows"
        raise SchemaError(message)


def check_unique(sorted_keys: pa.Array, record: type[Record]) -> None:
    """A ``SchemaError`` that quotes the first key that two rows share."""
    if len(sorted_keys) < 2:
        return
    same = pc.equal(sorted_keys[1:], sorted_keys[:-1])
    if pc.any(same).as_py():
        key = sorted_keys[pc.index(same, True).as_py()]
        message = f"two {record.NAME} rows share {record.KEY} {key.as_py()!r}; keys must be unique"
        raise SchemaError(message)
