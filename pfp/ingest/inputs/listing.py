"""From what a person names as the input to the table of its files.

VIDEOS                            a folder of this machine
'VIDEOS/**/*.mp4'                 a pattern, also in a store
s3://bucket/videos?region=...     a folder of an object store; gs:// likewise
files.jsonl, .csv, .parquet       a manifest, on this machine or in a store
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.ingest.inputs.blocks import BLOCK_ROWS, INPUT_SCHEMA, blocks_of
from pfp.ingest.inputs.local_files import local_files
from pfp.ingest.inputs.manifest import check_web, is_manifest, manifest_blocks
from pfp.ingest.inputs.patterns import EVERYTHING, split_pattern
from pfp.ingest.inputs.store_files import StorePlace, store_files
from pfp.io.media import shown_name
from pfp.io.media.source import is_local, local_path
from pfp.limits import MAX_INPUT_FILES
from pfp.texts import quoted


def list_inputs(
    source: str | os.PathLike[str], *, skip: tuple[str, ...] = ()
) -> Iterator[pa.Table]:
    """The files of a source as a stream of blocks of ``INPUT_SCHEMA``, in no particular order.

    source: a folder, a pattern or a manifest, each a path or a URI of a store (see above). What a
    file is, its content tells; extensions count in patterns only. skip: folders that are left out
    of folders and patterns, such as the run's own.

    Whoever takes some blocks has the whole listing only when the stream has ended without an error.

    Raises:
        InputError: the source is not there, cannot be read, is wrong or holds no file.
        PermanentError: a store refuses what is asked of it.
        RetryableError: a store does not answer, at the beginning or half-way.
    """
    name, num_rows = os.fspath(source), 0
    check_web(name)
    for block in _blocks(name, skip):
        num_rows += block.num_rows
        if num_rows > MAX_INPUT_FILES:
            raise InputError(
                f"{shown_name(name)} has more than {MAX_INPUT_FILES} files; take them in parts"
            )
        yield block
    if not num_rows:
        raise InputError(_nothing_in(name))


def gather_inputs(source: str | os.PathLike[str], *, skip: tuple[str, ...] = ()) -> pa.Table:
    """All files of a source, a row each (``INPUT_SCHEMA``), in order of their URI.

    Raises as ``list_inputs`` does, and ``InputError`` for a manifest that names a file, or has an
    id, twice.
    """
    table = pa.concat_tables(list_inputs(source, skip=skip))
    name = shown_name(os.fspath(source))
    _check_unique(name, table["source_id"], "source_id")
    order = _check_unique(name, table["video_uri"], "video_uri")
    return _taken(table, order)


def _blocks(name: str, skip: tuple[str, ...]) -> Iterator[pa.Table]:
    if is_local(name):
        return _local_blocks(local_path(name), skip)
    return _stored_blocks(name, skip)


def _local_blocks(path: str, skip: tuple[str, ...]) -> Iterator[pa.Table]:
    if is_manifest(path) and Path(path).is_file():
        return manifest_blocks(path)
    # A folder may have such a name itself.
    folder, pattern = (path, EVERYTHING) if Path(path).exists() else split_pattern(path)
    return blocks_of(local_files(folder, skip=skip, pattern=pattern))


def _stored_blocks(uri: str, skip: tuple[str, ...]) -> Iterator[pa.Table]:
    address, mark, query = uri.partition("?")
    if is_manifest(address):
        return manifest_blocks(uri)
    folder, pattern = split_pattern(address)
    place = StorePlace.of(folder + mark + query)
    return store_files(folder + mark + query, place, skip=skip, pattern=pattern)


def _nothing_in(name: str) -> str:
    if is_manifest(name.partition("?")[0]):
        return f"{shown_name(name)} has no row; write one for each file"
    if split_pattern(name.partition("?")[0])[1] != EVERYTHING:
        return f"{shown_name(name)} matches no file; ** stands for folders at any depth"
    return f"{shown_name(name)} holds no file; put video files into it, or name another folder"


def _check_unique(name: str, column: pa.ChunkedArray, meaning: str) -> pa.Array:
    """The order of a column's values, nulls last; ``InputError`` if two are the same."""
    order = pc.sort_indices(column)
    values = _wide(column).take(order)
    is_same = pc.equal(values[1:], values[:-1])
    first = pc.index(is_same, value=True).as_py()
    if first >= 0:
        rows = sorted(order[place].as_py() + 1 for place in (first, first + 1))
        raise InputError(
            f"{name}: rows {rows[0]} and {rows[1]} have the same {meaning} "
            f"{quoted(values[first].as_py())}; keep one of them"
        )
    return order


def _taken(table: pa.Table, order: pa.Array) -> pa.Table:
    """The rows in that order, in chunks that ``INPUT_SCHEMA`` can hold."""
    columns = {name: _wide(table[name]).take(order) for name in table.column_names}
    batches = pa.table(columns).to_batches(max_chunksize=BLOCK_ROWS)
    return pa.concat_tables(pa.Table.from_batches([batch]).cast(INPUT_SCHEMA) for batch in batches)


def _wide(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts with offsets of 64 bits: pyarrow takes rows of a column as one array."""
    return column.cast(pa.large_string()) if pa.types.is_string(column.type) else column
