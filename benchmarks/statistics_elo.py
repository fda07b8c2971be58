"""Studies whose true ratings are known, and how often intervals miss them.

Axes: P pairs of models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from pfp.eval.elo.bradley_terry import Pairs, fit
from pfp.eval.elo.ratings import rate
from pfp.eval.elo.vote_study import EloSettings
from pfp.eval.elo.votes import Vote
from pfp.eval.stats.aggregate import Bootstrap

ELOS: Final = (1150.0, 1200.0, 1250.0)
NAMES: Final = "abc"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """Who votes on what; ``taste`` is how far, in Elo, raters and prompts differ."""

    num_votes: int
    num_raters: int | None
    num_prompts: int | None
    taste: float

    @property
    def name(self) -> str:
        """The plan in words."""
        if self.num_raters is None:
            return f"{self.num_votes} votes without names"
        of = f"tastes of {self.taste:g} Elo" if self.taste else "no tastes"
        return (
            f"{self.num_votes} votes of {self.num_raters} raters on {self.num_prompts} prompts, "
            f"{of}"
        )

    def votes(self, rng: np.random.Generator) -> list[Vote]:
        """Votes of one study."""
        by_rater = rng.normal(0, self.taste, (self.num_raters or 1, len(ELOS)))
        by_prompt = rng.normal(0, self.taste, (self.num_prompts or 1, len(ELOS)))
        raters = rng.integers(len(by_rater), size=self.num_votes)
        prompts = rng.integers(len(by_prompt), size=self.num_votes)
        found = []
        for r, p in zip(raters, prompts, strict=True):
            i, j = rng.choice(len(ELOS), 2, replace=False)
            felt = np.array(ELOS) + by_rater[r] + by_prompt[p]
            wins = rng.random() < 1 / (1 + 10 ** ((felt[j] - felt[i]) / 400))
            found.append(
                Vote(
                    model_a=NAMES[i],
                    model_b=NAMES[j],
                    winner="a" if wins else "b",
                    rater=f"r{r}" if self.num_raters else None,
                    prompt=f"p{p}" if self.num_prompts else None,
                )
            )
        return found

    def truth(self) -> dict[str, float]:
        """The ratings that endless votes of endless raters on endless prompts would give."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        first_P, second_P = np.array([0, 0, 1]), np.array([1, 2, 2])
        gaps_P = np.array(ELOS)[first_P] - np.array(ELOS)[second_P]
        # Two models' tastes of one rater and of one prompt: four normal deviations.
        chances = 1 / (1 + 10 ** (-(gaps_P[:, None] + 2 * self.taste * nodes) / 400))
        wins_P = chances @ weights / weights.sum()
        counts_P3 = np.stack([wins_P, 1 - wins_P, np.zeros(3)], axis=1)
        pairs = Pairs(num_models=3, first_P=first_P, second_P=second_P)
        strength_M = fit(pairs, counts_P3[None]).strength_BM[0]
        return dict(zip(NAMES, 1200 + 400 / math.log(10) * strength_M, strict=True))


STUDIES: Final = (
    StudyPlan(num_votes=240, num_raters=None, num_prompts=None, taste=0.0),
    StudyPlan(num_votes=240, num_raters=15, num_prompts=20, taste=0.0),
    StudyPlan(num_votes=240, num_raters=15, num_prompts=20, taste=150.0),
    StudyPlan(num_votes=600, num_raters=15, num_prompts=20, taste=100.0),
    StudyPlan(num_votes=400, num_raters=8, num_prompts=10, taste=150.0),
    StudyPlan(num_votes=600, num_raters=40, num_prompts=50, taste=0.0),
    StudyPlan(num_votes=1000, num_raters=40, num_prompts=50, taste=150.0),
)


def elo_misses(plan: StudyPlan, num: int) -> list[list[bool]]:
    """For each study, of which models the interval misses the truth."""
    truth, found = plan.truth(), []
    for seed in range(num):
        rng = np.random.default_rng([plan.num_votes, int(plan.taste), seed])
        settings = EloSettings(bootstrap=Bootstrap(num_draws=500, seed=seed), prior=False)
        board = rate(plan.votes(rng), settings)
        found.append(
            [
                r.low is None or r.high is None or not r.low <= truth[r.model] <= r.high
                for r in board.ratings
            ]
        )
    return found
