"""Which votes rate nothing: unconnected models, and models that won or lost everything.

Axes: M models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from pfp.errors import InputError
from pfp.eval.elo.bradley_terry import Bools, connected, has_maximum, reaches
from pfp.eval.elo.vote_study import Study
from pfp.eval.elo.votes import Vote

MIN_COPIES: Final = 3  # votes; two alike may be chance
MAX_MODELS: Final = 100


def check_number(votes: Sequence[Vote]) -> None:
    """Raise ``InputError`` for more models than are rated at once: time grows with their cube."""
    models = {vote.model_a for vote in votes} | {vote.model_b for vote in votes}
    if len(models) > MAX_MODELS:
        raise InputError(
            f"{len(votes)} votes on {len(models)} models, more than the {MAX_MODELS} that are "
            "rated at once; mend the names, or exclude models with a reason"
        )


def check_rateable(study: Study) -> None:
    """Raise ``InputError`` with names and the cure if votes have no finite most likely ratings."""
    if len(study.models) < 2:
        raise InputError(
            f"{len(study.votes)} votes on {len(study.models)} models rate nothing; give votes that "
            "compare at least two models that are not excluded"
        )
    if study.settings.prior:
        return
    counts_BP3 = study.treated(study.counts()[None])
    cure = (
        "collect more votes, exclude models with a reason, or use the prior, which gives every "
        "model half a win and half a loss against an average one"
    )
    groups = _groups(connected(study.pairs, counts_BP3)[0], study.models)
    if len(groups) > 1:
        what = "no vote" if study.settings.ties != "drop" else "no vote but ties"
        raise InputError(
            f"{what} compares a model of {_listed(groups[0])} with one of "
            f"{_listed([model for group in groups[1:] for model in group])}, so their ratings have "
            f"no common zero: {cure}"
        )
    reach_MM = reaches(study.pairs, counts_BP3)[0]
    if not reach_MM.all():
        raise InputError(
            f"{_one_sided(reach_MM, study.models)}, so no rating is the most likely one: {cure}"
        )
    if not has_maximum(study.pairs, counts_BP3)[0]:
        raise InputError(
            "the wins and ties fit one order without contradiction, so Davidson's weight of ties "
            f"has no most likely value: count ties as half or drop them, or {cure}"
        )


def concerns(votes: Sequence[Vote]) -> tuple[str, ...]:
    """What makes votes weigh less than they seem to, a sentence each: copies, and one busy rater.

    The same rater asked twice about one prompt and two models is no second opinion.
    """
    return tuple(filter(None, (_copies(votes), _busiest(votes))))


def _copies(votes: Sequence[Vote]) -> str | None:
    half, is_odd = divmod(len(votes), 2)
    if half >= MIN_COPIES and not is_odd and votes[:half] == votes[half:]:
        return (
            f"The second half of the {len(votes):,} votes is the first again; if a file was "
            "written twice, remove one copy, since every vote counts double."
        )
    if any(vote.rater is None or vote.prompt is None for vote in votes):
        return None
    asked = {(vote.rater, vote.prompt, frozenset((vote.model_a, vote.model_b))) for vote in votes}
    num_again = len(votes) - len(asked)
    if not num_again:
        return None
    return (
        f"{num_again:,} of {len(votes):,} votes ask a rater again about the same prompt and "
        "models, which counts again; if a file was written twice, remove one copy."
    )


def _busiest(votes: Sequence[Vote]) -> str | None:
    given = Counter(vote.rater for vote in votes if vote.rater is not None)
    if len(given) < 2:
        return None
    rater, num = given.most_common(1)[0]
    if 2 * num <= len(votes):
        return None
    return (
        f"Rater {rater} gave {num:,} of {len(votes):,} votes, so the ratings are mostly one "
        "person's; ask more raters, or leave some of these votes out."
    )


def _groups(reach_MM: Bools, models: Sequence[str]) -> list[list[str]]:
    """The models that reach one another, group by group."""
    both_MM = reach_MM & reach_MM.T
    groups = {tuple(np.flatnonzero(row).tolist()) for row in both_MM}
    return [[models[m] for m in group] for group in sorted(groups)]


def _one_sided(reach_MM: Bools, models: Sequence[str]) -> str:
    """Which groups never lost to the others, and which never won."""
    number = {model: m for m, model in enumerate(models)}
    said = []
    for group in _groups(reach_MM, models):
        inside = [number[model] for model in group]
        outside = [m for m in range(len(models)) if m not in inside]
        if not reach_MM[np.ix_(outside, inside)].any():
            said.append(f"{_listed(group)} never lost to the others")
        if not reach_MM[np.ix_(inside, outside)].any():
            said.append(f"{_listed(group)} never won against the others")
    return " and ".join(said)


def _listed(models: Sequence[str]) -> str:
    return ", ".join(repr(model) for model in models)
