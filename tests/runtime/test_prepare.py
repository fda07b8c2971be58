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
from pfp.runtime.keys import PREPARE_FAILURE, PRIOR_ATTEMPTS, RESULT_KEY
from pfp.runtime.pending import Pending
from pfp.runtime.preparing import PreparingWorker
from pfp.runtime.worker import CommittingWorker
from pfp.schema import Failed, LatentRecord, StoryboardRecord
from tests.runtime.numbers_stage import (
    PAYLOAD,
    PrepareNumbers,
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
def pending(tmp_path: Path) -> Pending:
    """The pending parts of an empty table."""
    pending = Pending.of(Folder.at(tmp_path / "pending"), "run-1")
    pending.make()
    return pending


def verdict_of(out: Path, clip_id: str) -> Any:
    """The verdict of one row of the table."""
    records = tables.read_records(out, StoryboardRecord)
    return next(record.verdict for record in records if record.clip_id == clip_id)


def test_two_steps_make_the_table_of_one(out: Path, log: Path, tmp_path: Path) -> None:
    """What is prepared leaves no trace but what the worker makes of it."""
    inputs = make_inputs(9, drop=[2], fail=[3], flaky=[4])
    report = run(make_two_step_stage(log), inputs, out)
    run(make_stage(tmp_path / "other.txt"), inputs, tmp_path / "one")
    assert contents(tmp_path / "one") == contents(out)
    assert (9, 6, 1, 2) == (report.rows_in, report.kept, report.dropped, report.failed)
    assert begun(first_log(log)) == begun(log)


def test_a_row_that_cannot_be_prepared_fails_and_no_worker_sees_it(out: Path, log: Path) -> None:
    """Its error becomes the verdict, retryable or not as everywhere."""
    inputs = make_inputs(4, first_fail=[1], first_flaky=[2])
    report = run(make_two_step_stage(log), inputs, out)
    assert (4, 2, 2) == (report.rows_in, report.kept, report.failed)
    assert ["clip-00000", "clip-00003"] == begun(log)
    message = "row clip-00001 cannot be prepared"
    assert Failed(error="ValueError", message=message) == verdict_of(out, "clip-00001")
    busy = Failed(error="RetryableError", message="the disk is busy", retryable=True)
    assert busy == verdict_of(out, "clip-00002")


def test_only_failures_worth_it_are_prepared_again(out: Path, log: Path) -> None:
    """The next run counts on where the last one stopped."""
    inputs = make_inputs(4, first_fail=[1], first_flaky=[2])
    run(make_two_step_stage(log), inputs, out)
    run(make_two_step_stage(log), inputs, out)
    assert 2 == begun(first_log(log)).count("clip-00002")
    assert 5 == len(begun(first_log(log)))
    assert 2 == verdict_of(out, "clip-00002").attempts


def test_a_first_step_that_cannot_be_made_ends_the_stage(out: Path, log: Path) -> None:
    """Its own sentence comes out, and no row fails."""
    stage = make_two_step_stage(log, prepare_args={"broken": "no such decoder"})
    with pytest.raises(ConfigError, match=r"^no such decoder$"):
        run(stage, make_inputs(3), out)


def test_several_rows_at_once_cannot_be_handed_over(log: Path) -> None:
    """The batch size that would do it is refused with the stage."""
    with pytest.raises(ConfigError, match="batch_size is 4, but prepared rows are handed over one"):
        make_two_step_stage(log, batch_size=4)


class Forgetful:
    """Does something else than it should."""

    def __init__(self, *, how: str) -> None:
        self._how = how

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The row changed, gone, or as it was."""
        prepared = batch.append_column(PAYLOAD.field(0), pa.array([b""], pa.large_binary()))
        match self._how:
            case "adds nothing":
                return batch
            case "loses the row":
                return prepared.slice(1)
            case "changes a type":
                return prepared.set_column(1, "n", pa.array([1.0]))
        return prepared.set_column(
            prepared.schema.get_field_index(RESULT_KEY), RESULT_KEY, pa.array(["another"])
        )


@pytest.mark.parametrize(
    "how", ["adds nothing", "loses the row", "changes a type", "returns another row"]
)
def test_a_first_step_that_does_not_keep_to_its_columns_ends_the_stage(
    out: Path, log: Path, how: str
) -> None:
    """It is no row's fault, so no row fails."""
    prepare = runtime.Prepare(worker=Forgetful, worker_args={"how": how}, columns=PAYLOAD)
    with pytest.raises(InvariantError, match=r"shall keep its columns and get \['payload'\]"):
        run(make_two_step_stage(log, prepare=prepare), make_inputs(1), out)


class DeadlyPrepare(PrepareNumbers):
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
    prepare = runtime.Prepare(worker=DeadlyPrepare, worker_args=args, columns=PAYLOAD)
    return make_two_step_stage(log, prepare=prepare, **changes)


def prepare(stage: runtime.Stage, pending: Pending, *rows: pa.Table) -> list[pa.Table]:
    """Hands the rows out, all of them again after a death, as Ray does with a block."""
    assert stage.prepare is not None
    while True:
        worker = PreparingWorker(stage, stage.prepare, pending)
        try:
            return [worker(row) for row in rows]
        except Died:
            continue


def test_a_row_that_kills_the_first_step_each_time_is_given_up(pending: Pending, log: Path) -> None:
    """After three deaths it goes on as failed and is committed as such."""
    stage = deadly(log)
    (row,) = prepare(stage, pending, batch_of(1, first_die=[0]))
    receipt = CommittingWorker(stage, pending)(row)
    verdict = pending.read(receipt["part"][0].as_py())["verdict"][0].as_py()
    expected = (
        "WorkerDied",
        3,
        "the worker process died 3 times on this row while it was prepared",
    )
    assert expected == tuple(verdict[name] for name in ("error", "attempts", "message"))


def test_deaths_count_against_the_row_that_was_at_work(pending: Pending, log: Path) -> None:
    """Rows before and after it in its block are prepared, however often they are handed out."""
    batch = batch_of(4, first_die=[2])
    rows = prepare(deadly(log), pending, *(batch.slice(number, 1) for number in range(4)))
    errors = [(row[PREPARE_FAILURE][0].as_py() or {}).get("error") for row in rows]
    assert [None, None, "WorkerDied", None] == errors


def test_a_death_while_a_row_is_handed_over_counts(pending: Pending, log: Path) -> None:
    """Copying a large row may be what kills the process; it must not go on for ever."""
    stage = make_two_step_stage(log)
    assert stage.prepare is not None
    row = batch_of(1)
    failures = []
    for _ in range(4):  # each time a new process prepares the row and never asks for another
        handed_over = PreparingWorker(stage, stage.prepare, pending)(row)
        failures.append(handed_over[PREPARE_FAILURE][0].as_py())
    assert [True, True, True, False] == [failure is None for failure in failures]
    assert "WorkerDied" == failures[-1]["error"]


def test_a_row_that_was_handed_over_leaves_no_mark(pending: Pending, log: Path) -> None:
    """Who asks for the next row has the last one."""
    batch = batch_of(2)
    prepare(make_two_step_stage(log), pending, batch.slice(0, 1), batch.slice(1, 1))
    assert 1 == len(pending.tries.names())


def test_a_committed_row_is_not_prepared_again(pending: Pending, log: Path) -> None:
    """An engine that hands it out again gets nulls, and the receipt of the part that is there."""
    stage, row = make_two_step_stage(log), batch_of(1)
    first = CommittingWorker(stage, pending)(prepare(stage, pending, row)[0])
    (again,) = prepare(stage, pending, row)
    assert [None] == again["payload"].to_pylist()
    assert first["part"] == CommittingWorker(stage, pending)(again)["part"]
    assert 1 == len(begun(first_log(log)))


def test_a_first_step_that_dies_while_it_is_made_ends_the_stage(
    pending: Pending, log: Path
) -> None:
    """No row is to blame, so no row fails."""
    DeadlyPrepare.made = 0
    with pytest.raises(InputError, match="died 3 times while its worker was made"):
        prepare(deadly(log, worker_args={"dies": True}), pending, batch_of(1))
    assert 3 == DeadlyPrepare.made


def test_a_row_given_up_takes_what_the_input_has(pending: Pending, log: Path) -> None:
    """Without ``on_error`` too, and without what was prepared."""
    stage = deadly(log, record=LatentRecord, on_error=None)
    (row,) = prepare(stage, pending, batch_of(1, prior=2, first_die=[0]))
    assert PRIOR_ATTEMPTS in row.column_names
    receipt = CommittingWorker(stage, pending)(row)
    (row,) = pending.read(receipt["part"][0].as_py()).to_pylist()
    assert ("clip-00000", None, 5) == (row["clip_id"], row["hr"], row["verdict"]["attempts"])
