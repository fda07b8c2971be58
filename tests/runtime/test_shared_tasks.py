"""Tasks over one shared value: order, errors, what waits, and workers that really are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pfp.errors import ConfigError
from pfp.runtime.shared_tasks import TASKS_PER_CPU, TasksHere, TasksOnRay

Numbers = npt.NDArray[np.int64]
NUMBERS: Numbers = np.arange(100_000)

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.slow]


def head_and_process(shared: Numbers, task: int) -> tuple[int, int, bool]:
    """A sum over some of the shared numbers, who made it, and whether that one may write them."""
    return int(shared[:task].sum()), os.getpid(), shared.flags.writeable


def refuse(_: Numbers, task: int) -> int:
    """Fail as a task does whose settings cannot be used."""
    message = f"{task} is too many; give fewer"
    raise ConfigError(message)


def die_once(_: Numbers, file: Path) -> str:
    """Kill the worker, the first time."""
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return file.name


def test_results_are_those_of_this_process_in_order() -> None:
    """Other processes make them, from one copy that none of them may change."""
    tasks = range(0, 2000, 100)
    here = TasksHere(NUMBERS).map(head_and_process, tasks)
    there = list(TasksOnRay(NUMBERS).map(head_and_process, tasks, memory_bytes=1 << 20))

    assert [total for total, _, _ in here] == [total for total, _, _ in there]
    assert os.getpid() not in {process for _, process, _ in there}
    assert not any(is_writeable for _, _, is_writeable in there)


def test_few_tasks_wait_at_a_time() -> None:
    """Tasks are made as results are taken, not all at once."""
    made: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(100):
            made.append(task)
            yield task

    results = TasksOnRay(NUMBERS).map(head_and_process, tasks())
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert 2 * TASKS_PER_CPU + 1 == len(made)  # of a cluster of two CPUs


def test_a_task_whose_worker_is_killed_is_done_again(tmp_path: Path) -> None:
    """Nothing of it is missing."""
    files = [tmp_path / name for name in "abc"]

    assert ["a", "b", "c"] == list(TasksOnRay(NUMBERS).map(die_once, files))


def test_what_a_task_raises_comes_out_as_it_is() -> None:
    """Not wrapped into Ray's own error."""
    with pytest.raises(ConfigError, match=r"^3 is too many; give fewer$"):
        list(TasksOnRay(NUMBERS).map(refuse, [3]))


def test_more_memory_than_any_machine_has_is_not_waited_for() -> None:
    """The task then has a machine to itself."""
    (result,) = TasksOnRay(NUMBERS).map(head_and_process, [2], memory_bytes=1 << 60)

    assert 1 == result[0]
