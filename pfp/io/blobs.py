"""Parts of the tensors of a table: opened once, then each part one read of just its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pfp.errors import InputError
from pfp.io.blob_index import load_index
from pfp.io.filesystems import Folder
from pfp.io.manifest import read_manifest
from pfp.io.ranges import Range, RangeReader, range_reader
from pfp.schema.record import Record


class Blobs:
    """The rows of a table that have blobs, numbered in the order of the key.

    What is held per row are plain arrays, so that millions of rows cost some hundred megabytes and
    processes forked off share them. Reading is safe in forked and spawned processes alike.
    """

    def __init__(
        self, directory: str | Path, record: type[Record], *, ranges: RangeReader | None = None
    ) -> None:
        """Open the table's index. ``SchemaError`` for a missing, foreign or damaged table."""
        self.folder = Folder.at(directory)
        self.record = record
        manifest = read_manifest(self.folder, record)
        index = load_index(self.folder, record, manifest.files, manifest.to_bytes())
        self.descriptions = index.descriptions
        self.keys = index.rows[record.KEY].combine_chunks()
        self.columns = {name: index.rows[name].combine_chunks() for name in record.INDEXED}
        self._files = index.files
        self._file_of_row = index.rows["file"].to_numpy()
        self._offsets = {blob: _integers(index.rows[f"{blob}_offset"]) for blob in record.BLOBS}
        self._num_bytes = {blob: _integers(index.rows[f"{blob}_bytes"]) for blob in record.BLOBS}
        self._ranges = ranges or range_reader(self.folder)

    def __len__(self) -> int:
        return len(self.keys)

    def row_of(self, key: str) -> int:
        """The row with that key; ``InputError`` if there is none."""
        low, high = 0, len(self.keys)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.keys[middle].as_py() < key else (low, middle)
        if low == len(self.keys) or self.keys[low].as_py() != key:
            raise InputError(
                f"{self.folder.path} holds no {self.record.NAME} {key!r}; "
                f"give one of its {len(self)} kept ones"
            )
        return low

    def num_bytes(self, row: int, blob: str) -> int:
        """The length of a row's blob; 0 if it has none."""
        return max(0, int(self._num_bytes[blob][row]))

    def part(self, row: int, blob: str, start: int, into: NDArray[Any]) -> Range:
        """The read that fills ``into`` with the blob's bytes from ``start``.

        ``ValueError`` unless ``into`` is C-contiguous.
        """
        if not into.flags.c_contiguous:
            raise ValueError("bytes can be read into contiguous memory only; give another array")
        place = self._offsets[blob].item(row) + start
        name = self._files[self._file_of_row.item(row)]
        # An array without values has no memory that could be cast.
        return Range(name, place, into.data.cast("B") if into.size else memoryview(bytearray()))

    def read(self, parts: Sequence[Range]) -> None:
        """Fill the parts."""
        self._ranges.read(parts)

    def whole(self, row: int, blob: str) -> NDArray[np.uint8]:
        """All bytes of a row's blob."""
        content = np.empty(self.num_bytes(row, blob), np.uint8)
        self.read([self.part(row, blob, 0, content)])
        return content


def _integers(column: Any) -> NDArray[np.int64]:
    values: NDArray[np.int64] = pc.fill_null(column, -1).to_numpy()
    return values
