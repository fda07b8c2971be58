"""``pfp-eval``: score videos, report runs, compare them, and say what the numbers mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pfp.cli import elo, eval_info, eval_read, eval_run, study
from pfp.cli.command import exit_status, prints_safely


def build_parser() -> argparse.ArgumentParser:
    """The commands; nothing heavy is imported before one of them runs."""
    parser = argparse.ArgumentParser(
        prog="pfp-eval",
        description="Scores and leaderboards of generated videos. MANIFEST is JSON lines or a "
        "folder of videos, RUN the --out of a run or the --output of python -m pipelines.eval.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    eval_run.add_parsers(commands)
    eval_read.add_parsers(commands)
    eval_info.add_parsers(commands)
    elo.add_parser(commands)
    study.add_parsers(commands)
    return parser


@prints_safely
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a wrong input is one sentence on stderr and exit status 2."""
    options = build_parser().parse_args(argv)
    return exit_status("pfp-eval", lambda: options.run(options))
