"""A small run directory: real tables and lossless videos, with methods of known quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pfp.io import media, tables
from pfp.schema import KEPT, Dropped, EvalSample, Shot

HEIGHT, WIDTH = 48, 80
# Standard deviation of the noise that each method adds to the true frames, in 8-bit code values.
NOISE = {
    "proposed 4x4x2": 6.0,
    "large_patchifier 4x4x2": 14.0,
    "only_lr 4x4x2": 10.0,
    "no_memory": 45.0,
    "shuffled memory": 60.0,
    "VAE reconstruction (upper bound)": 1.5,
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the run lies and what its generations table holds."""

    directory: Path
    generations: list[EvalSample]


def true_frames(clip: int, num_frames: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coloured waves that drift, a different set for each clip, uint8 (T, H, W, 3)."""
    rng = np.random.default_rng(clip)
    time, y, x = np.mgrid[:num_frames, :height, :width]
    waves = rng.uniform(-0.25, 0.25, (3, 3))
    video = np.stack([127 + 90 * np.sin(a * x + b * y + c * time) for a, b, c in waves], axis=-1)
    return video.astype(np.uint8)


def spoilt(frames: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """The frames with noise of the given standard deviation."""
    rng = np.random.default_rng(seed)
    return np.clip(frames + rng.normal(0, noise, frames.shape), 0, 255).astype(np.uint8)


def retrieval(
    directory: Path, clip: int, method: str, *, num_frames: int, made: np.ndarray, true: np.ndarray
) -> EvalSample:
    """One sample of the task ``retrieve`` with its two lossless videos written."""
    clip_id = f"{clip:02d}" + "c" * 14
    name = f"{clip_id}-{method.replace(' ', '_')}"
    folder = directory / "generations" / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    media.write_video(folder / f"{name}.mp4", made, 12, lossless=True)
    media.write_video(folder / f"{clip_id}-true.mp4", true, 12, lossless=True)
    return EvalSample(
        sample_id=f"retrieve/{clip_id}/{method}/0",
        task="retrieve",
        group=clip_id,
        clip_id=clip_id,
        memory_clip_id=clip_id if method != "shuffled memory" else "another",
        method=method,
        model_id="tiny",
        checkpoint_sha256="ab" * 32,
        seed=0,
        rate="4x4x2",
        num_memory_tokens=96,
        num_steps=8,
        omega=(1, 5),
        video_uri=f"generations/videos/{name}.mp4",
        reference_uri=f"generations/videos/{clip_id}-true.mp4",
        history_uri=f"generations/videos/{clip_id}-history.mp4",
        fps=12.0,
        num_frames=num_frames,
        verdict=KEPT,
        result_key=f"key-{clip}-{method}",
    )


def continuation(directory: Path, clip: int) -> EvalSample:
    """One sample of the task ``continue`` with two prompts and a playable video."""
    clip_id = f"{clip:02d}" + "c" * 14
    path = directory / "generations" / "videos" / f"{clip_id}-next.mp4"
    media.write_video(path, true_frames(clip + 100, 24), 12)
    return EvalSample(
        sample_id=f"continue/{clip_id}/0",
        task="continue",
        group=clip_id,
        clip_id=clip_id,
        memory_clip_id=clip_id,
        method="proposed 4x4x2",
        model_id="tiny",
        checkpoint_sha256="ab" * 32,
        seed=0,
        rate="4x4x2",
        shots=(
            Shot(start_seconds=0.0, end_seconds=1.0, caption="The waves drift <to> the left."),
            Shot(start_seconds=1.0, end_seconds=2.0, caption="They turn & come back."),
        ),
        video_uri=f"generations/videos/{clip_id}-next.mp4",
        history_uri=f"generations/videos/{clip_id}-history.mp4",
        fps=12.0,
        num_frames=24,
        verdict=KEPT,
        result_key=f"key-{clip}-continue",
    )


def not_made(clip: int) -> EvalSample:
    """A sample that was dropped before anything was generated."""
    clip_id = f"{clip:02d}" + "c" * 14
    return EvalSample(
        sample_id=f"retrieve/{clip_id}/shuffled memory/0",
        task="retrieve",
        group=clip_id,
        clip_id=clip_id,
        memory_clip_id=None,
        method="shuffled memory",
        model_id="tiny",
        checkpoint_sha256="ab" * 32,
        seed=0,
        rate="4x4x2",
        verdict=Dropped(reason="no_other_clip", detail="no other clip has the same orientation"),
        result_key="",
    )


MakeRun = Callable[..., Run]


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Write a run directory with so many clips; the last clip lacks its shuffled sample."""

    def make(*, num_clips: int = 3, num_frames: int = 3, methods: list[str] | None = None) -> Run:
        directory = tmp_path_factory.mktemp("run")
        records = []
        for clip in range(num_clips):
            true = true_frames(clip, num_frames)
            for index, method in enumerate(methods or NOISE):
                if method == "shuffled memory" and clip == num_clips - 1:
                    records.append(not_made(clip))
                    continue
                made = spoilt(true, NOISE[method] * (1 + 0.1 * clip), seed=100 * clip + index)
                records.append(
                    retrieval(directory, clip, method, num_frames=num_frames, made=made, true=true)
                )
            history = directory / "generations" / "videos" / f"{clip:02d}{'c' * 14}-history.mp4"
            media.write_video(history, true_frames(clip, 16), 12)
            records.append(continuation(directory, clip))
        tables.write_table(directory / "generations", EvalSample.table(records), EvalSample)
        return Run(directory=directory, generations=records)

    return make
