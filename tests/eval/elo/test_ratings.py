"""Elo from votes: against SciPy on the full likelihood, closed forms, and studies with a truth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.eval.elo.bradley_terry import Pairs, fit, has_maximum
from pfp.eval.elo.ratings import position_bias, rate, votes_needed
from pfp.eval.elo.text import notes
from pfp.eval.elo.vote_study import EloSettings
from pfp.eval.elo.votes import Vote
from pfp.eval.stats.aggregate import Bootstrap, wilson

QUICK = Bootstrap(num_draws=100)
NAMES = "abcdefgh"


def vote(first: str, second: str, winner: str = "a", **more: Any) -> Vote:
    """A vote on two models."""
    return Vote(model_a=first, model_b=second, winner=winner, **more)  # type: ignore[arg-type]


def study(
    num_votes: int,
    elos: list[float],
    *,
    seed: int = 0,
    ties: float = 0.15,
    raters: int | None = None,
    prompts: int | None = None,
    taste: float = 0.0,
) -> list[Vote]:
    """Votes drawn from true ratings; ``taste`` is how far, in Elo, raters and prompts differ."""
    rng = np.random.default_rng(seed)
    by_rater = rng.normal(0, taste, (raters or 1, len(elos)))
    by_prompt = rng.normal(0, taste, (prompts or 1, len(elos)))
    votes = []
    for _ in range(num_votes):
        i, j = rng.choice(len(elos), 2, replace=False)
        r, p = rng.integers(raters or 1), rng.integers(prompts or 1)
        felt = np.array(elos) + by_rater[r] + by_prompt[p]
        chance = 1 / (1 + 10 ** ((felt[j] - felt[i]) / 400))
        winner = rng.choice(["tie", "bothbad"]) if rng.random() < ties else None
        winner = winner or ("a" if rng.random() < chance else "b")
        more = {"left": str(rng.choice(["a", "b"]))}
        more |= {"rater": f"r{r}"} if raters else {}
        more |= {"prompt": f"p{p}"} if prompts else {}
        votes.append(vote(NAMES[i], NAMES[j], str(winner), **more))
    return votes


def elos_of(votes: list[Vote], **changes: Any) -> dict[str, float]:
    """Ratings by model."""
    board = rate(votes, EloSettings(bootstrap=QUICK, **changes))
    return {rating.model: rating.elo for rating in board.ratings}


def by_scipy(
    votes: list[Vote], ties: str, *, prior: bool = False
) -> tuple[dict[str, float], float]:
    """Elo and Davidson's nu by SciPy on the likelihood of the votes, one term per vote."""
    models = sorted({name for v in votes for name in (v.model_a, v.model_b)})
    number = {name: i for i, name in enumerate(models)}
    davidson = ties == "davidson"

    def cost(theta: np.ndarray) -> float:
        r, delta = theta[:-1], theta[-1]
        total = 0.0
        for v in votes:
            d = r[number[v.model_a]] - r[number[v.model_b]]
            weights = [d / 2, -d / 2] + [delta] * davidson
            norm = np.logaddexp.reduce(weights)
            if v.winner in {"tie", "bothbad"}:
                if davidson:
                    total += norm - delta
                elif ties == "half":
                    total += norm  # half of -d/2 and half of d/2
            else:
                total += norm - (d if v.winner == "a" else -d) / 2
        for x in r * prior:
            if prior:  # half a win and half a loss against strength 0
                norm = np.logaddexp.reduce([x / 2, -x / 2] + [delta] * davidson)
                total += norm
        return float(total + 1e-9 * r.sum() ** 2 * (not prior) + 1e-12 * delta**2)

    found = scipy.optimize.minimize(
        cost, np.zeros(len(models) + 1), method="BFGS", options={"gtol": 1e-7}
    )
    r = found.x[:-1] - found.x[:-1].mean()
    return (
        {name: 1200 + 400 / math.log(10) * r[i] for name, i in number.items()},
        math.exp(found.x[-1]),
    )


# -- the fit ---------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("ties", ["half", "drop", "davidson"])
def test_ratings_are_scipy_s(ties: Any, parity: Callable[..., None]) -> None:
    """With every policy for ties, ratings are those of the full likelihood within 0.001 Elo."""
    votes = study(150, [1100, 1180, 1240, 1280])
    expected, nu = by_scipy(votes, ties)

    board = rate(votes, EloSettings(ties=ties, bootstrap=QUICK))

    worst = max(abs(r.elo - expected[r.model]) for r in board.ratings)
    parity(f"elo, ties {ties}", "SciPy, vote by vote", worst, tolerance=1e-3, unit="Elo")
    assert board.tie_weight == (pytest.approx(nu, rel=1e-5) if ties == "davidson" else None)


@pytest.mark.parity
def test_ratings_are_those_of_the_arena_s_description(parity: Callable[..., None]) -> None:
    """Cross entropy over unique outcomes, ties labelled 1/2, L-BFGS-B from 0: within 0.01 Elo.

    FastChat rates 400 r + 1000, so a base of 1000 and the same mean is what is compared.
    """
    votes = study(600, [1000, 1100, 1150, 1180, 1300], seed=2)
    labels = {"a": 1.0, "b": 0.0, "tie": 0.5, "bothbad": 0.5}
    rows = [(NAMES.index(v.model_a), NAMES.index(v.model_b), labels[v.winner]) for v in votes]
    unique, weights = np.unique(np.array(rows), axis=0, return_counts=True)
    first, second, label = unique[:, 0].astype(int), unique[:, 1].astype(int), unique[:, 2]

    def loss(r: np.ndarray) -> tuple[float, np.ndarray]:
        p = 1 / (1 + np.exp(-math.log(10) * (r[first] - r[second])))
        value = -(weights * (label * np.log(p) + (1 - label) * np.log(1 - p))).sum()
        slope = -math.log(10) * weights * (label - p)
        gradient = np.zeros(5)
        np.add.at(gradient, first, slope)
        np.add.at(gradient, second, -slope)
        return float(value), gradient

    found = scipy.optimize.minimize(
        loss, np.zeros(5), jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "maxiter": 100}
    )
    expected = {NAMES[i]: float(400 * x + 1000) for i, x in enumerate(found.x)}

    rated = elos_of(votes, base=1000.0)

    worst = max(abs(rated[model] - elo) for model, elo in expected.items())
    parity("elo, ties half", "FastChat's fit as described", worst, tolerance=0.01, unit="Elo")


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (10, 7), (500, 2)])
def test_two_models_have_a_closed_form(wins: int, losses: int) -> None:
    """The difference of two is 400 log10 of wins over losses, around the base."""
    votes = [vote("x", "y")] * wins + [vote("y", "x")] * losses
    half = 200 * math.log10(wins / losses)

    assert elos_of(votes) == pytest.approx({"x": 1200 + half, "y": 1200 - half}, abs=1e-6)


def test_ties_of_two_models_have_closed_forms() -> None:
    """6 wins, 2 losses, 4 ties: odds of 8 to 4, of 6 to 2, and of 6 to 2 with nu 4 / sqrt(12)."""
    votes = [vote("x", "y")] * 6 + [vote("x", "y", "b")] * 2
    votes += [vote("x", "y", "tie")] * 3 + [vote("y", "x", "bothbad")]
    gaps = {"half": 8 / 4, "drop": 6 / 2, "davidson": 6 / 2}

    for ties, odds in gaps.items():
        found = elos_of(votes, ties=ties)
        assert found["x"] - found["y"] == pytest.approx(400 * math.log10(odds), abs=1e-6)
    board = rate(votes, EloSettings(ties="davidson", bootstrap=QUICK))
    assert board.tie_weight == pytest.approx(4 / math.sqrt(12), rel=1e-9)
    assert (board.num_votes, board.num_ties, board.num_both_bad) == (12, 4, 1)


def test_a_third_model_carries_a_comparison() -> None:
    """X beats y 3 to 1 and y beats z 3 to 1: x and z, never compared, are twice as far apart."""
    votes = [vote("x", "y")] * 3 + [vote("y", "x")] + [vote("y", "z")] * 3 + [vote("z", "y")]
    step = 400 * math.log10(3)

    expected = {"x": 1200 + step, "y": 1200, "z": 1200 - step}
    assert elos_of(votes) == pytest.approx(expected, abs=1e-6)


def test_very_unequal_models_are_still_fitted() -> None:
    """Odds of a million to one converge, from strengths of 0."""
    chain = [("a", "b"), ("b", "c"), ("c", "d")]
    votes = [v for x, y in chain for v in [vote(x, y)] * 1000 + [vote(y, x)]]
    step = 400 * math.log10(1000)

    found = elos_of(votes)

    assert found["a"] - found["d"] == pytest.approx(3 * step, abs=1e-5)


votes_lists = st.lists(
    st.tuples(st.permutations("wxyz"), st.sampled_from(["a", "b", "tie", "bothbad"])),
    min_size=8,
    max_size=40,
).map(lambda rows: [vote(pair[0], pair[1], winner) for pair, winner in rows])


@given(
    votes=votes_lists,
    base=st.floats(-2000, 2000),
    scale=st.floats(50, 1000),
    ties=st.sampled_from(["half", "drop", "davidson"]),
)
@settings(max_examples=40, deadline=None)
def test_the_gauge_is_fixed(votes: list[Vote], base: float, scale: float, ties: str) -> None:
    """Ratings average the base and stretch with the scale, whatever the votes."""
    try:
        plain = elos_of(votes, ties=ties)
    except InputError:
        assume(False)
    moved = elos_of(votes, ties=ties, base=base, scale=scale)

    assert np.mean(list(moved.values())) == pytest.approx(base, abs=1e-6)
    expected = {model: base + (elo - 1200) * scale / 400 for model, elo in plain.items()}
    assert moved == pytest.approx(expected, abs=1e-4)


@given(votes=votes_lists, order=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_neither_order_nor_side_nor_name_matters(votes: list[Vote], order: Any) -> None:
    """Votes in another order, with a and b exchanged, under other names, rate the same."""
    flip = {"a": "b", "b": "a"}
    other_names = dict(zip("wxyz", "zxwy", strict=True))
    try:
        plain = elos_of(votes)
    except InputError:
        assume(False)
    changed = [
        vote(other_names[v.model_b], other_names[v.model_a], flip.get(v.winner, v.winner))
        for v in order.sample(votes, len(votes))
    ]

    expected = {other_names[model]: elo for model, elo in plain.items()}
    assert elos_of(changed) == pytest.approx(expected, abs=1e-6)


# -- what cannot be rated --------------------------------------------------------------------------


def has_no_escape(votes: list[Vote], *, davidson: bool) -> bool:
    """Whether no direction of strengths and ties raises the likelihood for ever, by SciPy's LP."""
    models = sorted({name for v in votes for name in (v.model_a, v.model_b)})
    rows = []
    for v in votes:
        d = np.zeros(len(models) + 1)
        d[models.index(v.model_a)], d[models.index(v.model_b)] = 1.0, -1.0
        tie = np.eye(len(models) + 1)[-1]
        options = {"a": d / 2, "b": -d / 2} | ({"tie": tie} if davidson else {})
        outcomes = [v.winner] if v.winner in options else ["a", "b"]
        rows += [options[o] - other for o in outcomes for other in options.values()]
    gains = np.array(rows)
    found = scipy.optimize.linprog(
        -gains.sum(axis=0), A_ub=-gains, b_ub=np.zeros(len(gains)), bounds=[(-1, 1)] * len(d)
    )
    return bool(-found.fun < 1e-7)


@given(votes=votes_lists.map(lambda votes: votes[:12]), davidson=st.booleans())
@settings(max_examples=60, deadline=None)
def test_votes_are_refused_exactly_if_ratings_run_away(
    votes: list[Vote],
    davidson: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """Ratings exist unless a linear program finds a direction without end."""
    assume(not davidson or any(v.winner in {"tie", "bothbad"} for v in votes))
    votes = [replace(v, winner="tie") if v.winner == "bothbad" else v for v in votes]
    try:
        elos_of(votes, ties="davidson" if davidson else "half")
        rated = True
    except InputError:
        rated = False

    assert rated == has_no_escape(votes, davidson=davidson)


def test_an_undefeated_and_a_winless_model_are_named() -> None:
    """Who won or lost everything has no finite rating; the message names them and three cures."""
    votes = [vote("top", "x"), vote("x", "y"), vote("y", "x"), vote("x", "bottom")]

    with pytest.raises(InputError) as error:
        elos_of(votes)

    assert "'top' never lost to the others" in str(error.value)
    assert "'bottom' never won against the others" in str(error.value)
    assert "collect more votes, exclude models with a reason, or use the prior" in str(error.value)


def test_groups_that_never_met_are_named() -> None:
    """Models without a chain of votes between them have no common zero."""
    votes = [vote("x", "y"), vote("y", "x"), vote("u", "v"), vote("v", "u")]

    with pytest.raises(InputError, match=r"compares a model of 'u', 'v' with one of 'x', 'y'"):
        elos_of(votes)


def test_dropped_ties_connect_nobody() -> None:
    """A model that only tied has a rating where ties count, and none where they are dropped."""
    votes = [vote("x", "y"), vote("y", "x"), vote("x", "z", "tie"), vote("z", "y", "tie")]

    assert elos_of(votes)["z"] == pytest.approx(1200)
    with pytest.raises(InputError, match="no vote but ties compares a model of 'x', 'y' with one"):
        elos_of(votes, ties="drop")


def test_ties_that_could_weigh_anything_are_refused_by_davidson() -> None:
    """Wins in one direction beside ties leave Davidson without a maximum, and half with one."""
    votes = [vote("x", "y")] * 5 + [vote("x", "y", "tie")] * 5

    assert elos_of(votes)["x"] > 1200
    with pytest.raises(InputError, match="count ties as half or drop them, or"):
        elos_of(votes, ties="davidson")


@pytest.mark.parametrize("ties", ["half", "davidson"])
def test_the_prior_mends_what_is_refused(ties: Any) -> None:
    """With half a win and a loss against an average model everything is rated, as SciPy does."""
    votes = [vote("top", "x")] * 3 + [vote("u", "v"), vote("v", "u"), vote("u", "v", "tie")]
    expected, _ = by_scipy(votes, ties, prior=True)

    board = rate(votes, EloSettings(ties=ties, prior=True, bootstrap=QUICK))

    assert {r.model: r.elo for r in board.ratings} == pytest.approx(expected, abs=1e-2)
    assert board.mended_share == 0.0


def test_one_model_rates_nothing() -> None:
    """After exclusion at least two models must be left."""
    with pytest.raises(InputError, match="0 votes on 0 models rate nothing"):
        rate([vote("x", "y")], excluded={"x": "severe artifacts"})


def test_batches_are_fits_of_their_own() -> None:
    """Fitting several counts at once gives what each gives alone, separated ones told apart."""
    pairs = Pairs(num_models=3, first_P=np.array([0, 0, 1]), second_P=np.array([1, 2, 2]))
    rng = np.random.default_rng(0)
    counts_BP3 = rng.integers(0, 4, (200, 3, 3)).astype(float)
    fine_B = has_maximum(pairs, counts_BP3)
    together = fit(pairs, counts_BP3[fine_B])

    alone = [fit(pairs, counts_P3[None]).strength_BM[0] for counts_P3 in counts_BP3[fine_B]]

    assert 0 < fine_B.sum() < 200
    assert together.strength_BM == pytest.approx(np.array(alone), abs=1e-7)


# -- intervals and ranks ---------------------------------------------------------------------------


def test_intervals_are_as_wide_as_the_votes_make_them() -> None:
    """Four models 42 Elo apart: half-widths of about 41, 20 and 10 at 300, 1000 and 5000 votes."""
    for num_votes, expected in ((300, 41), (1000, 21), (5000, 10)):
        votes = study(num_votes, [1180, 1190, 1210, 1222], ties=0.0)
        board = rate(votes, EloSettings(bootstrap=Bootstrap(num_draws=400)))
        halves = [(r.high - r.low) / 2 for r in board.ratings if r.low and r.high]
        assert np.mean(halves) == pytest.approx(expected, rel=0.15)
        assert board.resampled == ("vote",)


def test_names_without_an_influence_do_not_widen_intervals() -> None:
    """Votes that depend on no rater and no prompt have the same intervals with names and without.

    Without the shrinking they would be wider by the root of 2, and drawn jointly by that of 3.
    """
    named = study(1500, [1180, 1200, 1220], ties=0.0, raters=400, prompts=500)
    bare = [replace(v, rater=None, prompt=None) for v in named]
    widths = []
    for votes in (named, bare):
        board = rate(votes, EloSettings(bootstrap=Bootstrap(num_draws=600)))
        widths.append(np.mean([r.high - r.low for r in board.ratings if r.low and r.high]))

    assert widths[0] / widths[1] == pytest.approx(1.0, abs=0.15)


def truth_of(elos: list[float], taste: float) -> dict[str, float]:
    """The ratings that endless votes of endless raters on endless prompts would give."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    gaps = np.array(elos)[first] - np.array(elos)[second]
    # Two models' tastes of one rater and of one prompt: four normal deviations.
    chances = 1 / (1 + 10 ** (-(gaps[:, None] + 2 * taste * nodes) / 400))
    wins = chances @ weights / weights.sum()
    counts_P3 = np.stack([wins, 1 - wins, np.zeros(3)], axis=1)
    found = fit(Pairs(num_models=3, first_P=first, second_P=second), counts_P3[None])
    return dict(zip("abc", 1200 + 400 / math.log(10) * found.strength_BM[0], strict=True))


@pytest.mark.parametrize(
    ("taste", "raters", "prompts"), [(0.0, None, None), (0.0, 15, 20), (150.0, 15, 20)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    taste: float, raters: int | None, prompts: int | None
) -> None:
    """About 95 % of intervals hold the true rating, with and without tastes of raters."""
    elos = [1150.0, 1200.0, 1250.0]
    truth = truth_of(elos, taste)
    hits = []
    for seed in range(45):
        votes = study(240, elos, seed=seed, ties=0.0, raters=raters, prompts=prompts, taste=taste)
        board = rate(votes, EloSettings(bootstrap=Bootstrap(num_draws=120, seed=seed)))
        hits += [
            r.low <= truth[r.model] <= r.high
            for r in board.ratings
            if r.low is not None and r.high is not None
        ]

    assert np.mean(hits) == pytest.approx(0.94, abs=0.05)


def test_intervals_of_few_raters_hold_the_truth() -> None:
    """Eight raters with tastes on ten prompts, of whom draws vary too little to cover 90 %."""
    elos = [1150.0, 1200.0, 1250.0]
    truth = truth_of(elos, 150.0)
    hits = []
    for seed in range(400):
        votes = study(300, elos, seed=seed, ties=0.0, raters=8, prompts=10, taste=150.0)
        board = rate(votes, EloSettings(bootstrap=QUICK))
        hits += [(r.low or 0) <= truth[r.model] <= (r.high or 0) for r in board.ratings]

    assert np.mean(hits) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize("named", ["rater", "prompt"])
def test_by_raters_alone_the_interval_is_the_jackknife_s(named: str) -> None:
    """By hand: fits without each rater in turn, and Student's t for as many less one."""
    votes = study(90, [1150, 1200, 1250], raters=9, ties=0.1, seed=4)
    votes = [replace(v, **{"rater": None, named: v.rater}) for v in votes]
    whole = rate(votes, EloSettings(bootstrap=QUICK))
    label_of = {"rater": lambda v: v.rater, "prompt": lambda v: v.prompt}[named]
    without = [
        elos_of([v for v in votes if label_of(v) != label])
        for label in sorted({label_of(v) for v in votes})
    ]

    for rating in whole.ratings:
        elos = np.array([elos[rating.model] for elos in without])
        error = np.sqrt(8 / 9 * np.sum((elos - elos.mean()) ** 2))
        half = scipy.stats.t.ppf(0.975, 8) * error
        assert (rating.low, rating.high) == pytest.approx((rating.elo - half, rating.elo + half))


def test_a_rater_who_votes_again_adds_nothing() -> None:
    """Votes that only repeat a rater's make no interval narrower."""
    once = study(120, [1150, 1200, 1250], raters=120, ties=0.0, seed=3)
    once = [replace(v, rater=f"r{i}") for i, v in enumerate(once)]
    settings_ = EloSettings(bootstrap=Bootstrap(num_draws=500))

    single, repeated = rate(once, settings_), rate(once * 6, settings_)

    assert single.resampled == repeated.resampled == ("rater",)
    for a, b in zip(single.ratings, repeated.ratings, strict=True):
        assert a.low == pytest.approx(b.low, abs=1e-6)
        assert a.high == pytest.approx(b.high, abs=1e-6)


def test_ranks_are_intervals() -> None:
    """Models whose intervals overlap share their ranks; those far apart do not."""
    votes = study(3000, [1100, 1195, 1205, 1300], ties=0.0, seed=1)
    board = rate(votes, EloSettings(bootstrap=Bootstrap(num_draws=300)))

    found = {r.model: (r.best_rank, r.worst_rank) for r in board.ratings}

    assert found == {"d": (1, 1), "b": (2, 3), "c": (2, 3), "a": (4, 4)}


def test_draws_that_need_the_prior_are_counted() -> None:
    """Where resampling leaves a model undefeated, the draw is mended and the board says how often.

    With 4 wins and 1 loss a draw of 5 votes has no loss with probability 0.8^5, no win with 0.2^5.
    """
    votes = [vote("x", "y")] * 4 + [vote("y", "x")]

    board = rate(votes, EloSettings(bootstrap=Bootstrap(num_draws=5000)))

    assert board.mended_share == pytest.approx(0.8**5 + 0.2**5, abs=0.02)
    assert all(r.low is not None and r.high is not None for r in board.ratings)


def test_the_same_seed_gives_the_same_board() -> None:
    """Boards are equal to the last bit for the same votes and seed, and differ for another."""
    votes = study(200, [1150, 1200, 1250], raters=10, prompts=8)
    one = EloSettings(bootstrap=QUICK)
    other = EloSettings(bootstrap=Bootstrap(num_draws=100, seed=1))

    assert rate(votes, one) == rate(votes, one)
    assert rate(votes, one).ratings != rate(votes, other).ratings
    assert rate(votes, one).resampled == ("rater", "prompt")


def test_a_single_rater_is_no_sample_of_raters() -> None:
    """One rater on many prompts is drawn by prompt alone."""
    votes = study(100, [1150, 1200, 1250], raters=1, prompts=9)

    board = rate(votes, EloSettings(bootstrap=QUICK))

    assert board.resampled == ("prompt",)
    assert (board.num_raters, board.num_prompts) == (1, 9)


# -- the rest of the board -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "expected"), [(2, 115_935), (10, 4_641), (24, 809), (42, 267), (-42, 267)]
)
def test_how_many_votes_a_gap_needs(points: float, expected: int) -> None:
    """The specification's table, which rounds 1.96 up: within 0.01 % of it, or one vote."""
    assert votes_needed(points) == pytest.approx(expected, rel=1e-4, abs=1)


def test_level_models_cannot_be_told_apart() -> None:
    """No number of votes separates equals, and the board says so instead of dividing by zero."""
    board = rate([vote("x", "y"), vote("y", "x")], EloSettings(bootstrap=QUICK))

    assert votes_needed(0.0) is None
    assert [(g.better, g.worse, g.num_needed, g.num_votes) for g in board.gaps] == [
        ("x", "y", None, 2)
    ]


def test_excluded_models_have_a_reason_and_no_votes() -> None:
    """Votes on an excluded model do not count; one without votes may be named, too."""
    votes = study(200, [1150, 1200, 1250], seed=4)
    without = [v for v in votes if "c" not in {v.model_a, v.model_b}]
    reasons = {"c": "severe artifacts", "never seen": "crashed"}

    board = rate(votes, EloSettings(bootstrap=QUICK), excluded=reasons)

    assert board.excluded == reasons
    assert board.num_votes == len(without)
    assert board.ratings == rate(without, EloSettings(bootstrap=QUICK)).ratings


def test_records_add_up() -> None:
    """Wins, losses and ties of models and of pairs are counted from the votes."""
    votes = [vote("y", "x"), vote("x", "y"), vote("x", "y"), vote("x", "y", "bothbad")]

    board = rate(votes, EloSettings(bootstrap=QUICK))

    assert [(r.model, r.num_wins, r.num_losses, r.num_ties) for r in board.ratings] == [
        ("x", 2, 1, 1),
        ("y", 1, 2, 1),
    ]
    pair = board.pairs[0]
    assert (pair.model_a, pair.model_b, pair.num_a, pair.num_b, pair.num_ties) == (
        "x",
        "y",
        2,
        1,
        1,
    )


def test_position_bias_by_hand() -> None:
    """The left wins 3 of 4 decided votes; ties and votes without a side do not count."""
    votes = [vote("x", "y", "a", left="a"), vote("x", "y", "b", left="b")]
    votes += [vote("y", "x", "a", left="a"), vote("y", "x", "b", left="a")]
    votes += [vote("x", "y", "tie", left="a"), vote("x", "y", "a")]

    bias = position_bias(votes, QUICK)

    assert bias is not None
    assert (bias.left_share, bias.num_votes) == (0.75, 4)
    assert (bias.low, bias.high) == wilson(3, 4)
    assert not bias.is_biased
    assert position_bias(votes[-1:], QUICK) is None


def test_position_bias_is_found_and_its_interval_knows_raters() -> None:
    """Raters who favour the left are seen; ten votes of one rater are not ten raters."""
    rng = np.random.default_rng(5)
    lefts = rng.random(600) < 0.6
    votes = [
        vote("x", "y", "a", left="a" if left else "b", rater=f"r{i // 2}")
        for i, left in enumerate(lefts)
    ]
    habits = np.repeat(rng.random(30) < 0.5, 10)
    habitual = [
        vote("x", "y", "a", left="a" if left else "b", rater=f"r{i // 10}")
        for i, left in enumerate(habits)
    ]
    found, of_habits = position_bias(votes, QUICK), position_bias(habitual, QUICK)
    plain = wilson(int(habits.sum()), 300)

    assert found is not None
    assert found.is_biased
    assert of_habits is not None
    assert of_habits.low is not None
    assert of_habits.high is not None
    assert plain[0] is not None
    assert of_habits.high - of_habits.low > 2 * (plain[1] - plain[0])


def test_few_raters_have_wilson_s_interval_of_left_wins() -> None:
    """Two raters who always favour the left are seen: drawn sides make their votes independent."""
    votes = [vote("x", "y", "a", left="a", rater=f"r{i % 2}") for i in range(24)]

    bias = position_bias(votes, QUICK)

    assert bias is not None
    assert wilson(24, 24) == (bias.low, bias.high)
    assert bias.is_biased


def test_it_can_be_written_as_json() -> None:
    """The board is plain JSON with everything in it."""
    board = rate(study(100, [1150, 1250], raters=5), EloSettings(bootstrap=QUICK))

    found = json.loads(json.dumps(board.to_json()))

    assert [r["model"] for r in found["ratings"]] == [r.model for r in board.ratings]
    assert found["settings"]["base"] == 1200.0
    assert found["resampled"] == ["rater"]
    assert found["gaps"][0]["num_votes"] == 100


@pytest.mark.parametrize(
    "bad", [{"ties": "elo"}, {"scale": 0.0}, {"base": float("nan")}, {"scale": float("inf")}]
)
def test_settings_that_rate_nothing_are_refused(bad: dict[str, Any]) -> None:
    """An unknown policy, no scale and no base are errors that quote them."""
    with pytest.raises(ConfigError, match="use one of half, drop, davidson, a finite base"):
        EloSettings(**bad)


def test_many_models_are_rated() -> None:
    """Every order of three among eight models, each the winner of its own comparisons, is level."""
    votes = [vote(x, y) for x, y in permutations(NAMES, 2)]

    assert elos_of(votes) == pytest.approx(dict.fromkeys(NAMES, 1200.0), abs=1e-9)


def test_copies_and_a_busy_rater_are_named() -> None:
    """A file written twice and a rater who gave 400 of 450 votes stand above the table."""
    busy = [
        vote("a", "b", "ab"[n % 2], rater="r1" if n < 400 else f"r{n}", prompt=f"p{n}")
        for n in range(450)
    ]
    once = rate(busy)
    twice = rate([*busy, *busy])
    again = rate([*busy, *busy[-10:]])
    unnamed = rate([vote("a", "b"), vote("b", "a"), vote("a", "b")] * 2)
    even = rate([vote("a", "b", "ab"[n % 2], rater=f"r{n % 3}", prompt=f"p{n}") for n in range(30)])

    busiest = (
        "Rater r1 gave {} of {} votes, so the ratings are mostly one person's; ask more raters, "
        "or leave some of these votes out."
    )
    copies = (
        "The second half of the {} votes is the first again; if a file was written twice, remove "
        "one copy, since every vote counts double."
    )
    repeated = (
        "10 of 460 votes ask a rater again about the same prompt and models, which counts again; "
        "if a file was written twice, remove one copy."
    )
    assert (busiest.format(400, 450),) == once.concerns
    assert (copies.format(900), busiest.format(800, 900)) == twice.concerns
    assert (repeated, busiest.format(400, 460)) == again.concerns
    assert (copies.format(6),) == unnamed.concerns
    assert () == even.concerns
    assert all(sentence in notes(once) for sentence in once.concerns)
