"""Small real videos, and the whole chain run over them once."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pfp.models import device_memory
from pfp.models.backbones import loading
from pfp.models.backbones.loading import architecture
from tests.pipelines.small_bases import Narrow

NUM_VIDEOS = 6
STAGES = ("ingest", "caption", "latents", "train", "eval")
# What ``python -m`` does, one module after the other.
RUN_ALL = """
import json, runpy, sys
for command in json.loads(sys.argv[1]):
    sys.argv = command
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            print(*command, "ended with", end.code, file=sys.stderr)
            raise
"""
REPO = Path(__file__).resolve().parents[2]


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """A folder that the first of the tests' processes to ask for it fills, for all to read."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tmp_path_factory.mktemp(name)
        make(folder)
        return folder
    folder = tmp_path_factory.getbasetemp().parent / name
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def small_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn clips of five seconds, half of them upright, without storyboards."""
    return made_once(tmp_path_factory, "videos", draw_videos)


def draw_videos(folder: Path) -> None:
    """Write them."""
    from experiments.synthetic_clips import plan_clip, render_frames
    from pfp.io.media import write_video

    for index in range(NUM_VIDEOS):
        height, width = (120, 200) if index % 2 == 0 else (200, 120)
        frames = render_frames(
            plan_clip(5, index), height=height, width=width, fps=12.0, end_seconds=5.0
        )
        write_video(folder / f"clip {index}.mp4", frames, 12.0)


@pytest.fixture(scope="session")
def chain() -> Callable[..., Path]:
    """A function that runs ``python -m pipelines.<stage>`` for all five, at the debug preset.

    In one fresh process, since each would load torch and diffusers again.
    """

    def run(videos: Path, out: Path) -> Path:
        options = ["--preset", "debug", "--output", str(out), "--engine", "local"]
        commands = [[f"pipelines.{stage}", *options] for stage in STAGES]
        commands[0] += ["--input", str(videos)]
        done = subprocess.run(
            [sys.executable, "-c", RUN_ALL, json.dumps(commands)],
            cwd=REPO,
            capture_output=True,
            text=True,
            timeout=290,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert "Warning" not in done.stderr, done.stderr[-3000:]
        return out

    return run


@pytest.fixture(scope="session")
def finished_run(
    small_videos: Path, chain: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run directory of the chain over the small videos, engine local; nobody writes to it."""
    return made_once(tmp_path_factory, "finished_run", lambda out: chain(small_videos, out))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Narrow]:
    """A function that saves a base's transformer with other sizes, which pfp then takes for it."""

    def forget_sizes() -> None:
        """Numbers of weights are kept by the base's name."""
        device_memory.count_weights.cache_clear()
        device_memory.encoder_activation_bytes.cache_clear()

    def save(base: str, sizes: Mapping[str, Any], folder: Path) -> None:
        forget_sizes()
        whole = architecture(base)
        small = replace(whole, config={**whole.config, **sizes})
        monkeypatch.setitem(loading.ARCHITECTURES, base, small)  # type: ignore[arg-type]
        torch.manual_seed(0)
        small.build().save_pretrained(folder / "transformer")

    yield save
    forget_sizes()
