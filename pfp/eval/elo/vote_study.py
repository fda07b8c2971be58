"""A user study as numbers: votes counted by pair and outcome, and fitted after a policy for ties.

Axes: V votes, P pairs of models, M models, B studies rated at once, 3 outcomes: first won, second
won, tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np

from pfp.errors import ConfigError
from pfp.eval.elo.bradley_terry import Floats, Ints, Pairs, fit, has_maximum
from pfp.eval.elo.votes import Vote
from pfp.eval.stats.aggregate import Bootstrap

Ties = Literal["half", "drop", "davidson"]
TIES: Final = get_args(Ties)
PSEUDO_WIN: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EloSettings:
    """How votes become ratings.

    ties: ``half`` a win for both sides (FastChat), ``drop`` them, or a third outcome after
    ``davidson``; both bad counts as a tie. base: the mean rating. scale: the points in which the
    odds grow tenfold. prior: each model half beats and half loses to one of average strength.
    """

    ties: Ties = "half"
    base: float = 1200.0
    scale: float = 400.0
    prior: bool = False
    bootstrap: Bootstrap = field(default_factory=lambda: Bootstrap(num_draws=1000))

    def __post_init__(self) -> None:
        """Refuse settings that rate nothing."""
        if self.ties not in TIES or not self.scale > 0 or not math.isfinite(self.base + self.scale):
            raise ConfigError(
                f"ties {self.ties!r}, base {self.base}, scale {self.scale}; use one of "
                f"{', '.join(TIES)}, a finite base and a positive scale"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCount:
    """How often a beat b, b beat a, and neither."""

    model_a: str
    model_b: str
    num_a: int
    num_b: int
    num_ties: int


class Study:
    """Votes as numbers: of which pair each is, and which of three outcomes it has."""

    def __init__(self, votes: Sequence[Vote], settings: EloSettings) -> None:
        self.votes, self.settings = votes, settings
        self.models = sorted({vote.model_a for vote in votes} | {vote.model_b for vote in votes})
        number = {model: m for m, model in enumerate(self.models)}
        keys = [ordered(vote) for vote in votes]
        found = sorted({(number[first], number[second]) for first, second, _ in keys})
        self.pairs = Pairs(
            num_models=len(self.models),
            first_P=np.array([first for first, _ in found], dtype=np.int64),
            second_P=np.array([second for _, second in found], dtype=np.int64),
        )
        place = {pair: p for p, pair in enumerate(found)}
        self.outcome_V: Ints = np.array(
            [3 * place[number[first], number[second]] + outcome for first, second, outcome in keys],
            dtype=np.int64,
        )
        self.num_outcomes = 3 * len(found)

    def counts(self) -> Floats:
        """Votes by pair and outcome, (P, 3)."""
        return np.bincount(self.outcome_V, minlength=self.num_outcomes).reshape(-1, 3).astype(float)

    def pair_counts(self) -> list[PairCount]:
        """The same for people."""
        return [
            PairCount(
                model_a=self.models[first],
                model_b=self.models[second],
                num_a=int(row[0]),
                num_b=int(row[1]),
                num_ties=int(row[2]),
            )
            for first, second, row in zip(
                self.pairs.first_P, self.pairs.second_P, self.counts(), strict=True
            )
        ]

    def treated(self, counts_BP3: Floats) -> Floats:
        """The counts after the policy for ties."""
        if self.settings.ties == "davidson":
            return counts_BP3
        half = 0.5 if self.settings.ties == "half" else 0.0
        treated_BP3 = counts_BP3.copy()
        treated_BP3[..., :2] += half * counts_BP3[..., 2:]
        treated_BP3[..., 2] = 0.0
        return treated_BP3

    def strengths(self, counts_BP3: Floats) -> tuple[Floats, Floats, int]:
        """Strengths (B, M), ties (B,), and how many had to be fitted with the prior unasked."""
        treated_BP3 = self.treated(counts_BP3)
        plain_B = has_maximum(self.pairs, treated_BP3) & (not self.settings.prior)
        strength_BM = np.empty((len(counts_BP3), len(self.models)))
        tie_B = np.empty(len(counts_BP3))
        if plain_B.any():
            found = fit(self.pairs, treated_BP3[plain_B])
            strength_BM[plain_B], tie_B[plain_B] = found.strength_BM, found.tie_B
        if not plain_B.all():
            found = fit(*self._with_average(treated_BP3[~plain_B]))
            mended_BM = found.strength_BM[:, :-1]
            strength_BM[~plain_B] = mended_BM - mended_BM.mean(axis=1, keepdims=True)
            tie_B[~plain_B] = found.tie_B
        return strength_BM, tie_B, 0 if self.settings.prior else int((~plain_B).sum())

    def _with_average(self, counts_BP3: Floats) -> tuple[Pairs, Floats]:
        """One model more, which every other half beats and half loses to."""
        num = len(self.models)
        pairs = Pairs(
            num_models=num + 1,
            first_P=np.concatenate([self.pairs.first_P, np.arange(num)]),
            second_P=np.concatenate([self.pairs.second_P, np.full(num, num)]),
        )
        pseudo_M3 = np.tile([PSEUDO_WIN, PSEUDO_WIN, 0.0], (num, 1))
        pseudo_BM3 = np.broadcast_to(pseudo_M3, (len(counts_BP3), num, 3))
        return pairs, np.concatenate([counts_BP3, pseudo_BM3], axis=1)

    def elo(self, strength_BM: Floats) -> Floats:
        """Strengths on the scale of Elo."""
        return self.settings.base + self.settings.scale / math.log(10) * strength_BM


def ordered(vote: Vote) -> tuple[str, str, int]:
    """The two models in alphabetic order, and 0 if the first won, 1 the second, 2 neither."""
    first, second = sorted((vote.model_a, vote.model_b))
    if vote.winner not in {"a", "b"}:
        return first, second, 2
    winner = vote.model_a if vote.winner == "a" else vote.model_b
    return first, second, 0 if winner == first else 1
