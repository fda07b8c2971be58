"""``pfp-eval study build | serve | export``: a user study, from videos to votes."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from pfp.cli.settings import names_of
from pfp.errors import ConfigError


def add_parsers(commands: Any) -> None:
    """Add ``study`` and its commands to those of ``pfp-eval``."""
    parser = commands.add_parser(
        "study",
        help="a user study: build its page, serve it, export the votes",
        description="Raters see two videos of one prompt at a time, without names, and vote. "
        "STUDY is a folder; what is in STUDY/public may be put on any web server.",
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_build(steps)
    _add_serve(steps)
    _add_export(steps)


def _add_build(steps: Any) -> None:
    parser = steps.add_parser(
        "build",
        help="write the page, the plan and the blind videos",
        description="Every pair of models is compared on every prompt on which all models have a "
        "video. Comparisons go round evenly, sides are drawn and balanced, each rater has an "
        "order of their own; the same seed gives the same study.",
    )
    parser.add_argument(
        "manifests",
        metavar="MANIFEST",
        nargs="+",
        help="JSON lines with `model` and `prompt`, or one folder per model with equal file names",
    )
    parser.add_argument("--out", metavar="STUDY", required=True, help="a folder that is not there")
    parser.add_argument("--models", metavar="A,B", help="which take part; default all")
    parser.add_argument(
        "--exclude",
        "--excluded",
        action="append",
        default=[],
        metavar="MODEL=REASON",
        help="do not show a model and say why; tables show it as /; may be repeated",
    )
    parser.add_argument(
        "--raters", type=int, help="how many orders to plan; default one vote on each comparison"
    )
    parser.add_argument(
        "--pairs-per-rater", type=int, metavar="N", help="default 30, or all if they are fewer"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="pairs that a rater sees again with sides swapped, to check them; they are no votes; "
        "default a tenth of the pairs, at most 3",
    )
    parser.add_argument("--question", help="default: Which video is better?")
    parser.add_argument(
        "--allow-ties",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="offer `About the same`; default yes",
    )
    parser.add_argument(
        "--allow-both-bad",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="offer `Both are bad`; default yes",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--copy", dest="link", action="store_false", help="copy the videos; the default"
    )
    how.add_argument(
        "--link",
        action="store_true",
        help="hard links instead: no space, the same disk, and whoever overwrites a video in its "
        "place changes the study",
    )
    parser.add_argument("--seed", type=int, default=0, help="of orders, sides and names; default 0")
    parser.set_defaults(run=_build, link=False)


def _add_serve(steps: Any) -> None:
    parser = steps.add_parser(
        "serve",
        help="show the page to raters and take in their votes",
        description="Serves STUDY/public and appends what raters answer to STUDY/ballots.jsonl; a "
        "vote that a browser knows to have arrived is on the disk. Only this machine can connect "
        "unless --host says otherwise. There is no authentication and no encryption: before "
        "--host 0.0.0.0, which lets everyone vote who reaches the port, put a proxy with both in "
        "front, or use a tunnel (ssh -L).",
    )
    parser.add_argument("study", metavar="STUDY")
    parser.add_argument("--port", type=int, default=8765, help="default 8765; 0 takes a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="default 127.0.0.1; 0.0.0.0 is every network"
    )
    parser.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which raters' browsers reach the server, such as a proxy's; addresses and "
        "localhost need none; may be repeated",
    )
    parser.set_defaults(run=_serve)


def _add_export(steps: Any) -> None:
    parser = steps.add_parser(
        "export",
        help="write the votes that `pfp-eval elo` reads, and say how raters did",
        description="Joins the server's ballots and files that raters downloaded, checks each, "
        "counts each once, names the models, and prints for each rater the votes, the seconds per "
        "vote, how many repeats were answered alike, and how often the left video won.",
    )
    parser.add_argument("study", metavar="STUDY")
    parser.add_argument("files", metavar="FILE", nargs="*", help="ballots that raters downloaded")
    parser.add_argument("--out", metavar="VOTES.jsonl", required=True)
    parser.add_argument(
        "--drop-rater",
        action="append",
        default=[],
        metavar="ID",
        help="leave a rater's votes out; may be repeated",
    )
    parser.set_defaults(run=_export)


def _build(options: argparse.Namespace) -> None:
    from pfp.eval.manifest import read_manifest
    from pfp.eval.study.build import DEFAULT_QUESTION, StudySettings, build_study
    from pfp.eval.study.text import of_build

    settings = StudySettings(
        pairs_per_rater=options.pairs_per_rater,
        num_raters=options.raters,
        repeats_per_rater=options.repeats,
        models=names_of(options.models) or None,
        excluded=dict(map(_excluded, options.exclude)),
        question=DEFAULT_QUESTION if options.question is None else options.question,
        ties=options.allow_ties,
        both_bad=options.allow_both_bad,
        link=options.link,
        seed=options.seed,
    )
    samples = [sample for path in options.manifests for sample in read_manifest(path).samples]
    print(of_build(build_study(samples, options.out, settings), options.out), end="")


def _serve(options: argparse.Namespace) -> None:
    from pfp.eval.study.server import open_server

    with open_server(
        options.study, host=options.host, port=options.port, host_names=options.host_name
    ) as server:
        print(
            f"serving {options.study} at {server.address} with {len(server.log):,} ballots so far;"
            " stop with Ctrl-C",
            flush=True,
        )
        server.serve_forever()


def _export(options: argparse.Namespace) -> None:
    from pfp.eval.study.export import collect, gather, write_votes
    from pfp.eval.study.plan import read_study
    from pfp.eval.study.text import of_export

    plan, key = read_study(options.study)
    ballots = gather(options.study, options.files, plan)
    collected = collect(ballots, plan, key, drop=options.drop_rater)
    write_votes(collected.votes, options.out, options.study)
    print(of_export(collected), end="")
    print(f"wrote {options.out}")
    excluded = [f"{model}={reason}" for model, reason in key.excluded.items()]
    command = ["pfp-eval", "elo", options.out]
    command += [part for text in excluded for part in ("--exclude", text)]
    print(f"next: {shlex.join(command)}")


def _excluded(text: str) -> tuple[str, str]:
    model, _, reason = text.partition("=")
    if not model or not reason:
        raise ConfigError(f"--exclude {text!r} has no reason; write MODEL=REASON")
    return model, reason
