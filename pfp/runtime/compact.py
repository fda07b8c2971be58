"""Final files from committed rows: in key order, in bounded memory, the old ones kept till then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pfp.errors import SchemaError
from pfp.io.filesystems import Folder
from pfp.io.manifest import commit_files
from pfp.io.table_writer import GROUP_BYTES, ROWS_PER_FILE, ROWS_PER_GROUP, DataFile, TableWriter
from pfp.io.tables import check_unique, open_parquet
from pfp.runtime.index import Index, Int64s, Source
from pfp.schema.record import Record

CACHE_BYTES = 128 << 20


def compact(folder: Folder, record: type[Record], index: Index, chosen: pa.Table) -> None:
    """Makes the chosen rows (in key order) the table. Files that would not change are kept.

    Nothing is written if the table consists of these rows already. The table is the old one until
    the manifest is renamed, and the new one from then on.
    """
    check_unique(chosen["key"].combine_chunks(), record)
    kept = _kept_files(index, chosen)
    if index.manifest is not None and kept == list(index.manifest.files):
        commit_files(folder, record, kept, rows_per_file=ROWS_PER_FILE)
        return
    start = sum(file.num_rows for file in kept)
    with TableWriter(folder, record, rows_per_file=ROWS_PER_FILE, first_index=len(kept)) as writer:
        for rows in _read_rows(index.sources, chosen.slice(start)):
            writer.append(rows.cast(record.SCHEMA))
        files = writer.finish()
    commit_files(folder, record, [*kept, *files], rows_per_file=ROWS_PER_FILE)


def _kept_files(index: Index, chosen: pa.Table) -> list[DataFile]:
    """The leading files that a new writing would repeat byte for byte.

    Cuts depend on the rows before them alone, so a file whose rows and predecessors stay is the
    same again; the last file only if no row follows it, since it might have had room.
    """
    manifest = index.manifest
    if manifest is None or manifest.rows_per_file != ROWS_PER_FILE:
        return []
    sources = chosen["source"].to_numpy()
    kept: list[DataFile] = []
    start = 0
    for number, file in enumerate(manifest.files):
        end = start + file.num_rows
        known = number < index.num_final and index.sources[number].name == file.name
        # Both are in key order, so all of a file's rows in a run are the file.
        same = known and end <= len(sources) and bool((sources[start:end] == number).all())
        last = number == len(manifest.files) - 1
        if not same or (last and end != len(sources)):
            break
        kept.append(file)
        start = end
    return kept


def _read_rows(sources: tuple[Source, ...], chosen: pa.Table) -> Iterator[pa.Table]:
    """The chosen rows in their order, in tables of about one row group's size."""
    cache = _GroupCache(sources)
    number = chosen["source"].to_numpy()
    position = chosen["position"].to_numpy()
    for start, end in windows(chosen["num_bytes"].to_numpy()):
        yield _gather(cache, number[start:end], position[start:end])


def windows(num_bytes: Int64s) -> Iterator[tuple[int, int]]:
    """Spans ``[start, end)`` that cover all rows: few rows and few bytes each, at least one row."""
    start = 0
    while start < len(num_bytes):
        filled = np.cumsum(num_bytes[start : start + ROWS_PER_GROUP])
        end = start + max(1, int(np.searchsorted(filled, GROUP_BYTES, side="right")))
        yield start, end
        start = end


def _gather(cache: _GroupCache, number: Int64s, position: Int64s) -> pa.Table:
    """The rows at ``position`` of the sources ``number``, in that order."""
    pieces, places = [], []
    for source in np.unique(number):
        wanted = np.flatnonzero(number == source)
        starts = cache.sources[source].starts
        groups = np.searchsorted(starts, position[wanted], side="right") - 1
        for group in np.unique(groups):
            here = wanted[groups == group]
            rows = cache.group(int(source), int(group))
            pieces.append(rows.take(pa.array(position[here] - starts[group])))
            places.append(here)
    order = np.argsort(np.concatenate(places))
    return pa.concat_tables(pieces).take(pa.array(order))


class _GroupCache:
    """Row groups that were read last, up to ``CACHE_BYTES``: neighbours in key order share them."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self.sources = sources
        self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._num_bytes = 0

    def group(self, source: int, group: int) -> pa.Table:
        """One row group; ``SchemaError`` if it is damaged."""
        place = (source, group)
        if place in self._groups:
            self._groups.move_to_end(place)
            return self._groups[place]
        table = self._read(self.sources[source], group)
        self._groups[place] = table
        self._num_bytes += table.nbytes
        while self._num_bytes > CACHE_BYTES and len(self._groups) > 1:
            self._num_bytes -= self._groups.popitem(last=False)[1].nbytes
        return table

    @staticmethod
    def _read(source: Source, group: int) -> pa.Table:
        path = source.folder.file(source.name)
        try:
            with open_parquet(source.folder, source.name) as parquet:
                return parquet.read_row_group(group)
        except (OSError, pa.ArrowException) as error:
            message = f"{path} is damaged ({error}); delete it and run the stage again"
            raise SchemaError(message) from error
