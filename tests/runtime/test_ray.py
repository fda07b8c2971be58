"""The Ray engine: the same tables as in this process, and workers that really are killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pfp import runtime
from pfp.errors import ConfigError
from pfp.io import tables
from pfp.schema import Failed, StoryboardRecord
from tests.runtime.numbers_stage import begun, make_inputs, make_stage
from tests.runtime.test_run import contents

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.slow]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where workers note the rows that they begin."""
    return tmp_path / "log.txt"


def test_ray_and_local_make_the_same_bytes(tmp_path: Path, log: Path) -> None:
    """The engine leaves no trace in the table or in the report."""
    inputs = make_inputs(21, drop=[3, 4], fail=[20])
    reports = [
        runtime.run_stage(make_stage(log), inputs, tmp_path / engine, engine=engine)
        for engine in ("local", "ray")
    ]
    assert contents(tmp_path / "local") == contents(tmp_path / "ray")
    local, ray = [{**report.to_json(), "seconds": 0} for report in reports]
    assert local == ray


def test_workers_are_other_processes_and_made_once_each(tmp_path: Path, log: Path) -> None:
    """Rows are computed outside this process, by at most as many processes as there are CPUs."""
    runtime.run_stage(make_stage(log, batch_size=1), make_inputs(12), tmp_path / "t")
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_a_worker_that_is_killed_once_costs_nothing(tmp_path: Path, log: Path) -> None:
    """After a SIGKILL in the middle of a batch the batch is computed again; all rows are kept."""
    inputs = make_inputs(12, die_once=[5])
    report = runtime.run_stage(make_stage(log), inputs, tmp_path / "t")
    assert (12, 12) == (report.rows_in, report.kept)
    again = [clip_id for clip_id in set(begun(log)) if begun(log).count(clip_id) > 1]
    assert {"clip-00004", "clip-00005"} >= set(again)


def test_a_row_that_kills_its_worker_each_time_is_one_failed_row(tmp_path: Path, log: Path) -> None:
    """A poison row ends as Failed after its attempts; the rest of its batch is done."""
    inputs = make_inputs(10, die=[5])
    report = runtime.run_stage(make_stage(log, max_attempts=2), inputs, tmp_path / "t")
    assert (10, 9, 1) == (report.rows_in, report.kept, report.failed)
    (poison,) = tables.read_records(tmp_path / "t", StoryboardRecord, verdict="failed")
    assert "clip-00005" == poison.clip_id
    expected = Failed(
        error="WorkerDied",
        message="the worker process died 2 times on this row",
        attempts=2,
        retryable=False,
    )
    assert expected == poison.verdict
    # Two deaths with the batch, two alone.
    assert 4 == begun(log).count("clip-00005")


def test_an_error_in_a_workers_constructor_comes_out_as_it_was_raised(
    tmp_path: Path, log: Path
) -> None:
    """Ray's wrappings are taken off: one sentence, of the class that was raised."""
    stage = make_stage(log, worker_args={"broken": "no such model"})
    with pytest.raises(ConfigError, match=r"^no such model$"):
        runtime.run_stage(stage, make_inputs(3), tmp_path / "t")


def test_resources_that_no_machine_has_are_refused(tmp_path: Path, log: Path) -> None:
    """Ray would wait forever; the message says what is asked for and what there is."""
    stage = make_stage(log, resources=runtime.Resources(num_gpus=1))
    with pytest.raises(ConfigError, match="a worker needs 1 CPUs, 1 GPUs"):
        runtime.run_stage(stage, make_inputs(3), tmp_path / "t")
