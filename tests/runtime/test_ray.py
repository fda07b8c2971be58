"""The Ray engine: the same tables as in this process, and workers that really are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import ray

from pfp import runtime
from pfp.errors import ConfigError, SchemaError
from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.io.manifest import read_manifest
from pfp.io.table_writer import DataFile
from pfp.runtime import compact as compact_module
from pfp.runtime import ray_engine
from pfp.runtime.index import choose, scan
from pfp.runtime.keys import RESULT_KEY
from pfp.runtime.staged import StagedFiles
from pfp.schema import ConditionRecord, Failed, StoryboardRecord
from tests.runtime.numbers_stage import begun, make_inputs, make_stage
from tests.runtime.test_index import commit, tensors
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


def test_workers_on_gpus_are_actors_and_survive_a_kill_too(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Actors, made here without a GPU, give the same bytes, and none is missed when killed."""
    monkeypatch.setattr(ray_engine, "_as_actors", lambda _: True)
    inputs = make_inputs(12, die_once=[5], drop=[7])
    report = runtime.run_stage(make_stage(log), inputs, tmp_path / "ray")
    assert (12, 11, 1) == (report.rows_in, report.kept, report.dropped)
    runtime.run_stage(make_stage(log), inputs, tmp_path / "local", engine="local")
    assert contents(tmp_path / "local") == contents(tmp_path / "ray")


def test_a_process_joins_the_cluster_of_its_environment(tmp_path: Path, log: Path) -> None:
    """With RAY_ADDRESS set, as inside a job, no second Ray is started."""
    address = ray.get_runtime_context().gcs_address
    before = len(ray.nodes())
    command = [sys.executable, "-m", "tests.runtime.numbers_stage", tmp_path / "t", log]
    done = subprocess.run(
        [*command, "--rows", "6", "--engine", "ray"],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "numbers: 6 rows: 6 kept" in done.stdout, done.stderr
    assert "" == done.stderr
    assert before == len(ray.nodes())


def test_a_ray_that_does_not_answer_is_one_sentence() -> None:
    """A wrong RAY_ADDRESS names itself and the cure."""
    code = "from pfp import runtime\nwith runtime.connect('ray'): pass"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pfp.errors.InputError: no Ray answers at RAY_ADDRESS 127.0.0.1:1"), last


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


def test_files_of_tensors_are_written_by_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files as when one process writes them; a task's error comes in its own words."""
    monkeypatch.setattr(compact_module, "ROWS_PER_FILE", 3)
    sizes: list[int | None] = [10 * number for number in range(1, 12)]
    commit(tmp_path, tensors(list(range(11)), sizes), "1")
    place = Folder.at(tmp_path)
    index = scan(place, ConditionRecord, StagedFiles.of(place, "run"))
    chosen = choose(index, index.rows[RESULT_KEY].combine_chunks())
    jobs: list[compact_module.WriteFile] = []

    def remembered(wanted: Sequence[compact_module.WriteFile]) -> list[DataFile]:
        jobs.extend(wanted)
        return ray_engine.write_on_ray(wanted)

    compact_module.compact(place, ConditionRecord, index, chosen, run_all=remembered)

    assert 4 == len(jobs)
    assert compact_module.run_here(jobs) == list(read_manifest(place, ConditionRecord).files)
    StagedFiles.of(place, "run").clear()
    with pytest.raises(SchemaError, match=r"part-1{64}\.parquet is damaged .* delete it"):
        ray_engine.write_on_ray(jobs)
