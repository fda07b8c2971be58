"""run_stage in this process: what is reused, what is computed again, and that rows add up."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pfp import runtime
from pfp.errors import ConfigError, InputError, InvariantError
from pfp.io import tables
from pfp.schema import KEPT, ConditionRecord, Failed, StoryboardRecord
from tests.runtime.numbers_stage import NumbersWorker, begun, make_inputs, make_stage


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where workers note the rows that they begin."""
    return tmp_path / "log.txt"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The table's directory."""
    return tmp_path / "storyboards"


def run(
    stage: runtime.Stage, inputs: pa.Table, out: Path, log: Path | None = None
) -> runtime.StageReport:
    """One run in this process, with an empty log."""
    if log is not None:
        log.unlink(missing_ok=True)
    return runtime.run_stage(stage, inputs, out, engine="local")


def contents(directory: Path) -> dict[str, bytes]:
    """Every file under a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_kept_dropped_and_failed_rows_are_three_numbers_that_add_up(out: Path, log: Path) -> None:
    """Each row's verdict is counted under its own name and reason."""
    report = run(make_stage(log), make_inputs(10, drop=[1, 2], fail=[3], flaky=[4]), out)
    assert (10, 6, 2, 2) == (report.rows_in, report.kept, report.dropped, report.failed)
    assert {"RetryableError": 1, "ValueError": 1, "odd_one_out": 2} == dict(report.reasons)
    assert (0, 10) == (report.reused, report.computed)


def test_the_table_holds_one_row_per_input_in_key_order(out: Path, log: Path) -> None:
    """Rows come out sorted by key with the worker's values, whatever the order of the inputs."""
    inputs = make_inputs(11)
    run(make_stage(log), inputs.take(pa.array([5, 0, 10, 3, 1, 2, 4, 9, 8, 7, 6])), out)
    table = tables.read_table(out, StoryboardRecord)
    assert inputs["clip_id"].to_pylist() == table["clip_id"].to_pylist()
    assert [n * n for n in range(11)] == table["tokens_in"].to_pylist()
    assert sorted(begun(log)) == begun(log)
    assert 11 == len(set(table["result_key"].to_pylist()))


def test_plain_pyarrow_reads_the_same_table(out: Path, log: Path) -> None:
    """No manifest, lock or staged file disturbs a reader that knows nothing of them."""
    run(make_stage(log), make_inputs(7), out)
    expected = tables.read_table(out, StoryboardRecord)["clip_id"].to_pylist()
    assert expected == pq.read_table(out)["clip_id"].to_pylist()


def test_no_inputs_make_an_empty_table(out: Path, log: Path) -> None:
    """A stage without rows ends well and leaves a table that can be read."""
    report = run(make_stage(log), make_inputs(0), out)
    assert 0 == report.rows_in
    assert 0 == tables.read_table(out, StoryboardRecord).num_rows


def test_a_second_run_computes_and_writes_nothing(out: Path, log: Path) -> None:
    """When nothing changed, no row is computed and no file is touched."""
    run(make_stage(log), make_inputs(9), out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    report = run(make_stage(log), make_inputs(9), out, log)
    assert (9, 0) == (report.reused, report.computed)
    assert [] == begun(log)
    assert before == {path.name: path.stat().st_mtime_ns for path in out.iterdir()}


def test_another_fingerprint_computes_every_row_again(out: Path, log: Path) -> None:
    """Parameters, prompt, model and weights are part of every result's key."""
    run(make_stage(log), make_inputs(9), out)
    report = run(make_stage(log, fingerprint="square@2"), make_inputs(9), out, log)
    assert (0, 9) == (report.reused, report.computed)
    assert 9 == len(begun(log))


def test_one_changed_row_is_the_only_one_computed_again(out: Path, log: Path) -> None:
    """A row whose content changed is computed again; its neighbours are reused."""
    run(make_stage(log), make_inputs(9), out)
    report = run(make_stage(log), make_inputs(9, drop=[4]), out, log)
    assert ["clip-00004"] == begun(log)
    assert (8, 1, 1) == (report.reused, report.computed, report.dropped)


def test_a_column_that_results_do_not_depend_on_invalidates_nothing(out: Path, log: Path) -> None:
    """Only the content columns count."""
    run(make_stage(log), make_inputs(3), out)
    inputs = make_inputs(3).append_column("note", [["a", "b", "c"]])
    assert 3 == run(make_stage(log), inputs, out).reused


def test_a_row_that_left_the_inputs_leaves_the_table(out: Path, log: Path) -> None:
    """The table follows its inputs, and nothing is computed for that."""
    run(make_stage(log), make_inputs(9), out)
    inputs = make_inputs(9).filter(pa.array([number != 4 for number in range(9)]))
    report = run(make_stage(log), inputs, out, log)
    assert (8, 8, 0) == (report.rows_in, report.reused, report.computed)
    assert (
        inputs["clip_id"].to_pylist()
        == tables.read_table(out, StoryboardRecord)["clip_id"].to_pylist()
    )


def test_a_row_that_came_to_the_inputs_comes_to_the_table(
    out: Path, log: Path, tmp_path: Path
) -> None:
    """A grown table is byte-equal to one made at once."""
    run(make_stage(log), make_inputs(5), out)
    run(make_stage(log), make_inputs(9), out, log)
    assert 4 == len(begun(log))
    run(make_stage(log), make_inputs(9), tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == contents(out)


def test_retryable_failures_are_tried_again_until_max_attempts(out: Path, log: Path) -> None:
    """Each run tries once more and counts on; after the third attempt the failure stays."""
    inputs = make_inputs(4, flaky=[2])
    for attempt, begun_rows in ((1, 4), (2, 1), (3, 1), (3, 0)):
        report = run(make_stage(log), inputs, out, log)
        assert begun_rows == len(begun(log))
        assert 1 == report.failed
        (failure,) = tables.read_records(out, StoryboardRecord, verdict="failed")
        expected = Failed(
            error="RetryableError", message="the server is busy", attempts=attempt, retryable=True
        )
        assert expected == failure.verdict


def test_permanent_failures_are_not_tried_again(out: Path, log: Path) -> None:
    """What cannot help is not done twice."""
    run(make_stage(log), make_inputs(4, fail=[2]), out)
    report = run(make_stage(log), make_inputs(4, fail=[2]), out, log)
    assert (1, 4, []) == (report.failed, report.reused, begun(log))


class Sulky:
    """Fails retryably until the file ``mood`` exists."""

    def __init__(self, *, mood: str) -> None:
        self._inner = NumbersWorker(log=mood + ".log")
        self._mood = Path(mood)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One row per row."""
        if not self._mood.exists():
            flaky = pa.array(["flaky"] * batch.num_rows)
            batch = batch.set_column(batch.schema.get_field_index("do"), "do", flaky)
        return self._inner(batch)


def test_a_retry_that_succeeds_replaces_the_failure(out: Path, tmp_path: Path) -> None:
    """After the server is back, the table is the one of a run that never failed."""
    mood = tmp_path / "mood"
    stage = make_stage(tmp_path / "log")
    sulky = runtime.Stage(
        name="numbers",
        record=StoryboardRecord,
        worker=Sulky,
        worker_args={"mood": str(mood)},
        input_key="clip_id",
        content_columns=("n", "do"),
        fingerprint=stage.fingerprint,
    )
    assert 3 == run(sulky, make_inputs(3), out).failed
    mood.touch()
    assert 3 == run(sulky, make_inputs(3), out).kept
    run(stage, make_inputs(3), tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == contents(out)


def test_a_run_that_was_stopped_goes_on_where_it_was(out: Path, log: Path, tmp_path: Path) -> None:
    """Batches that were committed before an exception are not computed again."""

    class Stop(BaseException):
        """Like Ctrl-C, but only once."""

    class StopAfter(runtime.NoProgress):
        """Stops the run once two batches are committed."""

        committed = 0

        def advance(self, n: int) -> None:
            """Counts rows."""
            self.committed += n
            if self.committed >= 8:
                raise Stop

    with pytest.raises(Stop):
        runtime.run_stage(
            make_stage(log), make_inputs(20), out, engine="local", progress=StopAfter()
        )
    report = run(make_stage(log), make_inputs(20), out, log)
    assert (8, 12) == (report.reused, report.computed)
    assert 12 == len(begun(log))
    run(make_stage(log), make_inputs(20), tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == contents(out)


def test_a_full_disk_ends_the_stage_and_keeps_what_is_done(
    out: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the cure; after it the run goes on where it was."""
    fsync, calls = os.fsync, itertools.count()

    def full(descriptor: int) -> None:
        if next(calls) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="disk or its quota is full; free some space and run"):
        run(make_stage(log), make_inputs(20), out)
    monkeypatch.undo()
    report = run(make_stage(log), make_inputs(20), out, log)
    assert (12, 8) == (report.reused, report.computed)


def test_two_runs_on_one_table_are_refused(out: Path, log: Path) -> None:
    """The second one is told so, and the first one goes on."""

    class Second(runtime.NoProgress):
        """Starts another run while the first is at work."""

        def advance(self, n: int) -> None:
            """Tries, after each batch."""
            assert n
            with pytest.raises(InputError, match="is being written by process"):
                run(make_stage(log), make_inputs(3), out)

    first = make_stage(log)
    report = runtime.run_stage(first, make_inputs(6), out, engine="local", progress=Second())
    assert 6 == report.kept


def test_rows_of_a_damaged_file_are_made_again(out: Path, log: Path, tmp_path: Path) -> None:
    """Running again is the cure for a file that cannot be read, and gives the same table."""
    run(make_stage(log), make_inputs(9), out)
    fresh = shutil.copytree(out, tmp_path / "fresh")
    (part,) = out.glob("part-*")
    part.write_bytes(part.read_bytes()[:-100])
    assert 9 == run(make_stage(log), make_inputs(9), out).computed
    assert contents(fresh) == contents(out)


def test_a_damaged_staged_file_is_made_again(out: Path, log: Path) -> None:
    """A file that a bad disk has spoilt costs its rows' time, not the run."""
    staged = out / "_pending"
    staged.mkdir(parents=True)
    (staged / f"part-{'0' * 64}.parquet").write_bytes(b"PAR1 nonsense")
    assert 3 == run(make_stage(log), make_inputs(3), out).computed
    assert not staged.exists()


def test_another_records_table_is_not_overwritten(out: Path, log: Path) -> None:
    """A wrong output directory is refused before anything is computed."""
    tables.write_table(out, ConditionRecord.table([]), ConditionRecord)
    with pytest.raises(InputError, match="holds condition records"):
        run(make_stage(log), make_inputs(3), out)
    assert [] == begun(log)


def test_inputs_with_a_repeated_key_are_refused(out: Path, log: Path) -> None:
    """Two rows of one name could not be told apart."""
    inputs = pa.concat_tables([make_inputs(3), make_inputs(1)])
    with pytest.raises(InputError, match="2 input rows share clip_id 'clip-00000'"):
        run(make_stage(log), inputs, out)


def test_inputs_without_a_content_column_are_refused(out: Path, log: Path) -> None:
    """The message names the column that is missing."""
    with pytest.raises(InputError, match=r"lack the columns \['do'\]"):
        run(make_stage(log), make_inputs(3).drop_columns(["do"]), out)


def test_an_unknown_engine_is_refused(out: Path, log: Path) -> None:
    """The message lists the engines there are."""
    with pytest.raises(ConfigError, match="'spark' is not one of 'ray', 'local'"):
        runtime.run_stage(make_stage(log), make_inputs(1), out, engine="spark")  # type: ignore[arg-type]


def test_an_error_in_the_workers_constructor_ends_the_stage(out: Path, log: Path) -> None:
    """Missing weights are one sentence, not a failed row each."""
    stage = make_stage(log, worker_args={"broken": "no such model"})
    with pytest.raises(ConfigError, match="no such model"):
        run(stage, make_inputs(3), out)


class Greedy:
    """Returns no rows at all."""

    def __call__(self, _: pa.Table) -> pa.Table:
        """No row."""
        return StoryboardRecord.table([])


class Collapsing:
    """Gives all rows one key."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The same row again and again."""
        row = StoryboardRecord(clip_id="same", backend="offline", verdict=KEPT)
        return StoryboardRecord.table([row] * batch.num_rows)


def test_a_worker_that_loses_rows_is_caught(out: Path, log: Path) -> None:
    """Rows are conserved, or the stage ends with an error that says who lost them."""
    stage = make_stage(log)
    greedy = runtime.Stage(
        name="greedy",
        record=StoryboardRecord,
        worker=Greedy,
        input_key="clip_id",
        content_columns=("n",),
        fingerprint=stage.fingerprint,
    )
    with pytest.raises(InvariantError, match="returned 0 rows for a batch of 1"):
        run(greedy, make_inputs(3), out)


def test_rows_that_an_engine_has_lost_leave_the_table_as_it_was(
    out: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there cannot be counted, and the old table is better than half a new one."""
    run(make_stage(log), make_inputs(5), out)
    before = contents(out)
    monkeypatch.setattr("pfp.runtime.run.run_local", lambda *_: iter(()))
    with pytest.raises(InvariantError, match="9 rows went in but 5 came out"):
        run(make_stage(log), make_inputs(9), out)
    assert before == {name: value for name, value in contents(out).items() if name in before}
    assert 5 == tables.read_table(out, StoryboardRecord).num_rows


def test_a_worker_that_repeats_a_key_is_caught(out: Path) -> None:
    """Two output rows may not claim to be the same thing."""
    collapsing = runtime.Stage(
        name="collapsing",
        record=StoryboardRecord,
        worker=Collapsing,
        input_key="clip_id",
        content_columns=("n",),
        fingerprint="1",
    )
    with pytest.raises(ValueError, match="two storyboard rows share clip_id 'same'"):
        run(collapsing, make_inputs(3), out)


def test_many_small_files_are_merged(
    out: Path, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Merging files on the way does not change the table."""
    run(make_stage(log, batch_size=1), make_inputs(20), tmp_path / "fresh")
    monkeypatch.setattr("pfp.runtime.run.FILES_PER_MERGE", 3)
    most = Counter[str]()

    class Watch(runtime.NoProgress):
        """Notes how many files lie about."""

        def advance(self, n: int) -> None:  # noqa: ARG002
            """Looks into the folder."""
            most["files"] = max(most["files"], len(list((out / "_pending").glob("part-*"))))

    runtime.run_stage(
        make_stage(log, batch_size=1), make_inputs(20), out, engine="local", progress=Watch()
    )
    assert contents(tmp_path / "fresh") == contents(out)
    assert most["files"] < 12


def test_the_backlog_is_what_a_run_would_find(out: Path, log: Path) -> None:
    """Rows to compute, rows to try again, and which are kept; other rows are in neither."""
    stage, inputs = make_stage(log), make_inputs(6, drop=[1], fail=[2], flaky=[3])
    before = runtime.backlog(stage, inputs, out)
    assert (inputs["clip_id"], frozenset()) == (before.todo["clip_id"], before.kept_keys)
    assert not out.exists()
    run(stage, inputs.slice(0, 5), out)
    after = runtime.backlog(stage, inputs, out)
    assert ["clip-00003", "clip-00005"] == after.todo["clip_id"].to_pylist()
    assert {"clip-00000", "clip-00004"} == after.kept_keys
