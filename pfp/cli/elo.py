"""``pfp-eval elo``: votes of a user study to ratings with intervals."""

from __future__ import annotations

import argparse

from pfp.errors import ConfigError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``elo`` to the commands of ``pfp-eval``."""
    parser = commands.add_parser(
        "elo",
        help="ratings of models from the votes of a user study",
        description="Bradley-Terry ratings by maximum likelihood, with intervals that draw raters "
        "and prompts anew. VOTES.jsonl has one object a line with model_a, model_b and winner (a, "
        "b, tie or bothbad), and as far as known rater, prompt and left (a or b).",
    )
    parser.set_defaults(run=run)
    parser.add_argument("votes", metavar="VOTES.jsonl")
    parser.add_argument(
        "--ties",
        choices=("half", "drop", "davidson"),
        default="half",
        help="half a win for both (as FastChat), left out, or an outcome of their own",
    )
    parser.add_argument("--base", type=float, default=1200.0, help="the mean rating; default 1200")
    parser.add_argument(
        "--scale", type=float, default=400.0, help="points per tenfold odds; default 400"
    )
    parser.add_argument(
        "--prior",
        action="store_true",
        help="each model half beats and half loses to an average one, so that a model which won or "
        "lost everything gets a rating",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="MODEL=REASON",
        help="leave a model and its votes out and say why; may be repeated",
    )
    parser.add_argument("--draws", type=int, default=1000, help="of votes; default 1000")
    parser.add_argument("--confidence", type=float, default=0.95, help="default 0.95")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write the ratings as JSON, too")
    parser.add_argument("--html", metavar="FILE", help="write them as one page, too")


def run(options: argparse.Namespace) -> None:
    """Print the table; raises ``InputError`` with the cure where votes rate nothing."""
    excluded = dict(map(_excluded, options.exclude))
    from pfp.eval.elo.ratings import rate
    from pfp.eval.elo.report import render_text, write_elo
    from pfp.eval.elo.vote_study import EloSettings
    from pfp.eval.elo.votes import read_votes
    from pfp.eval.stats.aggregate import Bootstrap

    settings = EloSettings(
        ties=options.ties,
        base=options.base,
        scale=options.scale,
        prior=options.prior,
        bootstrap=Bootstrap(
            num_draws=options.draws, seed=options.seed, confidence=options.confidence
        ),
    )
    board = rate(read_votes(options.votes), settings, excluded=excluded)
    print(render_text(board), end="")
    write_elo(board, json_file=options.json, html_file=options.html)
    for file in (options.json, options.html):
        if file:
            print(f"wrote {file}")


def _excluded(text: str) -> tuple[str, str]:
    model, _, reason = text.partition("=")
    if not model or not reason:
        raise ConfigError(f"--exclude {text!r} has no reason; write MODEL=REASON")
    return model, reason
