"""Ratings of studies with other raters and prompts: a bootstrap of what votes have in common.

Axes: B draws, M models, R labels (raters, prompts, or both), V votes, K outcomes
of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pfp.eval.aggregate import MAX_CELLS
from pfp.eval.bradley_terry import Floats
from pfp.eval.vote_study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Ratings of resampled studies (B, M), what was drawn, and the share that the prior mended.

    There are none where there is only one vote to draw.
    """

    elo_BM: Floats
    resampled: tuple[str, ...]
    mended_share: float


def draws_of(study: Study) -> Draws:
    """Ratings of studies with raters and prompts drawn anew, or with votes where none is named.

    Raters and prompts cross, and a bootstrap of either alone misses the other. So deviations by
    raters and by prompts are added, and shrunk until their variance is that by raters plus that by
    prompts less that by both at once, which each of the two contains (Cameron, Gelbach and Miller
    2011); it is never taken below the larger of the two.
    """
    names = {name: [getattr(vote, name) for vote in study.votes] for name in ("rater", "prompt")}
    levels: dict[str, list[Any]] = {
        name: labels
        for name, labels in names.items()
        if None not in labels and len(set(labels)) > 1
    }
    levels = levels or {"vote": list(range(len(study.votes)))}
    if len(study.votes) < 2:
        return Draws(elo_BM=np.empty((0, len(study.models))), resampled=(), mended_share=0.0)
    found = [_ratings(study, labels, stream) for stream, labels in enumerate(levels.values())]
    elo_BM = found[0][0]
    if len(found) == 2:
        found.append(_ratings(study, list(zip(*levels.values(), strict=True)), 2))
        centre_M = study.elo(study.strengths(study.counts()[None])[0])[0]
        elo_BM = centre_M + _crossed(*(elo_BM - elo_BM.mean(axis=0) for elo_BM, _ in found))
    return Draws(
        elo_BM=elo_BM,
        resampled=tuple(levels),
        mended_share=float(np.mean([share for _, share in found])),
    )


def _crossed(by_rater_BM: Floats, by_prompt_BM: Floats, by_both_BM: Floats) -> Floats:
    """Deviations with the variance of two crossed sources."""
    rater_M, prompt_M, both_M = (x.var(axis=0) for x in (by_rater_BM, by_prompt_BM, by_both_BM))
    wanted_M = np.maximum(rater_M + prompt_M - both_M, np.maximum(rater_M, prompt_M))
    added_M = np.maximum(rater_M + prompt_M, np.finfo(np.float64).tiny)
    return np.asarray(np.sqrt(wanted_M / added_M) * (by_rater_BM + by_prompt_BM))


def _ratings(study: Study, labels: Sequence[Any], stream: int) -> tuple[Floats, float]:
    """Ratings (B, M) with whole labels drawn, and the share of draws that needed the prior."""
    settings = study.settings.bootstrap
    number = {label: r for r, label in enumerate(dict.fromkeys(labels))}
    order_V = np.argsort(study.outcome_V, kind="stable")
    label_V = np.array([number[label] for label in labels])[order_V]
    outcomes, starts = np.unique(study.outcome_V[order_V], return_index=True)
    rng = np.random.default_rng([settings.seed, stream])
    num_models, num_outcomes = len(study.models), study.num_outcomes
    rows = max(1, MAX_CELLS // max(len(labels), num_outcomes * num_models))  # bounded memory
    elo, num_mended = [], 0
    for start in range(0, settings.num_draws, rows):
        size = min(rows, settings.num_draws - start)
        times_BR = rng.multinomial(len(number), np.full(len(number), 1 / len(number)), size=size)
        counts_BK = np.zeros((size, num_outcomes))
        counts_BK[:, outcomes] = np.add.reduceat(times_BR[:, label_V], starts, axis=1)
        strength_BM, _, mended = study.strengths(counts_BK.reshape(size, -1, 3))
        elo.append(study.elo(strength_BM))
        num_mended += mended
    return np.concatenate(elo), num_mended / settings.num_draws
