"""The columns of every record as files have them; run it to write ``stored_columns.txt`` anew.

A file written today is read by its columns tomorrow. Who changes a record on purpose raises its
``VERSION`` and runs ``python -m tests.schema.stored_columns`` from the root of the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from pfp import schema
from pfp.schema import Record

FILE: Final = Path(__file__).with_suffix(".txt")
# Every record that the package exports, found here so that a new one is tested too.
RECORDS: Final = sorted(
    (
        value
        for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, Record) and value is not Record
    ),
    key=lambda record: record.NAME,
)


def text_of(record: type[Record]) -> str:
    """A record's metadata and columns, one a line, with the types of what they hold."""
    told = {key.decode(): value.decode() for key, value in record.SCHEMA.metadata.items()}
    return "\n".join([f"{record.NAME} {told}", *map(_column, record.SCHEMA)]) + "\n"


def _column(column: pa.Field) -> str:
    assert not column.metadata  # else it belongs into the line
    return f"  {column.name}: {column.type}{'' if column.nullable else ' not null'}"


if __name__ == "__main__":
    FILE.write_text("\n".join(map(text_of, RECORDS)), encoding="utf-8")
