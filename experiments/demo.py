"""The whole chain on one machine: video files to a leaderboard, five stages in one process.

python -m experiments.demo [--videos FOLDER] [--out runs/demo] [--fresh]      # make demo
python -m experiments.demo --page README.md [--check]      # write or check its result there
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from experiments.page import check_part, write_part
from experiments.synthetic_clips import make_clips
from pfp.cli.command import GOES_ON, exit_status, prints_safely
from pfp.errors import InputError
from pfp.runtime import ConsoleProgress, StageReport, connect, summary
from pfp.runtime.peak import PeakMemory
from pfp.runtime.run import Engine
from pipelines.caption import config as caption_config
from pipelines.caption.run import run as run_caption
from pipelines.eval import config as eval_config
from pipelines.eval.run import run as run_eval
from pipelines.ingest import config as ingest_config
from pipelines.ingest.run import run as run_ingest
from pipelines.latents import config as latents_config
from pipelines.latents.run import run as run_latents
from pipelines.train import config as train_config
from pipelines.train.run import run as run_train

COMMAND: Final = "python -m experiments.demo --page README.md"
NUM_CLIPS: Final = 16
DRAWN_CLIPS: Final = "drawn_clips"
# What no folder has but one that the demo has begun to write: it may be emptied.
MARKS_OF_RUNS: Final = ("summary.json", DRAWN_CLIPS, "videos/_measured")
STAGES: Final[tuple[tuple[Callable[..., list[StageReport]], Mapping[str, Any]], ...]] = (
    (run_ingest, ingest_config.PRESETS),
    (run_caption, caption_config.PRESETS),
    (run_latents, latents_config.PRESETS),
    (run_train, train_config.PRESETS),
    (run_eval, eval_config.PRESETS),
)


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0, 2 when nothing usable was left or the input is bad."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.demo",
        description="Run all five pipelines on this machine, at a small size.",
    )
    parser.add_argument("--videos", help="folder of your own videos (default: generated clips)")
    parser.add_argument("--out", default="runs/demo", help="run directory (default: runs/demo)")
    parser.add_argument("--fresh", action="store_true", help="start over")
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    parser.add_argument(
        "--preset", choices=("demo", "debug"), default="demo", help="debug: as little as possible"
    )
    parser.add_argument("--page", type=Path, help="page whose result is written anew")
    parser.add_argument(
        "--check", action="store_true", help="refuse a page with another result, write nothing"
    )
    arguments = parser.parse_args(argv)
    run = partial(
        run_demo,
        arguments.out,
        arguments.videos,
        fresh=arguments.fresh,
        engine=arguments.engine,
        preset=arguments.preset,
        page=arguments.page,
        check=arguments.check,
    )
    return exit_status("demo", run, stopped=GOES_ON)


def run_demo(
    out: str,
    videos: str | None,
    *,
    fresh: bool,
    engine: Engine,
    preset: str,
    page: Path | None = None,
    check: bool = False,
) -> None:
    """All stages in order into ``out``; the leaderboard is printed, and put into ``page``.

    ``check`` has InputError raised instead, for a page that shows another leaderboard.
    """
    started = time.monotonic()
    directory = prepare_directory(Path(out), fresh=fresh)
    if videos is not None and not Path(videos).is_dir():
        message = f"VIDEOS {videos!r} is not a folder; name a folder that holds video files"
        raise InputError(message)
    progress = ConsoleProgress()
    with PeakMemory() as memory, connect(engine):
        try:
            source = videos if videos is not None else generate_clips(directory, progress)
            reports: list[StageReport] = []
            for run, presets in STAGES:
                reports += run(
                    presets[preset](),
                    input_directory=source,
                    output_directory=str(directory),
                    engine=engine,
                    progress=progress,
                )
                source = str(directory)
        finally:
            write_totals(directory, memory.peak_rss_bytes, time.monotonic() - started)
    print_result(directory, reports)
    if page is not None:
        put = check_part if check else write_part
        put(page, COMMAND, indented((directory / "leaderboard.txt").read_text(encoding="utf-8")))


def prepare_directory(directory: Path, *, fresh: bool) -> Path:
    """Make the run directory, or empty an earlier one; never anything else.

    Raises InputError for a path that cannot be written or that holds something other than a run.
    """
    try:
        holds = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
        is_run = any((directory / name).exists() for name in MARKS_OF_RUNS)
        if holds and not is_run:
            message = (
                f"OUT {str(directory)!r} holds {holds[0]!r} and no earlier run; "
                "name another folder or an empty one"
            )
            raise InputError(message)
        if fresh and directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = (
            f"OUT {str(directory)!r} cannot be written ({error.strerror}); "
            "name a folder that you may write to, on a disk with room"
        )
        raise InputError(message) from error
    return directory


def generate_clips(directory: Path, progress: ConsoleProgress) -> str:
    """The demo's own clips, with their storyboards beside them; those that are there are kept."""
    folder = directory / DRAWN_CLIPS
    with progress.counting("drawing", "clips") as count:
        make_clips(folder, num_clips=NUM_CLIPS, seed=0, progress=count)
    return str(folder)


def write_totals(directory: Path, peak_rss_bytes: int, seconds: float) -> None:
    """Put memory and time of this run beside the stages' reports."""
    totals = summary.read_summary(directory)
    totals |= {"peak_rss_bytes": peak_rss_bytes, "seconds": round(seconds, 3)}
    summary.write_summary(directory, totals)


def print_result(directory: Path, reports: list[StageReport]) -> None:
    """The leaderboard as a table, what was reused, and where the page is."""
    if all(report.reused == report.rows_in for report in reports):
        print("Nothing to do: everything is there from an earlier run (FRESH=1 starts over).")
    print()
    print((directory / "leaderboard.txt").read_text(encoding="utf-8"))
    print(f"Leaderboard: {(directory / 'leaderboard.html').resolve()}")


def indented(text: str) -> str:
    """As Markdown shows text that was printed."""
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
