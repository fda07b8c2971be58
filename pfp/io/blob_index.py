"""Where each row's tensors lie in the files of a table, so that any part of one is one byte range.

    <table>/_index.parquet   a row per row with blobs: key, file, offset and length of each blob,
                             and the columns of Record.INDEXED; made from the data files alone

A column of tensors is stored uncompressed, without dictionary and in one page per row group
(``table_writer.parquet_writer``). Parquet's PLAIN encoding of a page of byte strings is, one after
the other, each length (4 bytes) and its bytes, so counting back from the end of the column gives
the place of every row's bytes. That is checked when the index is made.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pfp.errors import SchemaError
from pfp.io.filesystems import AsideFile, Folder, explain_store_errors
from pfp.io.table_writer import DESCRIPTION_KEY, DataFile, parquet_writer
from pfp.schema.record import Record

INDEX_NAME: Final = "_index.parquet"
_OF_MANIFEST: Final = b"pfp.manifest_sha256"
_FILES: Final = b"pfp.files"
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobIndex:
    """``rows`` in the order of the key; ``descriptions`` (``Record.describe``) one per file."""

    rows: pa.Table
    files: tuple[str, ...]
    descriptions: tuple[dict[str, Any], ...]


def load_index(
    folder: Folder, record: type[Record], files: Sequence[DataFile], manifest: bytes
) -> BlobIndex:
    """The index of a table: the one on disk if it belongs to the manifest, else made anew.

    ``SchemaError`` for a data file that is missing, damaged or laid out otherwise.
    """
    stored = _stored(folder, record)
    if stored is not None and stored.schema.metadata.get(_OF_MANIFEST) == _digest(manifest):
        return index_of(stored)
    return index_of(make_index(folder, record, files, manifest))


def store_index(
    folder: Folder, record: type[Record], files: Sequence[DataFile], manifest: bytes
) -> None:
    """Writes the index of a table whose manifest will be ``manifest``, unless it is there."""
    stored = _stored(folder, record)
    if stored is not None and stored.schema.metadata.get(_OF_MANIFEST) == _digest(manifest):
        return
    index = make_index(folder, record, files, manifest, earlier=stored)
    with AsideFile(folder) as aside:
        with parquet_writer(aside, index.schema) as writer:
            writer.write_table(index)
        aside.commit(INDEX_NAME)


def make_index(
    folder: Folder,
    record: type[Record],
    files: Sequence[DataFile],
    manifest: bytes,
    *,
    earlier: pa.Table | None = None,
) -> pa.Table:
    """The index from the data files; rows of files that ``earlier`` knows are taken from there."""
    schema = _schema(record)
    known = {} if earlier is None else _by_file(earlier)
    parts, described = [schema.empty_table()], []
    for number, file in enumerate(files):
        rows, description = known.get(file.name) or _read_places(folder, file.name, record)
        position = schema.get_field_index("file")
        numbers = pa.array(np.full(rows.num_rows, number, np.int32))
        parts.append(rows.set_column(position, schema.field(position), numbers))
        described.append({"name": file.name, "description": description})
    metadata = {
        **(record.SCHEMA.metadata or {}),
        _OF_MANIFEST: _digest(manifest),
        _FILES: json.dumps(described, sort_keys=True).encode(),
    }
    index = pa.concat_tables([part.cast(schema) for part in parts]).combine_chunks()
    return index.replace_schema_metadata(metadata)


def _stored(folder: Folder, record: type[Record]) -> pa.Table | None:
    """The index on disk; None if there is none that can be read as this record's."""
    try:
        with folder.filesystem.open_input_file(folder.file(INDEX_NAME)) as file:
            table = pq.read_table(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return None
    metadata = table.schema.metadata or {}
    fits = table.schema.equals(_schema(record)) and metadata.keys() >= {_OF_MANIFEST, _FILES}
    return table.combine_chunks() if fits else None


def _schema(record: type[Record]) -> pa.Schema:
    fields = [record.SCHEMA.field(record.KEY), pa.field("file", pa.int32(), nullable=False)]
    for blob in record.BLOBS:
        fields += [pa.field(f"{blob}_offset", pa.int64()), pa.field(f"{blob}_bytes", pa.int64())]
    return pa.schema([*fields, *(record.SCHEMA.field(name) for name in record.INDEXED)])


def index_of(stored: pa.Table) -> BlobIndex:
    """The index that a table as ``make_index`` gives it holds."""
    files = json.loads(stored.schema.metadata[_FILES])
    return BlobIndex(
        rows=stored,
        files=tuple(file["name"] for file in files),
        descriptions=tuple(file["description"] for file in files),
    )


def _by_file(index: pa.Table) -> dict[str, tuple[pa.Table, dict[str, Any]]]:
    files = json.loads(index.schema.metadata[_FILES])
    numbers = index["file"].to_numpy()
    edges = np.searchsorted(numbers, np.arange(len(files) + 1))
    return {
        file["name"]: (index.slice(start, end - start), file["description"])
        for file, start, end in zip(files, edges[:-1], edges[1:], strict=True)
    }


def _read_places(
    folder: Folder, name: str, record: type[Record]
) -> tuple[pa.Table, dict[str, Any]]:
    """One file's index rows and description."""
    try:
        with (
            explain_store_errors(folder.filesystem, folder.file(name)),
            folder.filesystem.open_input_file(folder.file(name)) as file,
            pq.ParquetFile(file, page_checksum_verification=True) as parquet,
        ):
            text = (parquet.metadata.metadata or {}).get(DESCRIPTION_KEY.encode(), b"{}")
            groups = range(parquet.num_row_groups)
            places = [_group_places(parquet, group, record) for group in groups]
            rows = pa.concat_tables([_schema(record).empty_table(), *places]).combine_chunks()
            _check_lengths(file, rows, record, folder.file(name))
    except (OSError, pa.ArrowException) as error:
        message = (
            f"{folder.file(name)} is missing or damaged ({error}); "
            "delete it and run the stage again"
        )
        raise SchemaError(message) from error
    return rows, json.loads(text)


def _group_places(parquet: pq.ParquetFile, group: int, record: type[Record]) -> pa.Table:
    """The index rows of a row group; their ``file`` is 0. The blobs themselves are not read."""
    table = parquet.read_row_group(group, columns=[record.KEY, *record.INDEXED])
    columns: dict[str, Any] = {
        record.KEY: table[record.KEY],
        "file": np.zeros(table.num_rows, np.int32),
    }
    for blob in record.BLOBS:
        num_bytes = pa.array(record.blob_bytes(blob, table), pa.int64())
        end = _end_of(parquet.metadata.row_group(group), blob)
        columns[f"{blob}_offset"] = _offsets(num_bytes, end)
        columns[f"{blob}_bytes"] = num_bytes
    columns |= {name: table[name] for name in record.INDEXED}
    rows = pa.table(columns).cast(_schema(record))
    with_blobs = functools.reduce(
        pc.or_, (pc.is_valid(rows[f"{blob}_bytes"]) for blob in record.BLOBS)
    )
    return rows.filter(with_blobs)


def _end_of(group: Any, blob: str) -> int:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == blob:
            return int(column.data_page_offset + column.total_compressed_size)
    raise SchemaError(f"there is no column {blob}; run the stage again")


def _offsets(num_bytes: pa.Array, end: int) -> pa.Array:
    """Each row's offset in the file, counted back from the end of the column; null where null."""
    sizes = num_bytes.fill_null(-_LENGTH_BYTES).to_numpy() + _LENGTH_BYTES
    starts = end - np.cumsum(sizes[::-1])[::-1] + _LENGTH_BYTES
    return pa.array(starts, mask=num_bytes.is_null().to_numpy(zero_copy_only=False))


def _check_lengths(file: pa.NativeFile, rows: pa.Table, record: type[Record], path: str) -> None:
    """Before each blob stands its length; if not, the file is laid out otherwise."""
    for blob in record.BLOBS:
        places = zip(
            rows[f"{blob}_offset"].to_pylist(), rows[f"{blob}_bytes"].to_pylist(), strict=True
        )
        for offset, num_bytes in places:
            if offset is None:
                continue
            found = file.read_at(_LENGTH_BYTES, offset - _LENGTH_BYTES)
            if int.from_bytes(found, "little") != num_bytes:
                raise SchemaError(
                    f"{path} does not hold {blob} as plain bytes at {offset}, so no part of it can "
                    "be read alone; delete it and run the stage again"
                )


def _digest(manifest: bytes) -> bytes:
    return hashlib.sha256(manifest).hexdigest().encode()
