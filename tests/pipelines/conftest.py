"""Small real videos, and the whole chain run over them once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NUM_VIDEOS = 6
REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def small_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn clips of five seconds, half of them upright, without storyboards."""
    from experiments.synthetic_clips import plan_clip, render_frames
    from pfp.io.media import write_video

    folder = tmp_path_factory.mktemp("videos")
    for index in range(NUM_VIDEOS):
        height, width = (120, 200) if index % 2 == 0 else (200, 120)
        frames = render_frames(
            plan_clip(5, index), height=height, width=width, fps=12.0, end_seconds=5.0
        )
        write_video(folder / f"clip {index}.mp4", frames, 12.0)
    return folder


@pytest.fixture(scope="session")
def chain() -> Callable[..., Path]:
    """A function that runs ``python -m pipelines.<stage>`` for all five, at the debug preset."""

    def run(videos: Path, out: Path, *, engine: str = "local") -> Path:
        for stage in ("ingest", "caption", "latents", "train", "eval"):
            command = [sys.executable, "-m", f"pipelines.{stage}", "--preset", "debug"]
            command += ["--output", str(out), "--engine", engine]
            if stage == "ingest":
                command += ["--input", str(videos)]
            done = subprocess.run(
                command, cwd=REPO, capture_output=True, text=True, timeout=280, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
            assert "Warning" not in done.stderr, done.stderr[-3000:]
        return out

    return run


@pytest.fixture(scope="session")
def finished_run(
    small_videos: Path, chain: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run directory of the chain over the small videos, engine local."""
    return chain(small_videos, tmp_path_factory.mktemp("run") / "out")
