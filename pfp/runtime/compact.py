"""Final files from committed rows: in key order, in bounded memory, the old ones kept till then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from pfp.errors import SchemaError
from pfp.io.filesystems import Folder
from pfp.io.manifest import commit_files
from pfp.io.table_writer import (
    GROUP_BYTES,
    ROWS_PER_FILE,
    ROWS_PER_GROUP,
    DataFile,
    TableWriter,
    file_spans,
)
from pfp.io.tables import check_unique, open_parquet
from pfp.runtime.index import Index, Int64s, Source
from pfp.schema.record import Record

CACHE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class WriteFile:
    """One final file still to be written: the rows ``rows`` (as the index has them) of ``sources``.

    Files of a table with blobs are cut by their rows' blobs alone, so each can be written for
    itself, by another process or on another machine.
    """

    folder: Folder
    record: type[Record]
    sources: tuple[Source, ...]
    rows: pa.Table
    number: int
    rows_per_file: int

    def __call__(self) -> DataFile:
        """Write it; the same bytes each time."""
        with TableWriter(
            self.folder, self.record, rows_per_file=self.rows_per_file, first_index=self.number
        ) as writer:
            for rows in _read_rows(self.sources, self.rows):
                writer.append(rows.cast(self.record.SCHEMA))
            (file,) = writer.finish()
        return file


RunAll: TypeAlias = Callable[[Sequence[WriteFile]], list[DataFile]]


def run_here(jobs: Sequence[WriteFile]) -> list[DataFile]:
    """One after the other in this process."""
    return [job() for job in jobs]


def compact(
    folder: Folder,
    record: type[Record],
    index: Index,
    chosen: pa.Table,
    *,
    run_all: RunAll = run_here,
) -> None:
    """Makes the chosen rows (in key order) the table. Files that would not change are kept.

    Nothing is written if the table consists of these rows already. The table is the old one until
    the manifest is renamed, and the new one from then on. ``run_all`` writes the files of a table
    with blobs, wherever it likes.
    """
    check_unique(chosen["key"].combine_chunks(), record)
    kept = _kept_files(index, chosen)
    if index.manifest is not None and kept == list(index.manifest.files):
        commit_files(folder, record, kept, rows_per_file=ROWS_PER_FILE)
        return
    rest = chosen.slice(sum(file.num_rows for file in kept))
    if record.BLOBS and rest.num_rows:
        spans = file_spans(rest["blob_bytes"].to_numpy(), ROWS_PER_FILE)
        jobs = [
            _job(folder, record, index, rest.slice(start, end - start), len(kept) + number)
            for number, (start, end) in enumerate(spans)
        ]
        files = run_all(jobs)
    else:
        files = _write_in_turn(folder, record, index, rest, len(kept))
    commit_files(folder, record, [*kept, *files], rows_per_file=ROWS_PER_FILE)


def _job(
    folder: Folder, record: type[Record], index: Index, rows: pa.Table, number: int
) -> WriteFile:
    """The job with those sources only that its rows come from."""
    used, numbers = np.unique(rows["source"].to_numpy(), return_inverse=True)
    position = rows.schema.get_field_index("source")
    renumbered = rows.set_column(position, "source", pa.array(numbers.astype(np.int32)))
    sources = tuple(index.sources[source] for source in used)
    return WriteFile(folder, record, sources, renumbered.combine_chunks(), number, ROWS_PER_FILE)


def _write_in_turn(
    folder: Folder, record: type[Record], index: Index, rows: pa.Table, first_index: int
) -> list[DataFile]:
    """Files whose cuts depend on what stands before them."""
    with TableWriter(
        folder, record, rows_per_file=ROWS_PER_FILE, first_index=first_index
    ) as writer:
        for part in _read_rows(index.sources, rows):
            writer.append(part.cast(record.SCHEMA))
        return writer.finish()


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
