"""Ratings of studies with other raters and prompts: a bootstrap of what votes have in common.

Its draws give intervals their shape; how long they are says a jackknife, since draws of few raters
vary too little, and Student's t for as many raters and prompts as there are.

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

    Raters and prompts cross, and drawing either alone misses the other. So deviations by raters
    and by prompts are added, and stretched to the interval of two crossed sources.
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
    spread = [_Spread.of(study, labels) for labels in levels.values()]
    off_BM = np.sum([elo_BM - elo_BM.mean(axis=0) for elo_BM, _ in found], axis=0)
    if len(found) == 2:
        both = list(zip(*levels.values(), strict=True))
        found.append(_ratings(study, both, 2))
        spread = [_crossed(*spread, _Spread.of_draws(found[-1][0], num=len(set(both))))]
    confidence = study.settings.bootstrap.confidence
    tails = np.quantile(off_BM, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    half_M = np.maximum((tails[1] - tails[0]) / 2, np.finfo(np.float64).tiny)
    stretch_M = spread[0].half_of_interval(confidence) / half_M
    centre_M = study.elo(study.strengths(study.counts()[None])[0])[0]
    return Draws(
        elo_BM=centre_M + stretch_M * off_BM,
        resampled=tuple(levels),
        mended_share=float(np.mean([share for _, share in found])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """The variance of ratings (M,) and how many degrees of freedom it was estimated with."""

    variance_M: Floats
    freedom_M: Floats

    @classmethod
    def of(cls, study: Study, labels: Sequence[Any]) -> _Spread:
        """By the jackknife: with each label's votes left out in turn."""
        number = {label: r for r, label in enumerate(dict.fromkeys(labels))}
        label_V = np.array([number[label] for label in labels])
        num, total_K = len(number), study.counts().reshape(-1)
        rows = max(1, MAX_CELLS // (study.num_outcomes * len(study.models)))  # bounded memory
        elo = []
        for start in range(0, num, rows):
            size = min(rows, num - start)
            counts_RK = np.tile(total_K, (size, 1))
            here_V = (start <= label_V) & (label_V < start + size)
            np.subtract.at(counts_RK, (label_V[here_V] - start, study.outcome_V[here_V]), 1.0)
            elo.append(study.elo(study.strengths(counts_RK.reshape(size, -1, 3))[0]))
        elo_RM = np.concatenate(elo)
        return cls(
            variance_M=elo_RM.var(axis=0) * (num - 1),
            freedom_M=np.full(len(study.models), num - 1.0),
        )

    @classmethod
    def of_draws(cls, elo_BM: Floats, *, num: int) -> _Spread:
        """By the bootstrap over ``num`` labels, which are too many to leave each out."""
        return cls(
            variance_M=elo_BM.var(axis=0) * num / (num - 1),
            freedom_M=np.full(elo_BM.shape[1], num - 1.0),
        )

    def half_of_interval(self, confidence: float) -> Floats:
        """Half of Student's interval, (M,)."""
        from scipy.special import stdtrit

        t_M = stdtrit(self.freedom_M, 0.5 + confidence / 2)
        return np.asarray(t_M * np.sqrt(self.variance_M))


def _crossed(by_rater: _Spread, by_prompt: _Spread, by_both: _Spread) -> _Spread:
    """That by raters plus that by prompts, less that by both at once, which each contains.

    After Cameron, Gelbach and Miller (2011), never below the larger of the two; degrees of freedom
    after Satterthwaite (1946), of what raters and prompts have beyond chance, and of chance.
    """
    rater_M, prompt_M, both_M = (x.variance_M for x in (by_rater, by_prompt, by_both))
    parts = [np.maximum(rater_M - both_M, 0), np.maximum(prompt_M - both_M, 0), both_M]
    freedoms = [x.freedom_M for x in (by_rater, by_prompt, by_both)]
    squares = [part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True)]
    tiny = np.finfo(np.float64).tiny
    return _Spread(
        variance_M=np.maximum(rater_M + prompt_M - both_M, np.maximum(rater_M, prompt_M)),
        freedom_M=np.maximum(np.sum(parts, axis=0) ** 2, tiny)
        / np.maximum(np.sum(squares, axis=0), tiny),
    )


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
