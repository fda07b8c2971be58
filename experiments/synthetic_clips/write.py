"""Writes scripts as MP4 files, each with its storyboard and its ground truth beside it."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from experiments.synthetic_clips.plan import plan_clip
from experiments.synthetic_clips.script import FPS, ClipScript
from experiments.synthetic_clips.stage import render_frames
from experiments.synthetic_clips.truth import RENDERER_VERSION, ground_truth, storyboard
from pfp.errors import InputError
from pfp.io.children import end_with_parent
from pfp.io.filesystems import explain_write_errors
from pfp.io.media import write_video


def write_clip(script: ClipScript, path_mp4: str | os.PathLike[str]) -> None:
    """Write NAME.mp4 (H.264, 24 fps), NAME.storyboard.json and, last, NAME.truth.json.

    Each file is written aside and renamed; equal scripts give equal bytes.
    Raises InputError if the path does not end in .mp4 or the folder cannot be written.
    """
    video = Path(path_mp4)
    if video.suffix != ".mp4":
        raise InputError(f"{video} must end in .mp4")
    width, height = script.size
    with explain_write_errors(str(video)):
        write_video(video, render_frames(script, height=height, width=width), float(FPS))
        _write_json(_beside(video, "storyboard"), storyboard(script))
        finished = {"name": video.stem, "size_bytes": video.stat().st_size}
        _write_json(_beside(video, "truth"), {**ground_truth(script), **finished})


def make_clips(
    directory: str | os.PathLike[str],
    *,
    num_clips: int,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write clip_000.mp4, clip_001.mp4, ... and return their paths.

    Clips that a run with the same seed has finished are left alone. `workers` is the number of
    processes (default: two, or one on a single core); `progress(done, total)` is called first
    with what was there and then after each clip.
    Raises InputError if the folder cannot be written or a number is out of range.
    """
    if num_clips < 1 or seed < 0 or (workers is not None and workers < 1):
        raise InputError(
            f"num_clips {num_clips} and workers {workers} start at 1, seed {seed} at 0"
        )
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create {folder} ({error.strerror}); choose a folder that can be written"
        ) from error
    paths = [folder / f"clip_{index:03d}.mp4" for index in range(num_clips)]
    todo = [k for k, path in enumerate(paths) if not is_finished(path, seed=seed, index=k)]
    report = progress or (lambda _done, _total: None)
    report(num_clips - len(todo), num_clips)
    num_workers = min(workers or min(2, os.cpu_count() or 1), len(todo))
    if num_workers <= 1:
        for done, index in enumerate(todo, num_clips - len(todo) + 1):
            _make_one(seed, index, paths[index])
            report(done, num_clips)
        return paths
    # Spawned processes, because the caller may have threads (torch, Ray) that a fork would break.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        num_workers, mp_context=context, initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        pending = [pool.submit(_make_one, seed, index, paths[index]) for index in todo]
        for done, finished in enumerate(as_completed(pending), num_clips - len(todo) + 1):
            finished.result()
            report(done, num_clips)
    return paths


def is_finished(path_mp4: Path, *, seed: int, index: int) -> bool:
    """Whether this very clip was written to its end: its truth says so, and the video is whole."""
    truth_path = _beside(path_mp4, "truth")
    try:
        truth = json.loads(truth_path.read_text(encoding="utf-8"))
        size_bytes = path_mp4.stat().st_size
    except (OSError, ValueError):
        return False
    if not isinstance(truth, dict) or not _beside(path_mp4, "storyboard").is_file():
        return False
    found = [truth.get(key) for key in ("seed", "index", "renderer_version", "size_bytes")]
    return found == [seed, index, RENDERER_VERSION, size_bytes]


def _make_one(seed: int, index: int, path: Path) -> None:
    # Without its truth a half-replaced clip is not taken for a finished one.
    try:
        _beside(path, "truth").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot replace {path} ({error.strerror}); choose a folder that can be written"
        ) from error
    write_clip(plan_clip(seed, index), path)


def _beside(video: Path, what: str) -> Path:
    return video.with_name(f"{video.stem}.{what}.json")


def _write_json(path: Path, content: dict[str, object]) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
