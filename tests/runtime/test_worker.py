"""The committing worker: marks of attempts, rows tried alone, and rows given up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pfp.errors import InputError, SchemaError
from pfp.io.filesystems import Folder
from pfp.runtime.keys import PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.staged import StagedFiles, staged_name
from pfp.runtime.worker import CommittingWorker
from pfp.schema import EvalSample, LatentRecord, StoryboardRecord
from tests.runtime.numbers_stage import begun, make_inputs, make_stage


class Died(BaseException):
    """Stands for a SIGKILL where the test itself has to survive."""


class Deadly:
    """Dies of rows that say so; ``made`` counts how often it was made."""

    made = 0

    def __init__(self, *, log: str, dies: bool = False) -> None:
        type(self).made += 1
        self._inner = make_stage(Path(log)).worker(log=log)
        if dies:
            raise Died

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One row per row, or death."""
        if "die" in batch["do"].to_pylist():
            raise Died
        return self._inner(batch)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where workers note the rows that they begin."""
    return tmp_path / "log.txt"


@pytest.fixture
def staged(tmp_path: Path) -> StagedFiles:
    """The staged files of an empty table."""
    staged = StagedFiles.of(Folder.at(tmp_path / "out"), "run-1")
    staged.make()
    return staged


def batch_of(num_rows: int, prior: int = 0, **do: list[int]) -> pa.Table:
    """A batch as engines hand it to the worker."""
    inputs = make_inputs(num_rows, **do)
    keys = pa.array([f"key-{number}" for number in range(num_rows)])
    attempts = pa.array([prior] * num_rows, pa.int32())
    return inputs.append_column(RESULT_KEY, keys).append_column(PRIOR_ATTEMPTS, attempts)


def compute(stage: Any, staged: StagedFiles, batch: pa.Table) -> pa.Table:
    """Hands the batch out until a worker survives it, as Ray does, and reads what it committed."""
    while True:
        try:
            receipt = CommittingWorker(stage, staged)(batch)
        except Died:
            continue
        return pa.concat_tables([staged.read(name) for name in receipt["file"].to_pylist()])


def test_a_committed_batch_is_not_computed_again(staged: StagedFiles, log: Path) -> None:
    """An engine that hands it out twice gets the receipt of the file that is there."""
    stage, batch = make_stage(log), batch_of(3)
    first = CommittingWorker(stage, staged)(batch)
    second = CommittingWorker(stage, staged)(batch)
    assert first["file"] == second["file"]
    assert 3 == len(begun(log))


def test_a_computed_batch_leaves_no_marks(staged: StagedFiles, log: Path) -> None:
    """Only attempts that ended badly are remembered."""
    CommittingWorker(make_stage(log), staged)(batch_of(3))
    assert [] == staged.tries.names()


def test_a_poison_row_is_found_and_its_batch_saved(staged: StagedFiles, log: Path) -> None:
    """After three deaths together and three alone, one row has failed and two are kept."""
    stage = make_stage(log, worker=Deadly)
    rows = compute(stage, staged, batch_of(3, die=[1])).to_pylist()
    assert ["kept", "failed", "kept"] == [row["verdict"]["kind"] for row in rows]
    verdict = rows[1]["verdict"]
    assert ("WorkerDied", 3, False) == tuple(
        verdict[name] for name in ("error", "attempts", "retryable")
    )
    assert ["key-0", "key-1", "key-2"] == [row["result_key"] for row in rows]


def test_deaths_of_another_run_do_not_count(staged: StagedFiles, log: Path, tmp_path: Path) -> None:
    """Whoever stops three runs at the same row has not proven anything against the row."""
    batch = batch_of(1)
    for number in range(3):
        staged.begin_try(staged_name(batch), number)
    later = StagedFiles.of(Folder.at(tmp_path / "out"), "run-2")
    later.make()
    assert not staged.tries.names()
    rows = compute(make_stage(log), later, batch)
    assert ["kept"] == [row["verdict"]["kind"] for row in rows.to_pylist()]


def test_earlier_attempts_are_counted_on(staged: StagedFiles, log: Path) -> None:
    """A row that failed twice before and fails again has been tried three times."""
    rows = compute(make_stage(log), staged, batch_of(2, prior=2, flaky=[1])).to_pylist()
    assert [None, 3] == [row["verdict"]["attempts"] for row in rows]


def test_a_worker_that_dies_while_it_is_made_ends_the_stage(staged: StagedFiles, log: Path) -> None:
    """No row is to blame, so no row fails."""
    Deadly.made = 0
    stage = make_stage(log, worker=Deadly, worker_args={"dies": True})
    with pytest.raises(InputError, match="died 3 times while its worker was made"):
        compute(stage, staged, batch_of(2))
    assert 3 == Deadly.made
    assert [] == staged.file_names()


def test_a_row_given_up_takes_what_the_input_has(staged: StagedFiles, log: Path) -> None:
    """Without ``on_error``: the input's columns of the same names, nulls, and empty lists."""
    stage = make_stage(log, worker=Deadly, record=LatentRecord, on_error=None)
    (row,) = compute(stage, staged, batch_of(1, die=[0])).to_pylist()
    assert "clip-00000" == row["clip_id"]
    assert ([], None) == (row["hr_shape"], row["hr"])
    assert "WorkerDied" == LatentRecord.from_row(row).verdict.error  # type: ignore[union-attr]


def test_a_row_that_cannot_be_made_up_asks_for_on_error(staged: StagedFiles, log: Path) -> None:
    """Numbers and names that must not be null are not invented."""
    stage = make_stage(log, worker=Deadly, record=EvalSample, on_error=None)
    with pytest.raises(SchemaError, match=r"without \['sample_id', .*'seed'.*\]; give .* on_error"):
        compute(stage, staged, batch_of(1, die=[0]))


class Wrong:
    """Returns another record than the stage's."""

    def __init__(self, *, log: str) -> None:
        self._log = log

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Rows with a column too many."""
        table = StoryboardRecord.table([])
        return table.append_column("x", pa.array([], pa.int64())).slice(0, batch.num_rows)


def test_a_table_of_another_shape_is_refused_before_it_is_committed(
    staged: StagedFiles, log: Path
) -> None:
    """Nothing lies in the files that a reader could not take."""
    with pytest.raises(SchemaError, match=r"unknown columns \['x'\]"):
        CommittingWorker(make_stage(log, worker=Wrong), staged)(batch_of(0))
    assert [] == staged.file_names()
