"""How time grows with the input: each parser and each command at 1,000, 10,000 and 100,000 items.

    python -m benchmarks.scaling [--largest 10000] [NAME ...]

One JSON line a figure: the CPU seconds per item at the largest size over those at the next smaller
one. It is about 1 where time grows with the input alone, 10 where it grows with its square. It is
CPU time, since wall time on a shared machine says more about the neighbours.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.scaling_inputs import (
    answer_file,
    ballots,
    long_caption,
    long_object,
    manifest,
    numbered_shots,
    recipe,
    repeated_key,
    run_of_scores,
    video_run,
    votes,
)

Work: TypeAlias = Callable[[], object]
SIZES: Final = (1_000, 10_000, 100_000)
# More than that is refused, in time that grows with nothing.
CAPS: Final[Mapping[str, int]] = {"storyboard.shots": 20_000, "recipe.lines": 8_000}
GOAL: Final = "<= 3"  # what falls out of the processor's caches takes two or three times as long


def _parse(text: str) -> Work:
    from pfp.vlm.answer import parse_object_or_none

    return lambda: parse_object_or_none(text)


def _storyboard(text: str) -> Work:
    from pfp.caption.validate import Rules, check_storyboard

    return lambda: check_storyboard(
        text, spans=(), start_seconds=0.0, end_seconds=1e6, rules=Rules()
    )


def _manifest(path: Path) -> Work:
    from pfp.eval.manifest import check_manifest

    return lambda: check_manifest(path)


def _votes(path: Path) -> Work:
    from pfp.eval.elo.votes import read_votes

    return lambda: read_votes(path)


def _ballots(folder: Path) -> Work:
    from pfp.eval.study.export import collect, gather
    from pfp.eval.study.plan import read_study

    def work() -> object:
        plan, key = read_study(folder)
        return collect(gather(folder, [], plan), plan, key)

    return work


def _answers(path: Path) -> Work:
    from pfp.vlm.cache import AnswerFile

    return lambda: AnswerFile(path).model_ids()


def _recipe(path: Path) -> Work:
    from pfp.errors import ConfigError
    from pfp.ingest.recipe import load_recipe

    def work() -> None:
        with contextlib.suppress(ConfigError):
            load_recipe(str(path))

    return work


def _pfp_eval(*arguments: object) -> Work:
    from pfp.cli.eval import main

    return lambda: main([str(argument) for argument in arguments])


def _pfp(*arguments: object) -> Work:
    from pfp.cli.main import main

    return lambda: main([str(argument) for argument in arguments])


# What is done with how many items, in a folder of its own.
WORKS: Final[Mapping[str, Callable[[int, Path], Work]]] = {
    "json.keys": lambda n, _: _parse(long_object(n)),
    "json.repeated_key": lambda n, _: _parse(repeated_key(n)),
    "json.brackets": lambda n, _: _parse("[" * n),
    "storyboard.shots": lambda n, _: _storyboard(numbered_shots(n)),
    "storyboard.fence": lambda n, _: _storyboard("```json" + " \n" * n + "x"),
    "storyboard.caption": lambda n, _: _storyboard(long_caption(n)),
    "manifest.lines": lambda n, folder: _manifest(manifest(folder, n)),
    "manifest.fields": lambda n, folder: _manifest(manifest(folder, 1, num_fields=n)),
    "votes.lines": lambda n, folder: _votes(votes(folder, n)),
    "ballots.lines": lambda n, folder: _ballots(ballots(folder, n)),
    "answers.lines": lambda n, folder: _answers(answer_file(folder, n)),
    "recipe.lines": lambda n, folder: _recipe(recipe(folder, n)),
    "eval.validate": lambda n, folder: _pfp_eval("validate", manifest(folder, n)),
    "eval.plan": lambda n, folder: _pfp_eval(
        "plan", manifest(folder, n), "--metrics", "psnr", "--out", folder / "run"
    ),
    "eval.compare": lambda n, folder: _pfp_eval(
        "compare",
        run_of_scores(folder / "a", n // 2, ("a",)),
        run_of_scores(folder / "b", n // 2, ("b",)),
    ),
    "eval.report": lambda n, folder: _pfp_eval(
        "report", run_of_scores(folder / "a", n, ("ours", "theirs"))
    ),
    "eval.report_of_many_models": lambda n, folder: _pfp_eval(
        "report", run_of_scores(folder / "a", n, tuple(f"m{k}" for k in range(n)))
    ),
    "eval.score": lambda n, folder: _pfp_eval("score", run_of_scores(folder / "a", n, ("a",))),
    "eval.rescore": lambda n, folder: _pfp_eval("rescore", run_of_scores(folder / "a", n, ("a",))),
    "eval.export": lambda n, folder: _pfp_eval(
        "export",
        run_of_scores(folder / "a", n, ("a",), metric="clarity"),
        "--vbench-json",
        folder / "results.json",
    ),
    "eval.elo": lambda n, folder: _pfp_eval("elo", votes(folder, n), "--draws", 200),
    "pfp.verify": lambda n, folder: _pfp("verify", run_of_scores(folder / "a", n, ("a",))),
    "pfp.why": lambda n, folder: _pfp("why", "video-0000007.mp4", "--run", video_run(folder, n)),
}


def measure(name: str, size: int) -> float:
    """CPU seconds of one work at one size, what it takes to make its input left out."""
    with tempfile.TemporaryDirectory() as folder:
        work = WORKS[name](size, Path(folder))
        start = time.process_time()
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            work()
        return time.process_time() - start


def figure(name: str, largest: int) -> dict[str, object]:
    """The figure of one work, with its seconds at every size."""
    sizes = sorted({min(size, CAPS.get(name, size)) for size in SIZES if size <= largest})
    measure(name, sizes[0])  # imports
    seconds = [measure(name, size) for size in sizes]
    (last, before), (most, fewer) = seconds[:-3:-1], sizes[:-3:-1]
    return {
        "name": f"scaling.{name}",
        "value": round(last / most / (before / fewer), 2),
        "unit": "seconds per item over seconds per item",
        "goal": GOAL,
        "n": 1,
        "spread": None,
        "note": ", ".join(
            f"{size} items {second:.3g} s" for size, second in zip(sizes, seconds, strict=True)
        ),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the figures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *WORKS], metavar="NAME")
    parser.add_argument("--largest", type=int, choices=SIZES[1:], default=SIZES[-1])
    options = parser.parse_args(argv)
    for name in options.names or WORKS:
        print(json.dumps(figure(name, options.largest)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
