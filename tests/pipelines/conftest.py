"""Small real videos, and the whole chain run over them once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

NUM_VIDEOS = 6


@pytest.fixture(scope="session")
def small_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn clips of five seconds, half of them upright, without storyboards."""
    from pfp.io.media import write_video
    from pfp.io.render import plan_clip, render_frames

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
    """A function that runs all five stages in this process, at the debug preset."""
    from importlib import import_module

    def run(videos: Path, out: Path, *, engine: str = "local") -> Path:
        for stage in ("ingest", "caption", "latents", "train", "eval"):
            main = import_module(f"pipelines.{stage}.run").main
            arguments = ["--preset", "debug", "--output", str(out), "--engine", engine]
            if stage == "ingest":
                arguments += ["--input", str(videos)]
            assert main(arguments) == 0
        return out

    return run


@pytest.fixture(scope="session")
def finished_run(
    small_videos: Path, chain: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run directory of the chain over the small videos, engine local."""
    return chain(small_videos, tmp_path_factory.mktemp("run") / "out")
