"""What a second run of a finished manifest costs."""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.eval_videos import write_waves
from benchmarks.eval_worker import ROOT
from benchmarks.train_figure import MIN_ROUNDS, Figure, Setting

METRICS: Final = "psnr,ssim"  # they need no weights
COMMAND: Final = "from pfp.cli.eval import main; raise SystemExit(main())"


def resume_cost(setting: Setting) -> list[Figure]:
    """Seconds of ``pfp-eval run`` of a manifest that is scored over those that it took to score it.

    Both are whole commands, from the interpreter's start to the printed table.
    """
    num_samples, num_frames, height, width = (1, 2, 32, 32) if setting.tiny else (8, 41, 480, 832)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = _manifest(folder, num_samples, num_frames, height, width)
        if not setting.tiny:
            _seconds_of_run(manifest, folder / "warm", "--limit", "1")
        rounds = [
            [_seconds_of_run(manifest, folder / f"run-{number}") for _ in range(2)]
            for number in range(1 if setting.tiny else MIN_ROUNDS)
        ]
    first, second = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = (
        f"pfp-eval run --metrics {METRICS} of {num_samples} videos of {num_frames} frames, "
        f"{width}x{height}, {setting.name}: {first:.1f} s, then {second:.2f} s."
    )
    values = tuple(second / first for first, second in rounds)
    return [Figure(name="resume_cost", goal="<= 0.05", values=values, note=note)]


def _manifest(folder: Path, num_samples: int, num_frames: int, height: int, width: int) -> Path:
    """Videos that are compared with one that is not among them."""
    write_waves(folder / "true.mp4", num_frames, height, width, seed=0)
    lines = []
    for number in range(1, num_samples + 1):
        write_waves(folder / f"{number}.mp4", num_frames, height, width, seed=number)
        lines.append({"video": f"{number}.mp4", "reference": "true.mp4"})
    path = folder / "manifest.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def _seconds_of_run(manifest: Path, out: Path, *more: str) -> float:
    arguments: Sequence[str] = ("run", str(manifest), "--metrics", METRICS, "--out", str(out))
    start = time.perf_counter()
    command = [sys.executable, "-c", COMMAND, *arguments, *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {done.stderr}")
    return time.perf_counter() - start
