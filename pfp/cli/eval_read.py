"""``pfp-eval report | compare | export``: what scores say."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfp.cli.command import say
from pfp.cli.settings import names_of
from pfp.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pfp.eval.leaderboard.leaderboard import Leaderboard

METHOD_MARK = "#"


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``pfp-eval``."""
    report = commands.add_parser(
        "report",
        help="write leaderboard.{html,md,txt,json,csv,tex} of a scored run, or of several",
    )
    report.add_argument("runs", metavar="RUN", nargs="+")
    for form in ("html", "md", "json", "csv", "latex"):
        report.add_argument(f"--{form}", metavar="FILE", help=f"write only the {form} form, there")
    report.add_argument(
        "--published",
        metavar="A,B",
        help="show rows that papers print below, such as pfp-table1 or mag-table3",
    )
    report.set_defaults(run=_report)

    compare = commands.add_parser(
        "compare",
        help="two methods, clip by clip: RUN METHOD_A METHOD_B, or RUN_A[#METHOD] RUN_B[#METHOD]",
    )
    compare.add_argument("sides", metavar="SIDE", nargs="+")
    compare.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="'psnr<-0.5'",
        help="exit with status 1 if this holds of the mean of A minus B, or cannot be told",
    )
    compare.set_defaults(run=_compare)

    export = commands.add_parser("export", help="write a model's scores as other tools read them")
    export.add_argument("run_directory", metavar="RUN")
    export.add_argument("--vbench-json", metavar="FILE", required=True)
    export.add_argument("--method", help="which model; needed where the run has several")
    export.set_defaults(run=_export)


def _report(options: argparse.Namespace) -> int:
    from pfp.eval.leaderboard.published import published
    from pfp.eval.report import ReportFiles, render_text, write_report

    files = ReportFiles(
        html=options.html,
        markdown=options.md,
        json=options.json,
        csv=options.csv,
        latex=options.latex,
    )
    if files == ReportFiles():
        files = ReportFiles.in_run(options.runs[0])
    tables = [published(name) for name in names_of(options.published)]
    warn_of_missing_shards(options.runs)
    board = write_report(*options.runs, files=files, published=tables)
    print(render_text(board), end="")
    for file in (files.html, files.markdown, files.text, files.json, files.csv, files.latex):
        if file:
            print(f"wrote {file}")
    return 0


def warn_of_missing_shards(runs: Sequence[str]) -> None:
    """Say which shards of a run are in none of its directories."""
    from pfp.eval.scores.runs import missing_shards, shards_together

    for shards in shards_together(runs):
        missing, total = missing_shards(shards)
        if missing:
            numbers = ", ".join(f"{index}/{total}" for index in missing)
            say(
                f"pfp-eval: {' and '.join(shards)} {'lacks' if len(shards) == 1 else 'lack'} shard "
                f"{numbers}; what follows is without it, repeat it when all are there"
            )


def _compare(options: argparse.Namespace) -> int:
    from pfp.eval.leaderboard.build import compare
    from pfp.eval.leaderboard.gate import Gate, broken
    from pfp.eval.report import render_comparison

    gates = [Gate.parse(text) for text in options.fail_if]
    warn_of_missing_shards(_runs_of(options.sides))
    board, method_a, method_b = _sides(options.sides)
    found = [
        item
        for card in board.metrics
        if (item := compare(board, card.metric_id, method_a, method_b)) is not None
    ]
    print(f"{method_a} minus {method_b}")
    print(render_comparison(board, found), end="")
    failures = broken(gates, found)
    for failure in failures:
        say(f"pfp-eval: failed: {failure}")
    return 1 if failures else 0


def _runs_of(sides: Sequence[str]) -> list[str]:
    """The run directories of a comparison, each once."""
    runs = sides[:1] if len(sides) == 3 else [_run_and_method(side)[0] for side in sides]
    return list(dict.fromkeys(runs))


def _sides(sides: Sequence[str]) -> tuple[Leaderboard, str, str]:
    """What is to be compared: two methods of one run, or one method of each of two."""
    from pfp.eval.leaderboard.build import build_leaderboard
    from pfp.eval.report import load_run
    from pfp.eval.scores.runs import read_run, side_by_side

    match sides:
        case [run, method_a, method_b]:
            board = load_run(run)[0]
            known = [method.name for method in board.methods]
            for method in (method_a, method_b):
                if method not in known:
                    raise InputError(f"{run} has no method {method!r}; it has {', '.join(known)}")
            return board, method_a, method_b
        case [side_a, side_b]:
            (run_a, only_a), (run_b, only_b) = _run_and_method(side_a), _run_and_method(side_b)
            joined, names = side_by_side(read_run(run_a), only_a, read_run(run_b), only_b)
            board = build_leaderboard(joined.generations, joined.scores)
            return board, *names
        case _:
            raise ConfigError(
                f"compare got {len(sides)} names; give RUN METHOD_A METHOD_B, or RUN_A RUN_B"
            )


def _run_and_method(side: str) -> tuple[str, str | None]:
    """``RUN#METHOD`` or ``RUN``; a folder may have that mark in its name."""
    run, mark, method = side.rpartition(METHOD_MARK)
    return (run, method) if mark and not Path(side).is_dir() else (side, None)


def _export(options: argparse.Namespace) -> int:
    from pfp.eval.scores.export import to_text, vbench_results
    from pfp.eval.scores.runs import read_run
    from pfp.io.filesystems import explain_write_errors

    warn_of_missing_shards([options.run_directory])
    results = vbench_results(read_run(options.run_directory), options.method)
    with explain_write_errors(options.vbench_json):
        Path(options.vbench_json).write_text(to_text(results), encoding="utf-8")
    print(f"wrote {options.vbench_json}: {', '.join(results)}")
    return 0
