"""Which votes rate nothing: unconnected models, and models that won or lost everything.

Axes: M models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pfp.errors import InputError
from pfp.eval.bradley_terry import Bools, connected, has_maximum, reaches
from pfp.eval.vote_study import Study
from pfp.eval.votes import Vote

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
