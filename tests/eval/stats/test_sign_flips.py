"""The test by signs and its intervals, against SciPy, by hand, and on data whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pfp.eval.stats.sign_flips import MAX_FLIPPED, MIN_CLUSTERS, Clusters, interval_of, p_value_of


def of(values: np.ndarray | list[float], counts: list[int] | None = None) -> Clusters:
    """Clusters of one value each, or sums of so many."""
    return Clusters(
        sum_N=np.array(values, np.float64),
        count_N=np.array(counts or [1] * len(values), np.float64),
    )


def p_of(clusters: Clusters, mean: float = 0.0) -> float:
    """The p value that the mean is so much."""
    found = p_value_of(clusters, mean, num_draws=2000, seed=0)
    assert found is not None
    return found


def ends_of(clusters: Clusters, confidence: float = 0.95) -> tuple[float, float]:
    """The interval."""
    low, high = interval_of(clusters, confidence=confidence, num_draws=2000, seed=0)
    assert low is not None
    assert high is not None
    return low, high


def far_by_hand(sums: np.ndarray, counts: np.ndarray | float = 1.0) -> float:
    """How extreme values are: t's density and the weight, as the module's page defines them."""
    n, counts = len(sums), np.broadcast_to(counts, len(sums))
    mean = sums.sum() / counts.sum()
    error = np.sqrt(n / (n - 1) * np.sum((sums - mean * counts) ** 2)) / counts.sum()
    t = mean / error
    towards = scipy.stats.skew(sums / counts) * np.sign(t)
    weight = 3e-7 + (1 - 6e-7) / (1 + np.exp(-((56 / n) ** 1.7) * towards))
    return float(weight * ((1 + t**2 / (n - 1)) ** ((n - 1) / 2) - 1))


@pytest.mark.parametrize("seed", range(4))
def test_the_p_value_is_scipy_s_permutation_test(seed: int) -> None:
    """All 256 choices of signs, ranked by the statistic, as SciPy tries them."""
    values = np.random.default_rng(seed).gamma(2.0, 1.0, 8) - 1.0
    reference = scipy.stats.permutation_test(
        (values,), far_by_hand, permutation_type="samples", alternative="greater", n_resamples=1000
    )

    assert pytest.approx(reference.pvalue) == p_of(of(values))


@pytest.mark.parametrize("n", [MAX_FLIPPED, MAX_FLIPPED + 1])
def test_many_clusters_have_student_s_interval(n: int) -> None:
    """On either side of where signs are no longer drawn: SciPy's t test, up to skew and draws."""
    values = np.random.default_rng(n).normal(0.1, 1.0, n)
    reference = scipy.stats.ttest_1samp(values, 0.0)

    low, high = ends_of(of(values))

    expected = reference.confidence_interval()
    error = scipy.stats.sem(values)
    assert low == pytest.approx(expected.low, abs=0.15 * error)
    assert high == pytest.approx(expected.high, abs=0.15 * error)
    assert p_of(of(values)) == pytest.approx(reference.pvalue, abs=0.02)


def test_skewed_values_move_the_interval_to_their_long_tail() -> None:
    """The mean of values with a long tail to the right may lie farther to the right than left."""
    values = np.random.default_rng(2).lognormal(size=20)
    low, high = ends_of(of(values))

    assert high - values.mean() > 1.3 * (values.mean() - low)


@given(
    values=st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=8, max_size=16),
    counts=st.lists(st.integers(1, 4), min_size=16, max_size=16),
)
@settings(max_examples=60, deadline=None)
def test_p_value_and_interval_never_disagree(values: list[float], counts: list[int]) -> None:
    """0 lies outside the interval exactly if p is under 0.05."""
    clusters = of(values, counts[: len(values)])
    low, high = interval_of(clusters, confidence=0.95, num_draws=300, seed=0)
    p = p_value_of(clusters, 0.0, num_draws=300, seed=0)

    assert p is not None
    if low is not None and high is not None:
        assert (p < 1 - 0.95) == (not low <= 0 <= high)
        assert low <= high


@pytest.mark.parametrize("n", [8, 12, 40])
def test_the_interval_ends_where_the_test_begins_to_reject(n: int) -> None:
    """Just inside either end p is 0.05 or more, just outside less."""
    clusters = of(np.random.default_rng(n).normal(3.0, 1.0, n))
    low, high = ends_of(clusters)
    step = 0.001 * (high - low)

    inside = [p_of(clusters, low + step), p_of(clusters, high - step)]
    outside = [p_of(clusters, low - step), p_of(clusters, high + step)]
    assert max(outside) < 0.05 <= min(inside)


@given(
    values=st.lists(st.floats(-5, 5), min_size=8, max_size=12, unique=True),
    shift=st.floats(-50, 50).map(lambda x: round(x, 1)),
    scale=st.sampled_from([0.01, 1.0, 300.0, -1.0]),
)
@settings(max_examples=40, deadline=None)
def test_intervals_move_and_stretch_with_the_values(
    values: list[float], shift: float, scale: float
) -> None:
    """The interval of ``scale * x + shift`` is that of x, stretched and moved; mirrored too.

    Unless it ends at 0, where it is made to agree with the p value that is printed beside it.
    """
    assume(np.ptp(values) > 0)
    low, high = ends_of(of(values))
    moved = ends_of(of(scale * np.array(values) + shift))
    assume(min(map(abs, (low, high, *moved))) > 1e-12)

    expected = sorted((scale * low + shift, scale * high + shift))
    width = abs(scale) * (high - low)
    assert moved == pytest.approx(expected, abs=2e-3 * width)


def test_copies_of_a_cluster_s_value_say_nothing_new() -> None:
    """Videos that repeat their prompt's value leave p and interval as they are."""
    values = np.random.default_rng(3).normal(0.5, 1.0, 15)
    once, thrice = of(values), of(3 * values, [3] * 15)

    assert p_of(once) == p_of(thrice)
    assert ends_of(once) == pytest.approx(ends_of(thrice))


def test_clusters_of_unequal_sizes_are_tested_whole() -> None:
    """By hand: all signs of 8 sums over their clusters, whatever the clusters' sizes."""
    sums = np.random.default_rng(5).gamma(2.0, 1.0, 8) - 1.2
    counts = [4, 3, 5, 2, 1, 4, 3, 1]
    far = [far_by_hand(sums * signs, np.array(counts)) for signs in product((1, -1), repeat=8)]

    assert pytest.approx(np.mean(np.array(far) >= far[0] - 1e-9)) == p_of(of(sums, counts))


@pytest.mark.parametrize("seed", range(3))
def test_clusters_of_unequal_sizes_have_an_interval(seed: int) -> None:
    """Answers of 8 prompts with 1 to 4 videos each: both ends exist, however equal the answers."""
    rng = np.random.default_rng(seed)
    counts = rng.permutation([1, 1, 2, 2, 3, 3, 4, 4]).tolist()
    low, high = ends_of(of(rng.binomial(counts, 0.6), counts))

    assert low < high


@pytest.mark.parametrize("n", [1, 2, 5, MIN_CLUSTERS - 1])
def test_few_clusters_decide_nothing(n: int) -> None:
    """Seven that all agree have neither a p value nor an interval."""
    clusters = of([1.0] * n)

    assert p_value_of(clusters, 0.0, num_draws=2000, seed=0) is None
    assert interval_of(clusters, confidence=0.95, num_draws=2000, seed=0) == (None, None)


def test_equal_values_have_an_interval_of_no_width() -> None:
    """Eight equal gains are that gain, and surely not 0: twice 1 of 256 choices of signs."""
    clusters = of([1.5] * 8)

    assert ends_of(clusters) == (1.5, 1.5)
    assert p_of(clusters) == 2 / 256
    assert p_of(of([0.0] * 8)) == 1.0


def test_a_confidence_that_cannot_be_had_gives_no_interval() -> None:
    """Eight clusters say nothing at 99.9 %: the least p value is 1/128."""
    clusters = of(np.random.default_rng(4).normal(size=8))

    assert interval_of(clusters, confidence=0.999, num_draws=2000, seed=0) == (None, None)


@pytest.mark.parametrize(
    ("kind", "n"),
    [("normal", 8), ("normal", 12), ("t3", 12), ("lognormal", 12), ("lognormal", 20)],
)
def test_it_errs_as_often_as_it_says(kind: str, n: int) -> None:
    """Of 500 data sets without an effect about 5 % are rejected, where the percentile bootstrap
    rejects 9 to 18 %.

    Three standard deviations of 5 % are 2.9 %. The whole table is docs/statistics.md.
    """
    draws: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "normal": lambda rng: rng.normal(size=n),
        "t3": lambda rng: rng.standard_t(3, size=n),
        "lognormal": lambda rng: rng.lognormal(size=n) - np.exp(0.5),
    }
    rng = np.random.default_rng(6)
    rejected = np.mean([p_of(of(draws[kind](rng))) < 0.05 for _ in range(500)])

    assert rejected == pytest.approx(0.05, abs=0.029)


@pytest.mark.parametrize("num", [8, 14, MAX_FLIPPED + 1])
@pytest.mark.parametrize("exponent", [-1060, -540, -30, 30, 300])
def test_the_unit_of_the_values_does_not_matter(num: int, exponent: int) -> None:
    """A score in another unit is as far from 0, also where its squares are no floats any more."""
    values = np.random.default_rng(num).integers(-3, 9, num).astype(np.float64)
    values[0] = 0.0
    other = np.ldexp(values, exponent)

    assert p_of(of(values)) == pytest.approx(p_of(of(other)), rel=1e-12)
    assert np.ldexp(ends_of(of(values)), exponent) == pytest.approx(ends_of(of(other)), rel=1e-9)


@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 2)), min_size=8, max_size=14))
@example([0.0, 1.0, 2.0, 1.5, 1.75, -2.0, -3.0, -2.5])
@settings(max_examples=60, deadline=None)
def test_a_mean_beside_that_of_the_values_is_never_rejected(values: list[float]) -> None:
    """However skewed they are: values in two heaps have their mean where none of them is."""
    clusters = of(values)
    low, high = ends_of(clusters)

    for near in (-0.3, 0.0, 0.3):
        mean = clusters.mean + near * clusters.error
        assert p_of(clusters, mean) > 0.5
        assert low <= mean <= high


def test_values_that_hardly_differ_are_far_from_zero() -> None:
    """Of three hundred, where no power of t is a float any more."""
    values = 1 + 1e-9 * np.random.default_rng(0).normal(size=MAX_FLIPPED)

    assert p_of(of(values)) < 1e-3
    assert ends_of(of(values)) == pytest.approx((1.0, 1.0), abs=1e-9)
