"""Rows that are committed but not yet in the final files, and marks of who is at work on what.

    <table>/_pending/part-<digest of the batch's result keys>.parquet   committed rows
    <table>/_pending/tries-<run>/<digest>.<n>                            attempt n has begun

A staged file appears in one step once its rows are computed, so what a killed run has left is
always whole. An attempt's mark stays only if its worker died before it could commit.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from pfp.io.digests import sha256_json
from pfp.io.filesystems import ASIDE_PREFIX, AsideFile, Folder
from pfp.io.table_writer import GROUP_BYTES, ROWS_PER_GROUP, parquet_writer, row_sizes
from pfp.io.tables import open_parquet
from pfp.runtime.keys import PRIOR_ATTEMPTS, RESULT_KEY
from pfp.schema.record import Record

# What killed runs of every version have left is found by this name.
STAGED_NAME: Final = "_pending"
_FILE = re.compile(r"part-[0-9a-f]{64}\.parquet")


def staged_name(batch: pa.Table) -> str:
    """The name of the file that holds a batch's rows: the same batch has the same in every run.

    Earlier attempts count: rows that are tried again must not be taken for the rows that failed.
    """
    rows = [batch[RESULT_KEY].to_pylist(), batch[PRIOR_ATTEMPTS].to_pylist()]
    return f"part-{sha256_json(rows)}.parquet"


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """The staged files of one table, and the marks of one run."""

    folder: Folder
    run_id: str

    @classmethod
    def of(cls, table_folder: Folder, run_id: str) -> StagedFiles:
        """The staged files of the table in that folder; nothing is created."""
        return cls(table_folder.child(STAGED_NAME), run_id)

    @property
    def tries(self) -> Folder:
        """Where this run marks its attempts. Earlier runs' marks do not count against a row."""
        return self.folder.child(f"tries-{self.run_id}")

    def make(self) -> None:
        """Creates the folders and removes what a killed run has left besides whole files."""
        for name in self.folder.folder_names():
            self.folder.child(name).delete_all()
        for name in self.folder.names():
            if name.startswith(ASIDE_PREFIX):
                self.folder.delete(name)
        self.tries.make()

    def file_names(self) -> list[str]:
        """The names of the committed files, sorted."""
        return [name for name in self.folder.names() if _FILE.fullmatch(name)]

    def commit(self, rows: pa.Table, name: str) -> int:
        """Writes a file: durable and whole when this returns. Returns its size in bytes."""
        with AsideFile(self.folder) as aside:
            with parquet_writer(aside, rows.schema) as writer:
                for group in _groups(rows):
                    writer.write_table(group, row_group_size=max(group.num_rows, 1))
            aside.commit(name)
        return aside.size_bytes

    def read(self, name: str) -> pa.Table:
        """All rows of a file."""
        with open_parquet(self.folder, name) as parquet:
            return parquet.read()

    def merge(self, names: Sequence[str], record: type[Record]) -> None:
        """Puts many small files into one. After a crash in between some rows are there twice."""
        there = set(self.file_names())
        present = sorted(there.intersection(names))
        rows = pa.concat_tables([self.read(name) for name in present]).cast(record.SCHEMA)
        self.commit(rows.combine_chunks(), f"part-{sha256_json(present)}.parquet")
        for name in present:
            self.folder.delete(name)

    def clear(self) -> None:
        """Removes all files and marks, once their rows are in the final files."""
        # A worker that has outlived its killed driver may just be writing here; what it leaves is
        # known by its digest and removed by the next run.
        with contextlib.suppress(OSError):
            self.folder.delete_all()

    def num_tries(self, name: str) -> int:
        """How many attempts at a file have begun in this run and not ended."""
        number = 0
        while self.tries.has(f"{name}.{number}"):
            number += 1
        return number

    def begin_try(self, name: str, number: int) -> None:
        """Marks that an attempt begins."""
        self.tries.touch(f"{name}.{number}")

    def end_tries(self, name: str, number: int) -> None:
        """Removes the marks of a file that is committed."""
        for n in range(number):
            self.tries.delete(f"{name}.{n}")


def _groups(rows: pa.Table) -> list[pa.Table]:
    """The rows cut so that no group is larger than what a reader should hold at once."""
    total = int(row_sizes(rows).sum())
    count = max(1, -(-total // GROUP_BYTES), -(-rows.num_rows // ROWS_PER_GROUP))
    step = max(1, -(-rows.num_rows // count))
    return [rows.slice(start, step) for start in range(0, max(rows.num_rows, 1), step)]
