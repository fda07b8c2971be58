"""Several processes that Ray Train starts: whichever is killed, the training ends as it should."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.pipelines import train_driver
from tests.two_processes import run_by_two

REPO = Path(__file__).resolve().parents[2]


def settings() -> list[str]:
    """The driver's settings as the command line takes them."""
    told = train_driver.config()
    values = {
        "variants": "[proposed]",
        "num_processes": told.num_processes,
        "num_cpus_per_process": told.num_cpus_per_process,
        "steps.num_steps": told.steps.num_steps,
        "steps.save_every_steps": told.steps.save_every_steps,
        "steps.learning_rate": told.steps.learning_rate,
        "export_every_steps": told.export_every_steps,
        "validate_every_steps": told.validate_every_steps,
        "validation.num_windows": told.validation.num_windows,
        "validation.num_psnr_windows": told.validation.num_psnr_windows,
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def weights(run_directory: Path) -> dict[str, torch.Tensor]:
    """The tensors of the checkpoint and of those on the way."""
    folder = run_directory / "checkpoints"
    return {
        f"{file.relative_to(folder)}/{name}": x
        for file in sorted(folder.rglob("*.safetensors"))
        if ".state-" not in str(file)
        for name, x in load_file(file).items()
    }


def kill_one_of(driver: psutil.Process) -> bool:
    """SIGKILL to one of the processes that train."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in filter(is_trainer, driver.children(recursive=True)):
            process.kill()
            return True
    return False


def is_trainer(process: psutil.Process) -> bool:
    """Whether it is one that trains, as Ray has named it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return "RayTrainWorker" in "".join(process.cmdline())
    return False


@pytest.fixture(scope="module")
def tables(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with what training reads."""
    out = tmp_path_factory.mktemp("tables")
    for table in ("storyboards", "latents", "conditions"):
        shutil.copytree(finished_run / table, out / table)
    return out


@pytest.fixture(scope="module")
def expected(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What two processes of torchrun, which nobody disturbs, end with."""
    out = tmp_path_factory.mktemp("whole")
    run_by_two("tests.pipelines.train_driver", str(tables), str(out))
    found = weights(out)
    assert any("_steps/proposed-4x4x2/step-00000009/" in name for name in found)
    return found


def typed(tables: Path, out: Path) -> list[str]:
    """The stage with Ray Train, as it is typed."""
    return [
        *(sys.executable, "-m", "pipelines.train", "pretrain", "--preset", "debug"),
        *("--engine", "ray", "--input", str(tables), "--output", str(out), *settings()),
    ]


def check_ended_as(expected: dict[str, torch.Tensor], out: Path) -> None:
    """The same weights at the end and on the way, bit for bit, and no state is left."""
    found = weights(out)
    assert expected.keys() == found.keys()
    assert all(torch.equal(weight, found[name]) for name, weight in expected.items())
    assert not list(out.glob("checkpoints/.state-*"))


@contextlib.contextmanager
def started(tables: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """The stage in a process of its own, which ends with the block at the latest."""
    with (out / "said.txt").open("w") as said:
        driver = subprocess.Popen(
            typed(tables, out), cwd=REPO, stdout=subprocess.DEVNULL, stderr=said, text=True
        )
        try:
            yield driver
        finally:
            driver.kill()
            driver.wait()


@pytest.mark.timeout(900)
def test_whoever_is_killed_nothing_is_lost(
    tables: Path, expected: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """The driver, whose processes go with it; then, started again, one of the processes.

    None trains on beside new ones. Ray Train starts both processes anew from the last state, and
    the weights are torchrun's, bit for bit.
    """
    with started(tables, tmp_path) as driver:
        wait_until(driver, lambda: has(tmp_path, "checkpoints/_steps/*/step-*"))
        its_processes = psutil.Process(driver.pid).children(recursive=True)
        trainers = [process for process in its_processes if is_trainer(process)]
    _, training_on = psutil.wait_procs(trainers, timeout=120)
    assert trainers
    assert not training_on
    (state,) = tmp_path.glob("checkpoints/.state-*")
    states = set(state.glob("step-*"))
    assert states

    with started(tables, tmp_path) as driver:
        wait_until(driver, lambda: bool(set(state.glob("step-*")) - states))
        killed = kill_one_of(psutil.Process(driver.pid))
        assert 0 == driver.wait(400), (tmp_path / "said.txt").read_text()[-3000:]

    _, left = psutil.wait_procs(its_processes, timeout=120)  # Ray's own, which take a minute
    assert not left
    assert killed
    check_ended_as(expected, tmp_path)


def wait_until(driver: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """While the driver runs, 400 seconds at most."""
    until = time.monotonic() + 400
    while not happened() and driver.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


def has(folder: Path, pattern: str) -> bool:
    """Whether a file or folder of that name is there."""
    return next(folder.glob(pattern), None) is not None
