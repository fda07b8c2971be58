"""Rows of manifest files, some ten thousand at a time: JSON lines, CSV, Parquet."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pfp.errors import InputError
from pfp.ingest.inputs.blocks import BLOCK_ROWS
from pfp.io.json_text import parse_json
from pfp.io.media import shown_name
from pfp.io.media.source import open_binary
from pfp.limits import MAX_INPUT_FILES, MAX_LINE_BYTES, MAX_MANIFEST_BYTES
from pfp.texts import quoted, storable

# What the columns of INPUT_SCHEMA may be called; all others travel in ``extra``.
COLUMN_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("video_uri", "uri", "path"), "video_uri"),
    **dict.fromkeys(("source_id", "id"), "source_id"),
    **dict.fromkeys(("licence", "license"), "licence"),
    **{name: name for name in ("size_bytes", "changed_ns", "source", "caption")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBlock:
    """Some rows as the manifest has them, and where each stands in it.

    columns: of names in ``COLUMN_NAMES`` and others; names of files may be bytes. extra: what
    further columns say, as JSON objects, from a format whose values need not be of one type; None
    where there are no such.
    """

    name: str
    unit: str  # line or row
    numbers: Sequence[int]  # from 1
    columns: pa.Table
    extra: pa.Array | None = None
    extra_names: Sequence[str] = ()  # of some of those columns

    def at(self, index: int) -> str:
        """Where the row of that index stands, for messages."""
        return f"{self.name}, {self.unit} {self.numbers[index]}"


@contextlib.contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    with open_binary(source) as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size_bytes > MAX_MANIFEST_BYTES:
            raise InputError(
                f"{shown_name(source)} has {size_bytes} bytes; split it into manifests of up to "
                f"{MAX_MANIFEST_BYTES}, or write it as Parquet"
            )
        yield file


# ----------------------------------------------------------------------------------- JSON lines


def _json_lines(source: str) -> Iterator[RawBlock]:
    """Objects, one a line. Python reads them: in Arrow a value must be of one type in all lines."""
    with _opened(source) as file:
        numbers, rows = [], []
        for number, line in _lines(file, source):
            rows.append(_object(line, source, number))
            numbers.append(number)
            if len(rows) == BLOCK_ROWS:
                yield _block_of(source, numbers, rows)
                numbers, rows = [], []
        if rows:
            yield _block_of(source, numbers, rows)


def _lines(file: BinaryIO, source: str) -> Iterator[tuple[int, bytes]]:
    """Lines that hold something, with their numbers from 1."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                f"{shown_name(source)}, line {number} has more than {MAX_LINE_BYTES} bytes; "
                "shorten what it says"
            )
        if line.strip():
            yield number, line


def _object(line: bytes, source: str, number: int) -> dict[str, Any]:
    try:
        value = parse_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except ValueError as error:
        raise InputError(
            f"{shown_name(source)}, line {number} is no JSON object ({error}); mend or remove it"
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"{shown_name(source)}, line {number} is {quoted(value)}, no JSON object; write "
            '{"path": ...}'
        )
    return value


def _block_of(source: str, numbers: list[int], rows: list[dict[str, Any]]) -> RawBlock:
    names = list(dict.fromkeys(key for row in rows for key in row if key in COLUMN_NAMES))
    columns = {name: _column(source, numbers, name, rows) for name in names}
    extra = [_other_text(row) for row in rows]
    return RawBlock(
        name=shown_name(source),
        unit="line",
        numbers=numbers,
        columns=pa.table(columns),
        extra=pa.array(extra, pa.large_string()),
        extra_names=[key for key in rows[0] if key not in COLUMN_NAMES],
    )


def _column(source: str, numbers: list[int], name: str, rows: list[dict[str, Any]]) -> pa.Array:
    # Names of files are bytes, and half surrogate pairs stand for those that are no text.
    stored = os.fsencode if COLUMN_NAMES[name] == "video_uri" else storable
    values = (row.get(name) for row in rows)
    try:
        return pa.array([stored(value) if isinstance(value, str) else value for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        raise InputError(
            f"{shown_name(source)}, lines {numbers[0]} to {numbers[-1]}: {name} is not of one type "
            f"({error}); write texts for names and whole numbers for sizes and times"
        ) from error


def _other_text(row: dict[str, Any]) -> str | None:
    return json_text({key: value for key, value in row.items() if key not in COLUMN_NAMES})


def json_text(row: Mapping[str, Any]) -> str | None:
    """A JSON object, in ASCII, of the values that there are; None if there are none.

    Not a number counts as no value, since some libraries write that for it. Raises ValueError for
    what JSON cannot hold.
    """
    known = {key: value for key, value in row.items() if not _is_nothing(value)}
    return json.dumps(known, default=str, allow_nan=False, sort_keys=True) if known else None


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


# ------------------------------------------------------------------------------ CSV and Parquet


def _csv(source: str) -> Iterator[RawBlock]:
    """Rows below a header line; every value is a text, an empty one is null."""
    with _explained(source), _opened(source) as file:
        names = _csv_reader(file, {}).schema.names
    texts = dict.fromkeys(names, pa.string())
    with _explained(source), _opened(source) as file:
        yield from _numbered(source, _csv_reader(file, texts))


def _csv_reader(file: BinaryIO, types: Mapping[str, pa.DataType]) -> pa.csv.CSVStreamingReader:
    return pa.csv.open_csv(
        file,
        # A row has to fit into a block, so this bounds its length, too.
        read_options=pa.csv.ReadOptions(block_size=MAX_LINE_BYTES, use_threads=False),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, null_values=[""]
        ),
    )


def _parquet(source: str) -> Iterator[RawBlock]:
    """Rows of a Parquet file, of which a row group's columns are read through small buffers."""
    with _explained(source), _opened(source) as file:
        table = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        if table.metadata.num_rows > MAX_INPUT_FILES:
            raise InputError(
                f"{shown_name(source)} has {table.metadata.num_rows} rows; split it into manifests "
                f"of up to {MAX_INPUT_FILES}"
            )
        yield from _numbered(source, table.iter_batches(batch_size=BLOCK_ROWS // 4))


def _numbered(source: str, batches: Iterator[pa.RecordBatch]) -> Iterator[RawBlock]:
    first = 1
    for batch in batches:
        numbers = range(first, first + batch.num_rows)
        first += batch.num_rows
        if batch.num_rows:
            columns = pa.Table.from_batches([batch])
            yield RawBlock(name=shown_name(source), unit="row", numbers=numbers, columns=columns)


@contextlib.contextmanager
def _explained(source: str) -> Iterator[None]:
    """Turns what Arrow says of a file into one sentence."""
    try:
        yield
    except pa.ArrowInvalid as error:
        said = " ".join(str(error).split())[:300]
        raise InputError(f"{shown_name(source)} cannot be read ({said}); mend it") from error


# By a manifest's extension.
READERS: Final[Mapping[str, Callable[[str], Iterator[RawBlock]]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
