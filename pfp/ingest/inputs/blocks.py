"""One row per input file, in blocks: five million rows are never Python objects at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeAlias

import pyarrow as pa

# A name's URI, its size in bytes, and when it was last changed, in ns since 1970.
FileEntry: TypeAlias = tuple[str, int, int]

BLOCK_ROWS: Final = 65_536

# Size and time are null where nobody knows them: the file is missing, or its store does not say.
# ``extra`` is a JSON object of a manifest's other columns. Captions and it have offsets of 64 bits,
# since millions of them take more than the 2 GiB that one array of ``string`` holds.
INPUT_SCHEMA: Final = pa.schema(
    [
        pa.field("video_uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64()),
        pa.field("changed_ns", pa.int64()),
        pa.field("source_id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("caption", pa.large_string()),
        pa.field("extra", pa.large_string()),
    ]
)


def blocks_of(entries: Iterable[FileEntry]) -> Iterator[pa.Table]:
    """Files as blocks of up to ``BLOCK_ROWS`` rows of ``INPUT_SCHEMA``, in the order they come."""
    remaining = iter(entries)
    while rows := list(islice(remaining, BLOCK_ROWS)):
        uris, sizes_bytes, changed_ns = zip(*rows, strict=True)
        yield full_block({"video_uri": uris, "size_bytes": sizes_bytes, "changed_ns": changed_ns})


def full_block(columns: dict[str, Iterable[object] | pa.Array]) -> pa.Table:
    """A block of columns of one length; those of ``INPUT_SCHEMA`` that are not given are null."""
    known = {
        name: column if isinstance(column, pa.Array) else pa.array(column, _type_of(name))
        for name, column in columns.items()
    }
    num_rows = len(known["video_uri"])
    arrays = [
        known[field.name].cast(field.type)
        if field.name in known
        else pa.nulls(num_rows, field.type)
        for field in INPUT_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=INPUT_SCHEMA)


def _type_of(name: str) -> pa.DataType:
    return INPUT_SCHEMA.field(name).type
