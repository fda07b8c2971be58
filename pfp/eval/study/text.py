"""What a study says to whoever runs it: sentences and a table of raters, at most 100 columns."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pfp.errors import InputError
from pfp.eval.elo.ratings import position_bias, votes_needed
from pfp.eval.elo.vote_checks import check_rateable
from pfp.eval.elo.vote_study import EloSettings, Study
from pfp.eval.stats.aggregate import Bootstrap
from pfp.eval.study.build import Built
from pfp.eval.study.export import Collected, RaterReport

COLUMNS: Final = 100
EXAMPLES: Final = (10, 24, 42)
MAX_NAMED: Final = 3


def of_build(built: Built, folder: str) -> str:
    """What was built, what its votes can tell, and what to do next."""
    design, plan = built.design, built.plan
    each = design.num_votes / design.num_comparisons
    per_pair = design.num_votes // design.num_pairs
    what = (
        f"wrote {folder}: {len(built.models)} models, {_count(design.num_prompts, 'prompt')}, "
        f"{_count(design.num_comparisons, 'comparison')}; study {plan.study}"
    )
    who = (
        f"{_count(len(plan.slots), 'rater')} with {_count(design.pairs_per_rater, 'pair')} each "
        f"and {_count(design.repeats_per_rater, 'repeat')} to check them: {design.num_votes:,} "
        f"votes, {per_pair:,} on each pair of models, {each:.3g} on each comparison"
    )
    said = [what, who]
    if len(plan.slots) % design.even_raters:
        said.append(
            f"all comparisons are seen equally often with {design.even_raters:,} raters or a "
            "multiple"
        )
    needed = ", ".join(f"{points} Elo need {votes_needed(points):,}" for points in EXAMPLES)
    said.append(
        f"{per_pair:,} votes on a pair tell {_smallest(per_pair)} Elo apart (95 %) if all are "
        f"decided and independent; {needed}"
    )
    said += _warnings(built)
    said.append(
        f"next: `pfp-eval study serve {folder}`, or put {folder}/public on any web server; "
        f"rater ids are {plan.codes[0]} to {plan.codes[-1]}, as in index.html?rater="
        f"{plan.codes[0]}; keep {folder}/key.json to yourself"
    )
    return _wrapped(said)


def of_export(collected: Collected) -> str:
    """The table of raters, and what a reader of the ratings must know."""
    votes = collected.votes
    width = max(5, *(len(report.rater) for report in collected.raters))
    lines = [f"{'rater':<{width}}  {'votes':>9}  {'median s':>8}  {'repeats':>9}  {'left won':>11}"]
    lines += [_row(report, width) for report in collected.raters]
    counts = Counter(vote.winner for vote in votes)
    agreeing = sum(report.num_agreeing for report in collected.raters)
    repeats = sum(report.num_repeats for report in collected.raters)
    said = [
        "",
        f"{len(votes):,} votes, {counts['tie']:,} ties and {counts['bothbad']:,} both bad; "
        + (
            f"{agreeing:,} of {repeats:,} repeats were answered alike"
            if repeats
            else "no pair was repeated"
        ),
        _position(collected),
    ]
    if collected.num_taken_back:
        said.append(f"{_count(collected.num_taken_back, 'vote')} taken back")
    if collected.num_other_sessions:
        said.append(
            f"{_count(collected.num_other_sessions, 'answer')} left out: the same rater had "
            "answered the same showing in another browser before"
        )
    if collected.dropped:
        said.append(f"left out as asked: {', '.join(collected.dropped)}")
    try:
        check_rateable(Study(votes, EloSettings()))
    except InputError as error:
        said.append(f"`pfp-eval elo` will not rate these votes yet: {error}")
    return "\n".join(lines) + "\n" + _wrapped(said)


def _row(report: RaterReport, width: int) -> str:
    seconds = "" if report.median_seconds is None else f"{report.median_seconds:.1f}"
    repeats = f"{report.num_agreeing}/{report.num_repeats}" if report.num_repeats else "none"
    left = f"{report.num_left}/{report.num_decided}" if report.num_decided else "none"
    votes = f"{report.num_votes}/{report.num_expected}"
    return f"{report.rater:<{width}}  {votes:>9}  {seconds:>8}  {repeats:>9}  {left:>11}"


def _position(collected: Collected) -> str:
    bias = position_bias(collected.votes, Bootstrap(num_draws=1000))
    if bias is None:
        return "no vote was decided, so a bias for one side is unknown"
    won = f"the left video won {bias.left_share:.1%}"
    if bias.low is None or bias.high is None:
        return f"{won} of {bias.num_votes:,} decided votes"
    verdict = "a bias for one side" if bias.is_biased else "as chance would have it"
    return (
        f"{won} ({bias.low:.1%} to {bias.high:.1%}) of {bias.num_votes:,} decided votes: {verdict}"
    )


def _warnings(built: Built) -> list[str]:
    said = []
    if built.incomplete:
        said.append(
            f"left out, since not every model has a video: {_named(built.incomplete, 'prompt')}"
        )
    if built.differing:
        said.append(
            "videos differ in size, frame rate or length, by which raters may know a model, on "
            f"{_named(built.differing, 'prompt')}"
        )
    if built.telling:
        said.append(
            "a model's name stands in the bytes of the video (`ffmpeg -map_metadata -1 -c copy` "
            f"removes it) of {_named(built.telling, 'sample')}"
        )
    return said


def _smallest(num_votes: int) -> str:
    """The fewest whole points of Elo that so many votes on one pair tell apart."""
    for points in range(1, 1200):
        needed = votes_needed(points)
        if needed is not None and needed <= num_votes:
            return f"{points}"
    return "no number of"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _named(names: Sequence[str], noun: str) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    rest = "" if len(names) <= MAX_NAMED else f" and {len(names) - MAX_NAMED:,} more"
    return f"{_count(len(names), noun)}: {shown}{rest}"


def _wrapped(sentences: Sequence[str]) -> str:
    lines: list[str] = []
    for sentence in sentences:
        options = {"break_long_words": False, "break_on_hyphens": False}
        lines += textwrap.wrap(sentence, COLUMNS, **options) or [""]  # type: ignore[arg-type]
    return "\n".join(lines) + "\n"
