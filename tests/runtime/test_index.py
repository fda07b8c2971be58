"""Which committed row counts, what has to be tried again, and which files can stay."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.io.manifest import read_manifest
from pfp.io.table_writer import DataFile
from pfp.runtime import compact as module
from pfp.runtime.compact import compact, windows
from pfp.runtime.index import choose, prior_attempts, scan
from pfp.runtime.keys import PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.staged import StagedFiles, staged_name
from pfp.schema import KEPT, ConditionRecord, Dropped, Failed, StoryboardRecord, Verdict
from tests.runtime.test_run import contents


def rows(*keys_and_verdicts: tuple[str, Verdict], note: str = "") -> pa.Table:
    """One row per result key, whose clip id is the key in capitals."""
    return StoryboardRecord.table(
        [
            StoryboardRecord(
                clip_id=key.upper(),
                backend="offline",
                raw_answer=note,
                verdict=verdict,
                result_key=key,
            )
            for key, verdict in keys_and_verdicts
        ]
    )


def commit(folder: Path, table: pa.Table, name: str) -> None:
    """Puts rows into a staged file; such files are read in the order of their names."""
    staged = StagedFiles.of(Folder.at(folder), "run")
    staged.make()
    staged.commit(table, f"part-{name * 64}.parquet")


def chosen_notes(folder: Path, *wanted: str) -> dict[str, str]:
    """The note of the row that counts, for each wanted key."""
    place = Folder.at(folder)
    index = scan(place, StoryboardRecord, StagedFiles.of(place, "run"))
    chosen = choose(index, pa.array(wanted))
    compact(place, StoryboardRecord, index, chosen)
    read = tables.read_table(folder, StoryboardRecord)
    return dict(zip(read[RESULT_KEY].to_pylist(), read["raw_answer"].to_pylist(), strict=True))


def failed(attempts: int, *, retryable: bool = True) -> Failed:
    """A failure that was tried so often."""
    return Failed(error="E", message="m", attempts=attempts, retryable=retryable)


DROPPED = Dropped(reason="r", detail="d")


@pytest.mark.parametrize(
    ("first", "second", "better"),
    [
        (failed(3), KEPT, "second"),
        (DROPPED, failed(9), "first"),
        (failed(1), failed(2), "second"),
        (failed(2), failed(1), "first"),
        (KEPT, KEPT, "first"),
    ],
)
def test_the_best_of_several_rows_counts(
    tmp_path: Path, first: Verdict, second: Verdict, better: str
) -> None:
    """Judged before failed, more attempts before fewer, earlier files before later ones."""
    commit(tmp_path, rows(("a", first), note="first"), "1")
    commit(tmp_path, rows(("a", second), note="second"), "2")
    assert {"a": better} == chosen_notes(tmp_path, "a")


def test_a_final_row_goes_before_an_equal_staged_one(tmp_path: Path) -> None:
    """So that a finished table is not written again for nothing."""
    tables.write_table(tmp_path, rows(("a", KEPT), note="final"), StoryboardRecord)
    commit(tmp_path, rows(("a", KEPT), note="staged"), "1")
    assert {"a": "final"} == chosen_notes(tmp_path, "a")


def test_only_wanted_rows_are_chosen(tmp_path: Path) -> None:
    """Rows of inputs that are gone, and keys that nobody has computed, are left out."""
    commit(tmp_path, rows(("a", KEPT), ("b", KEPT), ("c", KEPT)), "1")
    assert ["a", "c"] == list(chosen_notes(tmp_path, "c", "x", "a"))


def test_rows_to_try_again_are_told_from_those_that_are_done(tmp_path: Path) -> None:
    """New rows and retryable failures below the limit are tried; all others are not."""
    verdicts: dict[str, Verdict] = {
        "kept": KEPT,
        "dropped": DROPPED,
        "once": failed(1),
        "twice": failed(2),
        "thrice": failed(3),
        "permanent": failed(1, retryable=False),
    }
    commit(tmp_path, rows(*verdicts.items()), "1")
    place = Folder.at(tmp_path)
    wanted = pa.array(["new", *verdicts])
    chosen = choose(scan(place, StoryboardRecord, StagedFiles.of(place, "run")), wanted)
    prior = prior_attempts(chosen, wanted, max_attempts=3)
    assert [0, None, None, 1, 2, None, None] == prior.to_pylist()


def test_a_staged_file_is_named_by_its_rows_and_their_attempts() -> None:
    """The same batch has the same file; tried again, it is another."""
    batch = pa.table({RESULT_KEY: ["a", "b"], PRIOR_ATTEMPTS: [0, 0]})
    again = batch.set_column(1, PRIOR_ATTEMPTS, pa.array([0, 1]))
    names = {staged_name(batch), staged_name(again), staged_name(batch.slice(0, 1))}
    assert staged_name(batch) == staged_name(batch.slice(0))
    assert 3 == len(names)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 9), st.integers(1, 80))
def test_windows_cover_all_rows_within_their_limits(
    sizes: list[int], rows_per_group: int, group_bytes: int
) -> None:
    """Spans follow one another, are never empty, and hold more than the limit only if alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_GROUP", rows_per_group)
        patch.setattr(module, "GROUP_BYTES", group_bytes)
        spans = list(windows(np.array(sizes, np.int64)))
    assert list(range(len(sizes))) == [row for span in spans for row in range(*span)]
    for start, end in spans:
        assert 1 <= end - start <= rows_per_group
        assert sum(sizes[start:end]) <= group_bytes or end - start == 1


# For each number: the files that hold its row (the old table, three staged files), and whether an
# input still asks for it.
PLACES = st.lists(
    st.tuples(st.sets(st.sampled_from("o123"), max_size=2), st.sampled_from([True, True, False])),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(places=PLACES, per_file=st.integers(1, 7))
def test_compaction_gives_the_table_that_would_be_written_at_once(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[set[str], bool]], per_file: int
) -> None:
    """Whatever lies in the old table and in staged files, in whatever order, bytes are the same."""
    folder, fresh = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("fresh")
    held = {
        name: [number for number, (names, _) in enumerate(places) if name in names]
        for name in "o123"
    }
    wanted = [number for number, (_, asked) in enumerate(places) if asked]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_FILE", per_file)
        patch.setattr(module, "ROWS_PER_GROUP", 5)
        patch.setattr("os.fsync", lambda _: None)  # sixty tables, and no power cut to survive
        tables.write_table(folder, numbered(held["o"]), StoryboardRecord, rows_per_file=per_file)
        for name in "123":
            # A staged file's rows are in the order of its batch, which need not be that of the key.
            commit(folder, numbered(held[name][::-1]), name)
        place = Folder.at(folder)
        index = scan(place, StoryboardRecord, StagedFiles.of(place, "run"))
        keys = pa.array([f"k{number:03d}" for number in wanted], pa.string())
        compact(place, StoryboardRecord, index, choose(index, keys))
    StagedFiles.of(place, "run").clear()
    there = [number for number in wanted if places[number][0]]
    tables.write_table(fresh, numbered(there), StoryboardRecord, rows_per_file=per_file)
    assert contents(fresh) == contents(folder)
    assert [] == tables.verify_table(folder, StoryboardRecord)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.none() | st.integers(1, 400), min_size=1, max_size=40),
    parts=st.lists(st.integers(0, 3), min_size=40, max_size=40),
    per_file=st.integers(1, 9),
    file_bytes=st.integers(1, 2500),
    order=st.randoms(use_true_random=False),
)
def test_files_of_tensors_can_be_written_each_for_itself(  # noqa: PLR0917
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int | None],
    parts: list[int],
    per_file: int,
    file_bytes: int,
    order: random.Random,
) -> None:
    """Cuts are known before anything is written, so files may be written in any order."""
    folder, fresh = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("fresh")

    def run_in_any_order(jobs: Sequence[module.WriteFile]) -> list[DataFile]:
        shuffled = list(jobs)
        order.shuffle(shuffled)
        files = {job.number: pickle.loads(pickle.dumps(job))() for job in shuffled}
        return [files[job.number] for job in jobs]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_FILE", per_file)
        patch.setattr("pfp.io.table_writer.FILE_BYTES", file_bytes)
        patch.setattr("pfp.io.table_writer.BLOB_GROUP_BYTES", 300)
        patch.setattr("os.fsync", lambda _: None)
        for part in range(4):
            mine = [n for n in range(len(sizes)) if parts[n] == part]
            commit(folder, tensors(mine, sizes), f"{part:x}")
        place = Folder.at(folder)
        index = scan(place, ConditionRecord, StagedFiles.of(place, "run"))
        chosen = choose(index, index.rows[RESULT_KEY].combine_chunks())
        compact(place, ConditionRecord, index, chosen, run_all=run_in_any_order)
        StagedFiles.of(place, "run").clear()
        whole = tensors(list(range(len(sizes))), sizes)
        tables.write_table(fresh, whole, ConditionRecord, rows_per_file=per_file)
    assert contents(fresh) == contents(folder)
    assert [] == tables.verify_table(folder, ConditionRecord)


def tensors(numbers: list[int], sizes: list[int | None]) -> pa.Table:
    """Rows with embeddings of so many values, or none."""
    return ConditionRecord.table(
        [
            ConditionRecord(
                prompt_sha256=f"k{number:03d}",
                prompt="p" * (number % 7),
                encoder_id="",
                encoder_sha256="",
                embedding=None if size is None else bytes([number]) * 2 * size,
                embedding_shape=[] if size is None else [1, size],
                verdict=KEPT,
                result_key=f"r{number:03d}",
            )
            for number in numbers
            for size in [sizes[number]]
        ]
    )


def numbered(numbers: list[int]) -> pa.Table:
    """Rows of these numbers."""
    return rows(*((f"k{number:03d}", KEPT) for number in numbers))


def test_files_before_the_first_change_are_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change in the last of four files leaves the first three as they are."""
    monkeypatch.setattr(module, "ROWS_PER_FILE", 5)
    tables.write_table(tmp_path, numbered(list(range(20))), StoryboardRecord, rows_per_file=5)
    before = times(tmp_path)
    commit(tmp_path, numbered([25]), "1")
    place = Folder.at(tmp_path)
    wanted = [f"k{number:03d}" for number in [*range(17), 25]]
    index = scan(place, StoryboardRecord, StagedFiles.of(place, "run"))
    compact(place, StoryboardRecord, index, choose(index, pa.array(wanted)))
    after = times(tmp_path)
    same = sorted(name for name in before if after.get(name) == before[name])
    assert ["part-00000", "part-00001", "part-00002"] == [name[:10] for name in same]
    assert 18 == read_manifest(place, StoryboardRecord).num_rows


@pytest.mark.parametrize(
    ("damaged", "left", "num_same"),
    [
        (0, range(5, 15), 0),
        (1, [*range(5), *range(10, 15)], 1),
        (2, range(10), 2),
        (None, range(8), 1),
    ],
)
def test_files_whose_rows_left_the_inputs_are_not_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damaged: int | None,
    left: Sequence[int],
    num_same: int,
) -> None:
    """First, middle or last of three, damaged meanwhile or not; those before it stay."""
    monkeypatch.setattr(module, "ROWS_PER_FILE", 5)
    tables.write_table(tmp_path, numbered(list(range(15))), StoryboardRecord, rows_per_file=5)
    before = times(tmp_path)
    if damaged is not None:
        sorted(tmp_path.glob("part-*"))[damaged].write_bytes(b"PAR1 nonsense")
    place = Folder.at(tmp_path)
    wanted = pa.array([f"k{number:03d}" for number in left])
    index = scan(place, StoryboardRecord, StagedFiles.of(place, "run"))
    compact(place, StoryboardRecord, index, choose(index, wanted))

    assert [] == tables.verify_table(tmp_path, StoryboardRecord)
    assert numbered(list(left)) == tables.read_table(tmp_path, StoryboardRecord)
    same = sorted(name for name, when in times(tmp_path).items() if before.get(name) == when)
    assert sorted(before)[:num_same] == same


def times(folder: Path) -> dict[str, int]:
    """When each data file was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}


def test_compaction_holds_little_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 64 KiB from many files pass through in pieces, not all at once."""
    monkeypatch.setattr(module, "GROUP_BYTES", 1 << 18)
    monkeypatch.setattr(module, "CACHE_BYTES", 1 << 18)
    monkeypatch.setattr("pfp.io.table_writer.GROUP_BYTES", 1 << 18)
    random = np.random.default_rng(1)
    for part in range(16):
        records = [
            StoryboardRecord(
                clip_id=f"{number * 16 + part:04d}",
                backend="offline",
                raw_answer=random.bytes(1 << 15).hex(),
                verdict=KEPT,
                result_key=f"{number * 16 + part:04d}",
            )
            for number in range(20)
        ]
        commit(tmp_path, StoryboardRecord.table(records), f"{part:x}")
    place = Folder.at(tmp_path)
    index = scan(place, StoryboardRecord, StagedFiles.of(place, "run"))
    chosen = choose(index, index.rows[RESULT_KEY].combine_chunks())
    before = pa.total_allocated_bytes()
    peak = PeakOfArrow(monkeypatch)
    compact(place, StoryboardRecord, index, chosen)
    assert 320 == read_manifest(place, StoryboardRecord).num_rows
    assert peak.num_bytes - before < 320 * (1 << 16) / 4


class PeakOfArrow:
    """The most memory that Arrow holds whenever rows are handed to the writer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_bytes = 0
        append = module.TableWriter.append

        def watched(writer: Any, table: pa.Table) -> None:
            self.num_bytes = max(self.num_bytes, pa.total_allocated_bytes())
            append(writer, table)

        monkeypatch.setattr(module.TableWriter, "append", watched)
