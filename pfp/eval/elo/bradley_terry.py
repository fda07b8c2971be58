"""Strengths from comparisons: Bradley and Terry (1952), ties after Davidson (1970).

Of models i and j with strengths r_i and r_j (natural logarithms of odds), i wins with probability
exp(r_i) / (exp(r_i) + exp(r_j)); with ties as a third outcome its weight is
exp(tie + (r_i + r_j) / 2). Both likelihoods are concave; strengths are fixed by their sum of 0.

Axes: B fits made at once, M models, P pairs of models, 3 outcomes: first won, second won, tie; N
unknowns, the M strengths and the weight of ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.errors import InvariantError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MAX_STEPS: Final = 100
MAX_HALVINGS: Final = 40
LAST_STEP: Final = 1e-8  # Newton squares the error, so what is left after it is rounding
NO_TIES: Final = -50.0  # the logarithm of a weight that no fit can tell from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Which models were compared: numbers of the first and the second of each pair, (P,)."""

    num_models: int
    first_P: Ints
    second_P: Ints

    def signs(self) -> Floats:
        """1 at the first model of a pair, -1 at the second, (P, M)."""
        rows = np.arange(len(self.first_P))
        signs_PM = np.zeros((len(rows), self.num_models))
        signs_PM[rows, self.first_P] = 1.0
        signs_PM[rows, self.second_P] = -1.0
        return signs_PM

    def matrix(self, first_BP: Bools, second_BP: Bools) -> Bools:
        """(B, M, M): ``first_BP`` at (first, second), ``second_BP`` at (second, first)."""
        found_BMM = np.zeros((len(first_BP), self.num_models, self.num_models), np.bool_)
        found_BMM[:, self.first_P, self.second_P] = first_BP
        found_BMM[:, self.second_P, self.first_P] = second_BP
        return found_BMM


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Strengths (B, M) that add up to 0, and the logarithm of the weight of ties (B,)."""

    strength_BM: Floats
    tie_B: Floats


def fit(pairs: Pairs, counts_BP3: Floats) -> Fit:
    """Strengths of maximum likelihood by Newton's method, for several counts at once.

    counts_BP3: votes, >= 0, whole or not; without any tie the third outcome does not exist. They
    must have a maximum: see ``has_maximum``.

    Raises:
        InvariantError: no maximum was found.
    """
    state = _State.start(pairs, counts_BP3)
    for _ in range(MAX_STEPS):
        gradient_BN, curvature_BNN = state.derivatives()
        step_BN = np.asarray(np.linalg.solve(curvature_BNN, gradient_BN[..., None])[..., 0])
        state.climb(step_BN)
        longest = float(np.abs(step_BN).max())
        if longest <= LAST_STEP:
            break
    else:
        raise InvariantError(
            f"Bradley-Terry did not converge, last step {longest}: report the votes"
        )
    strength_BM = state.point_BN[:, :-1]
    return Fit(
        strength_BM=strength_BM - strength_BM.mean(axis=1, keepdims=True),
        tie_B=state.point_BN[:, -1],
    )


class _State:
    """Where B climbs of the likelihood stand; a point is M strengths and the weight of ties."""

    def __init__(self, signs_PM: Floats, counts_BP3: Floats, point_BN: Floats) -> None:
        self._signs_PM, self._counts_BP3 = signs_PM, counts_BP3
        self.point_BN = point_BN
        self._has_ties_B = counts_BP3[..., 2].sum(axis=1) > 0

    @classmethod
    def start(cls, pairs: Pairs, counts_BP3: Floats) -> _State:
        """All models equally strong."""
        point_BN = np.zeros((len(counts_BP3), pairs.num_models + 1))
        point_BN[counts_BP3[..., 2].sum(axis=1) == 0, -1] = NO_TIES
        return cls(pairs.signs(), counts_BP3, point_BN)

    def _log_chances(self, point_BN: Floats) -> Floats:
        """The logarithms of the three outcomes' probabilities for each pair, (B, P, 3)."""
        half_BP = point_BN[:, :-1] @ self._signs_PM.T / 2
        tie_BP = np.broadcast_to(point_BN[:, -1:], half_BP.shape)
        logits_BP3 = np.stack([half_BP, -half_BP, tie_BP], axis=-1)
        top_BP1 = logits_BP3.max(axis=-1, keepdims=True)
        total_BP1 = np.exp(logits_BP3 - top_BP1).sum(axis=-1, keepdims=True)
        return np.asarray(logits_BP3 - top_BP1 - np.log(total_BP1))

    def _likelihood(self, point_BN: Floats) -> Floats:
        return np.asarray((self._counts_BP3 * self._log_chances(point_BN)).sum(axis=(1, 2)))

    def derivatives(self) -> tuple[Floats, Floats]:
        """The gradient (B, N) and minus the second derivatives (B, N, N) of the log-likelihood."""
        signs_PM, counts_BP3 = self._signs_PM, self._counts_BP3
        chances_BP3 = np.exp(self._log_chances(self.point_BN))
        num_BP = counts_BP3.sum(axis=-1)
        # What an outcome adds to the log-likelihood: half the difference, minus it, or the tie.
        lead_BP = (chances_BP3[..., 0] - chances_BP3[..., 1]) / 2
        tie_BP = chances_BP3[..., 2]
        by_difference_BP = (counts_BP3[..., 0] - counts_BP3[..., 1]) / 2 - num_BP * lead_BP
        by_tie_B = (counts_BP3[..., 2] - num_BP * tie_BP).sum(axis=1)
        spread_BP = num_BP * ((1 - tie_BP) / 4 - lead_BP**2)
        cross_BM = -(num_BP * lead_BP * tie_BP) @ signs_PM
        tie_spread_B = (num_BP * tie_BP * (1 - tie_BP)).sum(axis=1)

        gradient_BN = np.concatenate([by_difference_BP @ signs_PM, by_tie_B[:, None]], axis=1)
        num_models = signs_PM.shape[1]
        curvature_BNN = np.zeros((len(num_BP), num_models + 1, num_models + 1))
        weighted_BMP = signs_PM.T * spread_BP[:, None, :]
        # Only differences matter: holding the sum at 0 makes the rest of the matrix regular.
        curvature_BNN[:, :-1, :-1] = weighted_BMP @ signs_PM + 1.0 / num_models
        curvature_BNN[:, :-1, -1] = curvature_BNN[:, -1, :-1] = cross_BM
        curvature_BNN[:, -1, -1] = tie_spread_B
        still_B = ~self._has_ties_B
        gradient_BN[still_B, -1] = 0.0
        curvature_BNN[still_B, :, -1] = curvature_BNN[still_B, -1, :] = 0.0
        curvature_BNN[still_B, -1, -1] = 1.0
        return gradient_BN, curvature_BNN

    def climb(self, step_BN: Floats) -> None:
        """Take each step, halved as often as it takes to lead upwards."""
        before_B = self._likelihood(self.point_BN)
        size_B1 = np.ones((len(step_BN), 1))
        slack_B = 1e-12 * (1.0 + np.abs(before_B))  # near the top, differences are rounding
        for _ in range(MAX_HALVINGS):
            worse_B = self._likelihood(self.point_BN + size_B1 * step_BN) < before_B - slack_B
            if not worse_B.any():
                break
            size_B1[worse_B] /= 2
        self.point_BN = self.point_BN + size_B1 * step_BN


def has_maximum(pairs: Pairs, counts_BP3: Floats) -> Bools:
    """Whether finite strengths are the most likely ones, (B,).

    Ford's condition (1957): however the models are split in two, each side has beaten the other; a
    tie counts as both. Where ties are an outcome, it must also be impossible to explain every tie
    by a large weight of ties and every win by a larger difference.
    """
    reach_BMM = reaches(pairs, counts_BP3)
    return np.asarray(reach_BMM.all(axis=(1, 2)) & ~_ties_run_away(pairs, counts_BP3))


def reaches(pairs: Pairs, counts_BP3: Floats) -> Bools:
    """Whether a chain of wins and ties leads from one model to another, (B, M, M)."""
    won_BP, lost_BP, tied_BP = (counts_BP3[..., outcome] > 0 for outcome in range(3))
    reach_BMM = pairs.matrix(won_BP | tied_BP, lost_BP | tied_BP) | np.eye(
        pairs.num_models, dtype=np.bool_
    )
    for via in range(pairs.num_models):
        reach_BMM |= reach_BMM[:, :, via, None] & reach_BMM[:, None, via, :]
    return reach_BMM


def connected(pairs: Pairs, counts_BP3: Floats) -> Bools:
    """Whether comparisons of any outcome lead from one model to another, (B, M, M)."""
    any_BP1 = counts_BP3.sum(axis=-1, keepdims=True)
    return reaches(pairs, np.broadcast_to(any_BP1, counts_BP3.shape))


def _ties_run_away(pairs: Pairs, counts_BP3: Floats) -> Bools:
    """Whether ties exist and the weight of ties can grow for ever with all wins and ties kept.

    It can if strengths exist with r_i - r_j >= 2 for every win of i over j and within 2 for every
    tie: a system of differences, which fails where some cycle of its graph is negative.
    """
    bound_BMM = np.full((len(counts_BP3), pairs.num_models, pairs.num_models), np.inf)
    bound_BMM[pairs.matrix(*(counts_BP3[..., 2] > 0,) * 2)] = 2.0
    bound_BMM[pairs.matrix(counts_BP3[..., 0] > 0, counts_BP3[..., 1] > 0)] = -2.0
    for via in range(pairs.num_models):
        around_BMM = bound_BMM[:, :, via, None] + bound_BMM[:, None, via, :]
        np.minimum(bound_BMM, around_BMM, out=bound_BMM)
    diagonal_BM = np.diagonal(bound_BMM, axis1=1, axis2=2)
    has_ties_B = counts_BP3[..., 2].sum(axis=1) > 0
    return np.asarray(has_ties_B & ~(diagonal_BM < 0).any(axis=1))
