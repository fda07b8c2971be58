"""How far ratings would be elsewhere with other raters and prompts: what votes have in common.

Axes: B draws, M models, R labels (raters, prompts, or both), V votes, K outcomes
of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pfp.eval.elo.bradley_terry import Floats
from pfp.eval.elo.vote_study import Study
from pfp.eval.stats.aggregate import MAX_CELLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Half the length of each rating's interval (M,), and what it knows to go together.

    ``mended_share`` is the share of draws that were fitted with the prior. There is no interval
    where there is only one vote.
    """

    half_M: Floats | None
    resampled: tuple[str, ...]
    mended_share: float


def reach_of(study: Study) -> Reach:
    """Student's intervals by raters and prompts, or by votes where none is named.

    Raters and prompts are left out in turn, since draws of few vary too little; votes that share
    both are drawn, since they may be very many.
    """
    names = {name: [getattr(vote, name) for vote in study.votes] for name in ("rater", "prompt")}
    levels: dict[str, list[Any]] = {
        name: labels
        for name, labels in names.items()
        if None not in labels and len(set(labels)) > 1
    }
    if len(study.votes) < 2:
        return Reach(half_M=None, resampled=(), mended_share=0.0)
    cells = list(zip(*levels.values(), strict=True)) if levels else list(range(len(study.votes)))
    drawn_BM, mended_share = _drawn(study, cells)
    spread = _Spread.of_draws(drawn_BM, num=len(set(cells)))
    left_out = [_Spread.by_jackknife(study, labels) for labels in levels.values()]
    if len(left_out) == 1:
        spread = left_out[0]
    elif left_out:
        spread = _crossed(by_rater=left_out[0], by_prompt=left_out[1], by_both=spread)
    return Reach(
        half_M=spread.half_of_interval(study.settings.bootstrap.confidence),
        resampled=tuple(levels) or ("vote",),
        mended_share=mended_share,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """The variance of ratings (M,) and how many degrees of freedom it was estimated with."""

    variance_M: Floats
    freedom_M: Floats

    @classmethod
    def by_jackknife(cls, study: Study, labels: Sequence[Any]) -> _Spread:
        """With each label's votes left out in turn."""
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


def _crossed(*, by_rater: _Spread, by_prompt: _Spread, by_both: _Spread) -> _Spread:
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


def _drawn(study: Study, labels: Sequence[Any]) -> tuple[Floats, float]:
    """Ratings (B, M) with whole labels drawn, and the share of draws that needed the prior."""
    settings = study.settings.bootstrap
    number = {label: r for r, label in enumerate(dict.fromkeys(labels))}
    order_V = np.argsort(study.outcome_V, kind="stable")
    label_V = np.array([number[label] for label in labels])[order_V]
    outcomes, starts = np.unique(study.outcome_V[order_V], return_index=True)
    rng = np.random.default_rng(settings.seed)
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
