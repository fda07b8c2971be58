"""Stages of two steps on Ray: kills of either kind of worker, and how much waits in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray.data
from ray.data import ExecutionResources

from pfp import runtime
from pfp.errors import ConfigError
from pfp.io import tables
from pfp.runtime import ray_engine
from pfp.schema import StoryboardRecord
from tests.runtime.numbers_stage import begun, first_log, make_inputs, make_two_step_stage
from tests.runtime.test_run import contents

MIB = 1 << 20

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.slow]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where workers note the rows that they begin."""
    return tmp_path / "log.txt"


@pytest.fixture(params=["tasks", "actors"])
def second_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage's own workers as tasks, as on CPUs, and as actors, as on GPUs."""
    if request.param == "actors":
        monkeypatch.setattr(ray_engine, "_as_actors", lambda _: True)


def pids(log: Path) -> set[str]:
    """The processes that noted rows."""
    return {line.split()[1] for line in log.read_text().splitlines()}


@pytest.mark.usefixtures("second_step")
def test_any_kill_and_error_gives_the_table_of_a_run_without_ray(tmp_path: Path, log: Path) -> None:
    """Both steps die once, rows fail in both, and several rows share a block; bytes are equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_engine, "MAX_BLOCKS", 3)
        inputs = make_inputs(
            14, first_die_once=[5], die_once=[9], first_fail=[1, 13], fail=[2], drop=[3]
        )
        report = runtime.run_stage(make_two_step_stage(log), inputs, tmp_path / "ray")
    assert (14, 10, 1, 3) == (report.rows_in, report.kept, report.dropped, report.failed)
    runtime.run_stage(make_two_step_stage(log), inputs, tmp_path / "local", engine="local")
    assert contents(tmp_path / "local") == contents(tmp_path / "ray")


def test_large_rows_of_a_block_that_is_repeated_are_not_lost(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray cuts blocks of 128 MiB by default, elsewhere when rows are nulls the second time."""
    monkeypatch.setattr(ray_engine, "MAX_BLOCKS", 1)
    stage = make_two_step_stage(log, preprocess_args={"payload_bytes": 70 * MIB, "seconds": 0.2})
    report = runtime.run_stage(stage, make_inputs(6, first_die_once=[5]), tmp_path / "t")
    assert 6 == report.kept
    assert not pids(log) & pids(first_log(log))


def test_rows_that_kill_either_step_each_time_are_two_failed_rows(
    tmp_path: Path, log: Path
) -> None:
    """Neither goes on for ever, and their neighbours are kept."""
    inputs = make_inputs(8, first_die=[2], die=[5])
    report = runtime.run_stage(make_two_step_stage(log, max_attempts=2), inputs, tmp_path / "t")
    assert (8, 6, 2) == (report.rows_in, report.kept, report.failed)
    failed = tables.read_records(tmp_path / "t", StoryboardRecord, verdict="failed")
    assert {"clip-00002": 2, "clip-00005": 2} == {
        row.clip_id: row.verdict.attempts for row in failed
    }  # type: ignore[union-attr]
    assert 2 == begun(first_log(log)).count("clip-00002")
    assert 2 == begun(log).count("clip-00005")


def test_an_error_in_the_first_steps_constructor_comes_out_as_it_was_raised(
    tmp_path: Path, log: Path
) -> None:
    """One sentence, of the class that was raised, though two processes were in between."""
    stage = make_two_step_stage(log, preprocess_args={"broken": "no such decoder"})
    with pytest.raises(ConfigError, match=r"^no such decoder$"):
        runtime.run_stage(stage, make_inputs(3), tmp_path / "t")


def test_steps_that_do_not_fit_beside_each_other_are_refused(tmp_path: Path, log: Path) -> None:
    """Each would wait for the other's CPU for ever."""
    stage = make_two_step_stage(log, resources=runtime.Resources(num_cpus=2))
    with pytest.raises(
        ConfigError, match=r"a worker needs 2 CPUs.* beside the workers of its other"
    ):
        runtime.run_stage(stage, make_inputs(3), tmp_path / "t")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Ray Data may have 100 MiB in its store."""
    options = ray.data.DataContext.get_current().execution_options
    before = options.resource_limits
    options.resource_limits = ExecutionResources(object_store_memory=100 * MIB)
    yield
    options.resource_limits = before


@pytest.mark.usefixtures("little_memory", "second_step")
def test_few_preprocessed_rows_wait(tmp_path: Path, log: Path) -> None:
    """A fast first step stops when its rows fill the memory, and goes on as they are taken."""
    stage = make_two_step_stage(
        log, preprocess_args={"payload_bytes": 10 * MIB}, worker_args={"seconds": 0.1}
    )
    runtime.run_stage(stage, make_inputs(30), tmp_path / "t")
    assert most_waiting(log) <= 12


def most_waiting(log: Path) -> int:
    """The largest number of rows that the first step was ahead."""
    steps = [(float(line.split()[2]), 1) for line in first_log(log).read_text().splitlines()]
    steps += [(float(line.split()[2]), -1) for line in log.read_text().splitlines()]
    waiting = most = 0
    for _, change in sorted(steps):
        waiting += change
        most = max(most, waiting)
    return most
