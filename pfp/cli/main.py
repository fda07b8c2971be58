"""``pfp``: everything that is not the benchmark. Arguments in, exit status out."""

from __future__ import annotations

import argparse
import sys

from pfp import __version__
from pfp.cli.command import exit_status, prints_safely


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Run ``pfp``; 0, or 2 for bad input, with one sentence on standard error."""
    arguments = _parser().parse_args(argv)
    return exit_status(f"pfp {arguments.command}", lambda: arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pfp", description="Pipelines for frame-preservation pretraining of video memory."
    )
    parser.add_argument("--version", action="version", version=f"pfp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    why = commands.add_parser("why", help="tell one clip's whole story")
    why.add_argument("clip", metavar="CLIP", help="clip id, its beginning, or part of a path")
    why.add_argument("--run", dest="directory", default="runs/demo", help="run directory")
    why.set_defaults(run=_why)
    funnel = commands.add_parser(
        "funnel", help="count what each rule of ingest takes out of a collection"
    )
    funnel.add_argument("directory", metavar="RUN", help="run directory")
    funnel.add_argument(
        "--html",
        metavar="FILE",
        help="also write a page there, with measures, examples and timelines",
    )
    funnel.set_defaults(run=_funnel)
    from pfp.cli import checkpoint, doctor, generate, latents, tokens, verify, weights

    checkpoint.add_parser(commands)
    doctor.add_parser(commands)
    generate.add_parser(commands)
    latents.add_parser(commands)
    tokens.add_parser(commands)
    verify.add_parser(commands)
    weights.add_parser(commands)
    return parser


def _why(arguments: argparse.Namespace) -> int:
    from pfp.ingest.why import why

    print(why(arguments.clip, arguments.directory))
    return 0


def _funnel(arguments: argparse.Namespace) -> int:
    from pfp.ingest.funnel import funnels

    for funnel in funnels(arguments.directory):
        print(*funnel.lines(), sep="\n")
    if arguments.html:
        from pfp.ingest.report import write_report

        write_report(arguments.directory, arguments.html)
        print(f"wrote {arguments.html}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
