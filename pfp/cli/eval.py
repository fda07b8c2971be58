"""``pfp-eval``: score a run, report it, compare two of its arms, and say what the numbers mean."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from pfp.cli.pipes import quiet_when_unread
from pfp.errors import InputError, PfpError, WeightsError


def build_parser() -> argparse.ArgumentParser:
    """The commands; nothing heavy is imported before one of them runs."""
    parser = argparse.ArgumentParser(
        prog="pfp-eval",
        description="Scores and leaderboards of generated videos. RUN is the --output of "
        "python -m pipelines.eval.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    report = commands.add_parser(
        "report", help="write leaderboard.{html,md,txt,json} of a scored run"
    )
    report.add_argument("run", metavar="RUN")
    for form in ("html", "md", "json"):
        report.add_argument(f"--{form}", metavar="FILE", help=f"write only the {form} form, there")

    score = commands.add_parser(
        "score", help="measure what was generated; resumes where it stopped"
    )
    score.add_argument("run", metavar="RUN")
    score.add_argument(
        "--metrics", metavar="A,B", help="names from `pfp-eval ls metrics`; default all"
    )
    score.add_argument("--engine", choices=("ray", "local"), default="local")

    compare = commands.add_parser("compare", help="two arms of a scored run, clip by clip")
    compare.add_argument("run", metavar="RUN")
    compare.add_argument("arm_a", metavar="ARM_A")
    compare.add_argument("arm_b", metavar="ARM_B")

    ls = commands.add_parser("ls", help="list what there is")
    ls.add_argument("what", choices=("metrics",))

    show = commands.add_parser("show", help="a metric's definition, constants, source and licence")
    show.add_argument("metric", metavar="METRIC")
    return parser


@quiet_when_unread
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a wrong input is one sentence on stderr and exit status 2."""
    options = build_parser().parse_args(argv)
    command = {
        "report": _report,
        "score": _score,
        "compare": _compare,
        "ls": _ls,
        "show": _show,
    }[options.command]
    try:
        command(options)
    except PfpError as error:
        print(f"pfp-eval: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("pfp-eval: stopped", file=sys.stderr)
        return 130
    return 0


def _report(options: argparse.Namespace) -> None:
    from pfp.eval.report import ReportFiles, render_text, write_report

    files = ReportFiles(html=options.html, markdown=options.md, json=options.json)
    if files == ReportFiles():
        files = ReportFiles.in_run(options.run)
    print(render_text(write_report(options.run, files=files)), end="")
    for file in (files.html, files.markdown, files.text, files.json):
        if file:
            print(f"wrote {file}")


def _score(options: argparse.Namespace) -> None:
    from pfp import runtime
    from pfp.eval.metrics import METRICS
    from pfp.eval.score import ScoreSettings, run_score

    names = options.metrics.split(",") if options.metrics else METRICS
    settings = ScoreSettings(metrics=tuple(names))
    with runtime.connect(options.engine):
        progress = runtime.ConsoleProgress()
        report = run_score(options.run, settings, engine=options.engine, progress=progress)
    runtime.summary.merge_stage(options.run, report)


def _compare(options: argparse.Namespace) -> None:
    from pfp.eval.build import compare
    from pfp.eval.report import load_run, render_comparison

    board = load_run(options.run)[0]
    known = [arm.name for arm in board.arms]
    for arm in (options.arm_a, options.arm_b):
        if arm not in known:
            raise InputError(f"{options.run} has no arm {arm!r}; it has {', '.join(known)}")
    found = [
        item
        for card in board.metrics
        for item in compare(
            board.values, card.metric_id, options.arm_a, [options.arm_b], board.bootstrap
        )
    ]
    print(f"{options.arm_a} minus {options.arm_b}")
    print(render_comparison(board, found), end="")


def _ls(options: argparse.Namespace) -> None:
    del options  # there is one list so far
    from pfp.eval.metrics import METRICS, resolve

    for name in METRICS:
        card = resolve(name).card
        state = ", ".join(map(_weights_state, card.weights)) or "ready"
        unit = card.unit or "-"
        print(f"{card.metric_id:<14}{unit:<5}{card.direction + ' is better':<19}{state}")


def _weights_state(name: str) -> str:
    from pfp.io import weights

    state = next(status.state for status in weights.ls() if status.weights.name == name)
    return "ready" if state == "present" else f"weights {state}, `pfp weights fetch {name}`"


def _show(options: argparse.Namespace) -> None:
    from pfp.eval.metrics import resolve
    from pfp.io import weights

    card = resolve(options.metric).card
    low = "-inf" if card.low is None else f"{card.low:g}"
    high = "inf" if card.high is None else f"{card.high:g}"
    lines = {
        "metric": f"{card.metric_id} ({card.title})",
        "what": card.summary,
        "unit": card.unit or "none",
        "range": f"{low} to {high}, {card.direction} is better",
        "parameters": json.dumps(card.params, sort_keys=True),
        "source": card.citation,
        "licence": card.licence,
    }
    for name in card.weights:
        entry = weights.entry_of(name)
        lines["weights"] = f"{entry.name}, {entry.licence}, sha256 {entry.sha256}"
        lines["state"] = _weights_state(name)
        try:
            lines["path"] = str(weights.find(name))
        except WeightsError:
            lines["path"] = f"{weights.path_of(name)} (not usable yet)"
    for name, value in lines.items():
        print(f"{name:<12}{value}")
