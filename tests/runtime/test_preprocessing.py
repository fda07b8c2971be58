"""Stages of two steps in this process: who gets which rows, and whose deaths count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pfp import runtime
from pfp.errors import ConfigError, InputError, InvariantError
from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.runtime.keys import PREPROCESS_FAILURE, PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.preprocessing import PreprocessingWorker
from pfp.runtime.staged import StagedFiles
from pfp.runtime.worker import CommittingWorker
from pfp.schema import Failed, LatentRecord, StoryboardRecord
from tests.runtime.numbers_stage import (
    PAYLOAD,
    PreprocessNumbers,
    begun,
    first_log,
    make_inputs,
    make_stage,
    make_two_step_stage,
)
from tests.runtime.test_run import contents, run
from tests.runtime.test_worker import Died, batch_of


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where workers note the rows that they begin."""
    return tmp_path / "log.txt"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The table's directory."""
    return tmp_path / "storyboards"


@pytest.fixture
def staged(tmp_path: Path) -> StagedFiles:
    """The staged files of an empty table."""
    staged = StagedFiles.of(Folder.at(tmp_path / "staged"), "run-1")
    staged.make()
    return staged


def verdict_of(out: Path, clip_id: str) -> Any:
    """The verdict of one row of the table."""
    records = tables.read_records(out, StoryboardRecord)
    return next(record.verdict for record in records if record.clip_id == clip_id)


def test_two_steps_make_the_table_of_one(out: Path, log: Path, tmp_path: Path) -> None:
    """What is preprocessed leaves no trace but what the worker makes of it."""
    inputs = make_inputs(9, drop=[2], fail=[3], flaky=[4])
    report = run(make_two_step_stage(log), inputs, out)
    run(make_stage(tmp_path / "other.txt"), inputs, tmp_path / "one")
    assert contents(tmp_path / "one") == contents(out)
    assert (9, 6, 1, 2) == (report.rows_in, report.kept, report.dropped, report.failed)
    assert begun(first_log(log)) == begun(log)


def test_a_row_that_cannot_be_preprocessed_fails_and_no_worker_sees_it(
    out: Path, log: Path
) -> None:
    """Its error becomes the verdict, retryable or not as everywhere."""
    inputs = make_inputs(4, first_fail=[1], first_flaky=[2])
    report = run(make_two_step_stage(log), inputs, out)
    assert (4, 2, 2) == (report.rows_in, report.kept, report.failed)
    assert ["clip-00000", "clip-00003"] == begun(log)
    message = "row clip-00001 cannot be preprocessed"
    assert Failed(error="ValueError", message=message) == verdict_of(out, "clip-00001")
    busy = Failed(error="RetryableError", message="the disk is busy", retryable=True)
    assert busy == verdict_of(out, "clip-00002")


def test_only_failures_worth_it_are_preprocessed_again(out: Path, log: Path) -> None:
    """The next run counts on where the last one stopped."""
    inputs = make_inputs(4, first_fail=[1], first_flaky=[2])
    run(make_two_step_stage(log), inputs, out)
    run(make_two_step_stage(log), inputs, out)
    assert 2 == begun(first_log(log)).count("clip-00002")
    assert 5 == len(begun(first_log(log)))
    assert 2 == verdict_of(out, "clip-00002").attempts


def test_a_first_step_that_cannot_be_made_ends_the_stage(out: Path, log: Path) -> None:
    """Its own sentence comes out, and no row fails."""
    stage = make_two_step_stage(log, preprocess_args={"broken": "no such decoder"})
    with pytest.raises(ConfigError, match=r"^no such decoder$"):
        run(stage, make_inputs(3), out)


def test_several_rows_at_once_cannot_be_handed_over(log: Path) -> None:
    """The batch size that would do it is refused with the stage."""
    with pytest.raises(
        ConfigError, match="batch_size is 4, but preprocessed rows are handed over one"
    ):
        make_two_step_stage(log, batch_size=4)


class Forgetful:
    """Does something else than it should."""

    def __init__(self, *, how: str) -> None:
        self._how = how

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The row changed, gone, or as it was."""
        preprocessed = batch.append_column(PAYLOAD.field(0), pa.array([b""], pa.large_binary()))
        match self._how:
            case "adds nothing":
                return batch
            case "loses the row":
                return preprocessed.slice(1)
            case "changes a type":
                return preprocessed.set_column(1, "n", pa.array([1.0]))
        return preprocessed.set_column(
            preprocessed.schema.get_field_index(RESULT_KEY), RESULT_KEY, pa.array(["another"])
        )


@pytest.mark.parametrize(
    "how", ["adds nothing", "loses the row", "changes a type", "returns another row"]
)
def test_a_first_step_that_does_not_keep_to_its_columns_ends_the_stage(
    out: Path, log: Path, how: str
) -> None:
    """It is no row's fault, so no row fails."""
    preprocess = runtime.Preprocess(worker=Forgetful, worker_args={"how": how}, columns=PAYLOAD)
    with pytest.raises(InvariantError, match=r"shall keep its columns and get \['payload'\]"):
        run(make_two_step_stage(log, preprocess=preprocess), make_inputs(1), out)


class DeadlyPreprocess(PreprocessNumbers):
    """Dies where the test itself has to survive."""

    made = 0

    def __init__(self, *, log: str, dies: bool = False) -> None:
        type(self).made += 1
        super().__init__(log=log)
        if dies:
            raise Died

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The row with its payload, or death."""
        if "first_die" in batch["do"].to_pylist():
            raise Died
        return super().__call__(batch)


def deadly(log: Path, **changes: Any) -> runtime.Stage:
    """A stage whose first step dies."""
    args = {"log": str(first_log(log)), **changes.pop("worker_args", {})}
    preprocess = runtime.Preprocess(worker=DeadlyPreprocess, worker_args=args, columns=PAYLOAD)
    return make_two_step_stage(log, preprocess=preprocess, **changes)


def preprocess(stage: runtime.Stage, staged: StagedFiles, *rows: pa.Table) -> list[pa.Table]:
    """Hands the rows out, all of them again after a death, as Ray does with a block."""
    assert stage.preprocess is not None
    while True:
        worker = PreprocessingWorker(stage, stage.preprocess, staged)
        try:
            return [worker(row) for row in rows]
        except Died:
            continue


def test_a_row_that_kills_the_first_step_each_time_is_given_up(
    staged: StagedFiles, log: Path
) -> None:
    """After three deaths it goes on as failed and is committed as such."""
    stage = deadly(log)
    (row,) = preprocess(stage, staged, batch_of(1, first_die=[0]))
    receipt = CommittingWorker(stage, staged)(row)
    verdict = staged.read(receipt["file"][0].as_py())["verdict"][0].as_py()
    expected = (
        "WorkerDied",
        3,
        "the worker process died 3 times on this row while it was preprocessed",
    )
    assert expected == tuple(verdict[name] for name in ("error", "attempts", "message"))


def test_deaths_count_against_the_row_that_was_at_work(staged: StagedFiles, log: Path) -> None:
    """Rows before and after it in its block are preprocessed, however often they are handed out."""
    batch = batch_of(4, first_die=[2])
    rows = preprocess(deadly(log), staged, *(batch.slice(number, 1) for number in range(4)))
    errors = [(row[PREPROCESS_FAILURE][0].as_py() or {}).get("error") for row in rows]
    assert [None, None, "WorkerDied", None] == errors


def test_a_death_while_a_row_is_handed_over_counts(staged: StagedFiles, log: Path) -> None:
    """Copying a large row may be what kills the process; it must not go on for ever."""
    stage = make_two_step_stage(log)
    assert stage.preprocess is not None
    row = batch_of(1)
    failures = []
    for _ in range(4):  # each time a new process preprocesses the row and never asks for another
        handed_over = PreprocessingWorker(stage, stage.preprocess, staged)(row)
        failures.append(handed_over[PREPROCESS_FAILURE][0].as_py())
    assert [True, True, True, False] == [failure is None for failure in failures]
    assert "WorkerDied" == failures[-1]["error"]


def test_a_row_that_was_handed_over_leaves_no_mark(staged: StagedFiles, log: Path) -> None:
    """Who asks for the next row has the last one."""
    batch = batch_of(2)
    preprocess(make_two_step_stage(log), staged, batch.slice(0, 1), batch.slice(1, 1))
    assert 1 == len(staged.tries.names())


def test_a_committed_row_is_not_preprocessed_again(staged: StagedFiles, log: Path) -> None:
    """An engine that hands it out again gets nulls, and the receipt of the file that is there."""
    stage, row = make_two_step_stage(log), batch_of(1)
    first = CommittingWorker(stage, staged)(preprocess(stage, staged, row)[0])
    (again,) = preprocess(stage, staged, row)
    assert [None] == again["payload"].to_pylist()
    assert first["file"] == CommittingWorker(stage, staged)(again)["file"]
    assert 1 == len(begun(first_log(log)))


def test_a_first_step_that_dies_while_it_is_made_ends_the_stage(
    staged: StagedFiles, log: Path
) -> None:
    """No row is to blame, so no row fails."""
    DeadlyPreprocess.made = 0
    with pytest.raises(InputError, match="died 3 times while its worker was made"):
        preprocess(deadly(log, worker_args={"dies": True}), staged, batch_of(1))
    assert 3 == DeadlyPreprocess.made


def test_a_row_given_up_takes_what_the_input_has(staged: StagedFiles, log: Path) -> None:
    """Without ``on_error`` too, and without what was preprocessed."""
    stage = deadly(log, record=LatentRecord, on_error=None)
    (row,) = preprocess(stage, staged, batch_of(1, prior=2, first_die=[0]))
    assert PRIOR_ATTEMPTS in row.column_names
    receipt = CommittingWorker(stage, staged)(row)
    (row,) = staged.read(receipt["file"][0].as_py()).to_pylist()
    assert ("clip-00000", None, 5) == (row["clip_id"], row["hr"], row["verdict"]["attempts"])
