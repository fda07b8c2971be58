"""``pfp``: everything that is not the benchmark. Arguments in, exit status out."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from pfp import __version__
from pfp.cli.command import exit_status, prints_safely, run_command
from pfp.errors import ConfigError


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Run ``pfp``; 0, or 2 for bad input, with one sentence on standard error."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "demo":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return exit_status(f"pfp {arguments.command}", lambda: arguments.run(arguments, rest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pfp", description="Pipelines for frame-preservation pretraining of video memory."
    )
    parser.add_argument("--version", action="version", version=f"pfp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="run all five pipelines here, from videos to a leaderboard", add_help=False
    )
    demo.set_defaults(run=_demo)
    clips = commands.add_parser("make-clips", help="draw H.264 clips with their ground truth")
    clips.add_argument("directory", metavar="DIR", help="where to write them")
    clips.add_argument("--n", type=int, default=16, help="how many (default: 16)")
    clips.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    clips.set_defaults(run=_make_clips)
    why = commands.add_parser("why", help="tell one clip's whole story")
    why.add_argument("clip", metavar="CLIP", help="clip id, its beginning, or part of a path")
    why.add_argument("--run", dest="directory", default="runs/demo", help="run directory")
    why.set_defaults(run=_why)
    from pfp.cli import doctor, generate, latents, tokens, verify, weights

    doctor.add_parser(commands)
    generate.add_parser(commands)
    latents.add_parser(commands)
    tokens.add_parser(commands)
    verify.add_parser(commands)
    weights.add_parser(commands)
    return parser


def _demo(arguments: argparse.Namespace, rest: list[str]) -> int:
    """The demo needs the repository's pipelines, which this package must not import."""
    del arguments
    if find_spec("pipelines") is None or not Path("pipelines/demo.py").is_file():
        message = "the pipelines are not here; run it from the root of a pfp checkout (make demo)"
        raise ConfigError(message)
    return run_command([sys.executable, "-m", "pipelines.demo", *rest])


def _make_clips(arguments: argparse.Namespace, rest: list[str]) -> int:
    del rest
    if arguments.n < 1:
        message = f"--n is {arguments.n}; give 1 or more clips"
        raise ConfigError(message)
    from pfp.io.render import make_clips
    from pfp.runtime import ConsoleProgress

    with ConsoleProgress().counting("drawing", "clips") as count:
        paths = make_clips(
            arguments.directory, num_clips=arguments.n, seed=arguments.seed, progress=count
        )
    print(f"{len(paths)} clips in {arguments.directory}")
    return 0


def _why(arguments: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from pfp.ingest.why import why

    print(why(arguments.clip, arguments.directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
