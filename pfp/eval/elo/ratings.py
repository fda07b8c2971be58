"""Votes to ratings with intervals: Bradley-Terry by maximum likelihood on the scale of Elo.

The paper reports a user study in Elo and says nothing of how; its tables average about 1200, so
that is the base. The fit is that of FastChat's leaderboard up to where zero lies. Online Elo, which
depends on the order of votes, is not offered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from pfp.eval.elo.bradley_terry import Floats
from pfp.eval.elo.vote_checks import check_number, check_rateable, concerns
from pfp.eval.elo.vote_reach import reach_of
from pfp.eval.elo.vote_study import EloSettings, PairCount, Study, ordered
from pfp.eval.elo.votes import Vote
from pfp.eval.stats.aggregate import Bootstrap, summarise_clustered, wilson
from pfp.eval.stats.sign_flips import MIN_CLUSTERS

LEVEL: Final = 1e-9  # differences of strength that are rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A model's rating, its interval, and the best and worst rank that the intervals allow.

    The best rank is 1 and the number of models whose interval lies wholly above this one's.
    """

    model: str
    elo: float
    low: float | None
    high: float | None
    best_rank: int
    worst_rank: int
    num_wins: int
    num_losses: int
    num_ties: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Two neighbours in the table, and how many votes on the two would tell them apart.

    ``num_needed`` is None when they are level: then no number does.
    """

    better: str
    worse: str
    points: float
    num_needed: int | None
    num_votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionBias:
    """The share of decided votes that the left video won; without bias it is about a half.

    Only meaningful where the sides were drawn at random.
    """

    left_share: float
    low: float | None
    high: float | None
    num_votes: int

    @property
    def is_biased(self) -> bool:
        """Whether the interval leaves out one half."""
        return self.low is not None and self.high is not None and not self.low <= 0.5 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class EloBoard:
    """Ratings, best first, and everything that a reader must know to believe them.

    ``resampled`` is what was left out in turn, or drawn. ``mended_share`` is the share of draws of
    votes in which some model won or lost all, and that were therefore fitted with the prior.
    ``tie_weight`` is Davidson's nu: equals tie with probability nu / (2 + nu). ``excluded`` has
    reasons by model, ``concerns`` are sentences on votes that weigh less than they seem to.
    """

    ratings: tuple[Rating, ...]
    excluded: dict[str, str]
    gaps: tuple[Gap, ...]
    pairs: tuple[PairCount, ...]
    position: PositionBias | None
    tie_weight: float | None
    num_votes: int
    num_ties: int
    num_both_bad: int
    num_raters: int | None
    num_prompts: int | None
    resampled: tuple[str, ...]
    mended_share: float
    concerns: tuple[str, ...]
    settings: EloSettings

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, floats unrounded."""
        return asdict(self)


def rate(
    votes: Sequence[Vote],
    settings: EloSettings | None = None,
    *,
    excluded: Mapping[str, str] | None = None,
) -> EloBoard:
    """The ratings of all models but the excluded, whose votes do not count.

    Raises:
        InputError: fewer than two models are left or more than 100, no chain of votes connects all
            of them, or some won or lost everything, so that no finite rating is the most likely;
            the message names them and the cure.
    """
    settings = settings or EloSettings()
    out = dict(sorted((excluded or {}).items()))
    kept = [vote for vote in votes if not {vote.model_a, vote.model_b} & out.keys()]
    check_number(kept)
    study = Study(kept, settings)
    check_rateable(study)
    point_BM, tie_B, _ = study.strengths(study.counts()[None])
    elo_M = study.elo(point_BM)[0]
    reach = reach_of(study)
    ratings = _ratings(study, elo_M, _bounds(elo_M, reach.half_M))
    return EloBoard(
        ratings=ratings,
        excluded=out,
        gaps=_gaps(ratings, study),
        pairs=tuple(study.pair_counts()),
        position=position_bias(kept, settings.bootstrap),
        tie_weight=float(np.exp(tie_B[0])) if settings.ties == "davidson" else None,
        num_votes=len(kept),
        num_ties=sum(vote.winner in {"tie", "bothbad"} for vote in kept),
        num_both_bad=sum(vote.winner == "bothbad" for vote in kept),
        num_raters=_num_known(vote.rater for vote in kept),
        num_prompts=_num_known(vote.prompt for vote in kept),
        resampled=reach.resampled,
        mended_share=reach.mended_share,
        concerns=concerns(kept),
        settings=settings,
    )


def votes_needed(points: float, *, scale: float = 400.0, confidence: float = 0.95) -> int | None:
    """How many decided votes on two models tell ratings so many points apart; None for 0 points.

    As many as make the interval of their difference, which n votes leave with a standard error of
    ``1 / sqrt(n p (1 - p))`` in logarithms of odds, end at 0.
    """
    difference = abs(points) * math.log(10) / scale
    if difference < LEVEL:
        return None
    p = 1 / (1 + math.exp(-difference))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return math.ceil(z**2 / (p * (1 - p) * difference**2))


def position_bias(votes: Sequence[Vote], bootstrap: Bootstrap) -> PositionBias | None:
    """How often the left video won; by rater where there are enough, else Wilson's.

    None if no decided vote says which video was on the left. Wilson's holds where there is no bias,
    which is what is asked: sides that were drawn make votes of one rater independent.
    """
    decided = [vote for vote in votes if vote.left and vote.winner in {"a", "b"}]
    if not decided:
        return None
    left = [float(vote.winner == vote.left) for vote in decided]
    raters = [vote.rater for vote in decided if vote.rater is not None]
    if len(raters) == len(decided) and len(set(raters)) >= MIN_CLUSTERS:
        pairs = list(zip(raters, left, strict=True))
        summary = summarise_clustered(pairs, num_expected=len(pairs), bootstrap=bootstrap)
        low, high = summary.low, summary.high
    else:
        low, high = wilson(int(sum(left)), len(left), confidence=bootstrap.confidence)
    return PositionBias(left_share=float(np.mean(left)), low=low, high=high, num_votes=len(decided))


def _num_known(names: Iterable[str | None]) -> int | None:
    """How many names there are; None if none is known."""
    known = {name for name in names if name is not None}
    return len(known) or None


def _bounds(elo_M: Floats, half_M: Floats | None) -> list[tuple[float, float] | tuple[None, None]]:
    if half_M is None:
        return [(None, None)] * len(elo_M)
    return [(float(elo - half), float(elo + half)) for elo, half in zip(elo_M, half_M, strict=True)]


def _ratings(
    study: Study, elo_M: Floats, bounds: Sequence[tuple[float, float] | tuple[None, None]]
) -> tuple[Rating, ...]:
    outcomes = _outcomes_by_model(study.votes)
    ratings = []
    for m, model in enumerate(study.models):
        low, high = bounds[m]
        above = sum(_is_above(other, bounds[m]) for other in bounds)
        below = sum(_is_above(bounds[m], other) for other in bounds)
        ratings.append(
            Rating(
                model=model,
                elo=float(elo_M[m]),
                low=low,
                high=high,
                best_rank=1 + above,
                worst_rank=len(bounds) - below,
                num_wins=outcomes[model, "win"],
                num_losses=outcomes[model, "loss"],
                num_ties=outcomes[model, "tie"],
            )
        )
    return tuple(sorted(ratings, key=lambda rating: (-round(rating.elo, 6), rating.model)))


def _is_above(
    one: tuple[float, float] | tuple[None, None], other: tuple[float, float] | tuple[None, None]
) -> bool:
    return one[0] is not None and other[1] is not None and one[0] > other[1]


def _outcomes_by_model(votes: Sequence[Vote]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for vote in votes:
        first, second, outcome = ordered(vote)
        found[first, ("win", "loss", "tie")[outcome]] += 1
        found[second, ("loss", "win", "tie")[outcome]] += 1
    return found


def _gaps(ratings: Sequence[Rating], study: Study) -> tuple[Gap, ...]:
    num_votes = {
        frozenset((pair.model_a, pair.model_b)): pair.num_a + pair.num_b + pair.num_ties
        for pair in study.pair_counts()
    }
    settings = study.settings
    return tuple(
        Gap(
            better=better.model,
            worse=worse.model,
            points=better.elo - worse.elo,
            num_needed=votes_needed(
                better.elo - worse.elo,
                scale=settings.scale,
                confidence=settings.bootstrap.confidence,
            ),
            num_votes=num_votes.get(frozenset((better.model, worse.model)), 0),
        )
        for better, worse in pairwise(ratings)
    )
