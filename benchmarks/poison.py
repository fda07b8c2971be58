"""What files that hang, crash, fill memory or answer with junk cost those beside them.

    python -m benchmarks.poison --video VIDEO [--files 400] [--engine ray]

Measures so many copies of a video as ingest does, then as many with one in a hundred of them
poisoned, and prints the throughput of the second run over that of the first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.poison_worker import MISBEHAVIOUR, MeasureSomePoison
from pfp.errors import InvariantError
from pfp.ingest.inputs import gather_inputs
from pfp.ingest.measure import MeasureSettings
from pfp.runtime import run_stage
from pfp.runtime.run import Engine
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.stages import measure_stage

ONE_IN: Final = 100
GOAL: Final = 0.95


def main(argv: Sequence[str] | None = None) -> int:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--video", type=Path, required=True, help="what all files are copies of")
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    options = parser.parse_args(argv)
    good = _seconds(options.video, options.files, options.engine, num_poisoned=0)
    num_poisoned = options.files // ONE_IN
    mixed = _seconds(options.video, options.files, options.engine, num_poisoned=num_poisoned)
    figure = {"name": "throughput_with_poison", "value": round(good / mixed, 3), "unit": "ratio"}
    note = f"{num_poisoned} of {options.files} files; {good:.0f} s without, {mixed:.0f} s with"
    print(json.dumps({**figure, "goal": f">= {GOAL}", "n": 1, "spread": None, "note": note}))
    return 0


def _seconds(video: Path, num_files: int, engine: Engine, *, num_poisoned: int) -> float:
    """How long the stage takes for all files, whose every good one must be measured."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = list(MISBEHAVIOUR)
        for number in range(num_files):
            kind = kinds[number % len(kinds)] if number < num_poisoned else "good"
            shutil.copy(video, Path(folder) / f"{kind}-{number:05d}{video.suffix}")
        limits = MeasureSettings(timeout_seconds=600, memory_bytes=1 << 30)
        stage = measure_stage(IngestConfig(recipe="demo", limits=limits))
        stage = replace(stage, worker=MeasureSomePoison)
        files = gather_inputs(folder)
        start = time.monotonic()
        report = run_stage(stage, files, Path(folder) / "measured", engine=engine)
        seconds = time.monotonic() - start
    if (report.kept, report.failed) != (num_files - num_poisoned, num_poisoned):
        raise InvariantError(f"{report.kept} files were measured and {report.failed} failed")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
