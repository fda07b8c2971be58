"""SIGKILL at any moment: the table is whole, and in the end the same as if nothing had happened."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from pfp import runtime
from pfp.errors import SchemaError
from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.schema import StoryboardRecord
from tests.runtime.numbers_stage import begun, make_inputs, make_stage
from tests.runtime.test_run import contents

REPO = Path(__file__).resolve().parents[2]
NUM_KILLS = 6


def start(*args: object) -> subprocess.Popen[str]:
    """The numbers stage as a process of its own, deaf to a Ray that the tests have joined."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.numbers_stage", *map(str, args)],
        cwd=REPO,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float) -> None:
    """Waits until the condition holds; fails with the process's stderr if it ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def processes(pids: set[int]) -> list[psutil.Process]:
    """Those of the processes that still run."""
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def uninterrupted(tmp_path: Path, num_rows: int) -> dict[str, bytes]:
    """The files that a run without any kill leaves."""
    stage = make_stage(tmp_path / "other.txt", batch_size=2)
    runtime.run_stage(stage, make_inputs(num_rows), tmp_path / "fresh", engine="local")
    return contents(tmp_path / "fresh")


@pytest.mark.parametrize("how", [("--batch-size", 2), ("--batch-size", 1, "--two-steps")])
def test_runs_killed_at_random_moments_add_up_to_one_whole_run(
    tmp_path: Path, how: tuple[object, ...]
) -> None:
    """After six SIGKILLs at random moments the table is byte-equal to an uninterrupted run's."""
    random_ = random.Random(20260611)
    log, out = tmp_path / "log.txt", tmp_path / "out"
    args = (out, log, "--rows", 120, *how)
    for _ in range(NUM_KILLS):
        process = start(*args)
        before = len(begun(log))
        more = random_.randrange(1, 20)
        wait_for(lambda b=before, m=more: len(begun(log)) >= b + m, process, 60)
        time.sleep(random_.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    stage = make_stage(log, batch_size=2)
    report = runtime.run_stage(stage, make_inputs(120), out, engine="local")
    assert (120, 120) == (report.rows_in, report.kept)
    assert uninterrupted(tmp_path, 120) == contents(out)
    # A killed run can lose the batch that it was at, and no other.
    computed_again = sum(count - 1 for count in Counter(begun(log)).values())
    assert computed_again <= 2 * NUM_KILLS


class Crash(BaseException):
    """The process is dead from here on."""


@contextlib.contextmanager
def crashing_after(num_steps: int) -> Iterator[None]:
    """Nothing reaches the disk after ``num_steps`` renames and deletions, as after a SIGKILL."""
    steps = itertools.count(1)

    def limited(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            if next(steps) > num_steps:
                raise Crash
            return function(*args)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((Path, "replace"), (Folder, "delete"), (Folder, "delete_all")):
            patch.setattr(owner, name, limited(getattr(owner, name)))
        yield


def test_a_crash_between_any_two_steps_leaves_the_old_table_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever rename or deletion is the last, readers see one of the two whole tables."""
    monkeypatch.setattr("pfp.runtime.compact.ROWS_PER_FILE", 5)
    stage = make_stage(tmp_path / "log", batch_size=8)

    def run(num_rows: int, out: Path) -> pa.Table:
        runtime.run_stage(stage, make_inputs(num_rows, drop=[2]), out, engine="local")
        return tables.read_table(out, StoryboardRecord)

    old, new = run(8, tmp_path / "old"), run(17, tmp_path / "new")
    seen = []
    for num_steps in itertools.count():
        out = shutil.copytree(tmp_path / "old", tmp_path / f"crash-{num_steps}")
        try:
            with crashing_after(num_steps):
                run(17, out)
        except Crash:
            table = tables.read_table(out, StoryboardRecord)
            assert table.equals(old) or table.equals(new)
            seen.append(table.num_rows)
            assert run(17, out).equals(new)
            assert contents(tmp_path / "new") == contents(out)
        else:
            break
    # The manifest's rename is the one step that counts: old before it, new after it.
    assert sorted(seen) == seen
    assert {8, 17} == set(seen)


@dataclass(frozen=True, kw_only=True)
class KilledDriver:
    """What a driver that was killed under Ray has left, and where its Ray listened."""

    log: Path
    out: Path
    listening: frozenset[str]


@pytest.fixture(scope="module", params=[("--batch-size", 2), ("--batch-size", 1, "--two-steps")])
def killed_driver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> KilledDriver:
    """A driver with a Ray of its own, killed in the middle of a stage; its workers are gone too."""
    folder = tmp_path_factory.mktemp("killed")
    log, out = folder / "log.txt", folder / "out"
    args = (out, log, "--rows", 60, "--seconds", 0.05, "--engine", "ray", *request.param)
    process = start(*args)
    wait_for(lambda: len(begun(log)) >= 20, process, 240)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGKILL)
    listening = frozenset(itertools.chain(*map(listening_addresses, family[1:])))
    process.communicate()
    pids = {
        int(line.split()[1])
        for each in folder.glob("log.*")
        for line in each.read_text().splitlines()
    }
    _, alive = psutil.wait_procs(processes(pids), timeout=60)
    assert [] == alive
    return KilledDriver(log=log, out=out, listening=listening)


def listening_addresses(process: psutil.Process) -> set[str]:
    """The addresses at which a process accepts connections; none if it is gone."""
    with contextlib.suppress(psutil.Error):
        connections = process.net_connections(kind="tcp")
        return {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    return set()


@pytest.mark.slow
def test_a_local_ray_is_reached_from_this_machine_only(killed_driver: KilledDriver) -> None:
    """Every process of it listens on the loopback interface and nowhere else."""
    addresses = {ip.removeprefix("::ffff:") for ip in killed_driver.listening}
    assert {"127.0.0.1"} == addresses


@pytest.mark.slow
def test_a_driver_killed_under_ray_loses_only_what_was_in_flight(
    killed_driver: KilledDriver, tmp_path: Path
) -> None:
    """The next run computes the rest, and twice only what two workers were at."""
    log, out = killed_driver.log, killed_driver.out
    with pytest.raises(SchemaError, match="holds no storyboard table"):
        tables.read_table(out, StoryboardRecord)
    stage = make_stage(log, batch_size=2)
    report = runtime.run_stage(stage, make_inputs(60), out, engine="local")
    assert 60 == report.kept
    assert report.reused >= 20 - 2 * 2
    computed_again = sum(count - 1 for count in Counter(begun(log)).values())
    assert computed_again <= 2 * 2
    assert uninterrupted(tmp_path, 60) == contents(out)
