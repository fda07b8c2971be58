"""Several processes that Ray Train starts: one is killed, and the training ends as it should."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.pipelines import train_driver
from tests.two_processes import run_by_two

REPO = Path(__file__).resolve().parents[2]
CHECKPOINT = "checkpoints/proposed-4x4x2"


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
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def weights(run_directory: Path) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors."""
    files = sorted((run_directory / CHECKPOINT).glob("*.safetensors"))
    return {f"{file.name}/{name}": x for file in files for name, x in load_file(file).items()}


def kill_one_of(driver: psutil.Process) -> bool:
    """SIGKILL to one of the processes that train."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in driver.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "RayTrainWorker" in "".join(process.cmdline()):
                    process.kill()
                    return True
    return False


@pytest.mark.timeout(900)
def test_a_killed_process_is_replaced_and_nothing_is_lost(
    finished_run: Path, tmp_path: Path
) -> None:
    """Ray Train starts both anew from the last state; the weights are torchrun's, bit for bit."""
    out = tmp_path / "out"
    for table in ("storyboards", "latents", "conditions"):
        shutil.copytree(finished_run / table, out / table)
    run_by_two("tests.pipelines.train_driver", str(out), str(tmp_path / "whole"))
    expected = weights(tmp_path / "whole")
    command = [
        *(sys.executable, "-m", "pipelines.train", "pretrain", "--preset", "debug"),
        *("--engine", "ray", "--output", str(out), *settings()),
    ]

    with subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as driver:
        killed = False
        until = time.monotonic() + 400
        while driver.poll() is None and time.monotonic() < until:
            if not killed and list(out.glob("checkpoints/.state-*/step-*")):
                killed = kill_one_of(psutil.Process(driver.pid))
            time.sleep(0.05)
        _, said = driver.communicate(timeout=200)

    assert 0 == driver.returncode, said[-3000:]
    assert killed
    found = weights(out)
    assert expected.keys() == found.keys()
    assert all(torch.equal(weight, found[name]) for name, weight in expected.items())
    assert not list(out.glob("checkpoints/.state-*"))
