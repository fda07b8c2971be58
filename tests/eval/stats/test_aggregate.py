"""Means, intervals and differences, against SciPy and closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.eval.stats.aggregate import (
    Bootstrap,
    clip_means,
    clustered_difference,
    holm,
    paired_difference,
    paired_p_value,
    summarise,
    summarise_clustered,
    summarise_yes_no,
    wilson,
)

MANY = Bootstrap(num_draws=20_000)


def clips(values: list[float] | np.ndarray) -> dict[str, float]:
    """Values under made-up clip ids."""
    return {f"clip{i:04d}": float(value) for i, value in enumerate(values)}


def test_negative_values_are_means_like_others() -> None:
    """A cosine below zero is neither cut off at zero nor scaled to some range, nor is a mean."""
    values = [-0.3, -0.1, 0.05, -0.25] * 3

    summary = summarise(clips(values), num_expected=12)
    difference = paired_difference(clips(values), clips([0.1] * 12))

    assert summary.mean == pytest.approx(-0.15)
    assert -0.3 <= (summary.low or 0) < -0.15 < (summary.high or 0) <= 0.05
    assert difference.mean == pytest.approx(-0.25)


def test_many_clips_approach_the_normal_interval() -> None:
    """With 2,000 clips the interval is the mean -+ 1.96 standard errors."""
    values = np.random.default_rng(3).normal(20.0, 4.0, 2000)

    summary = summarise(clips(values), num_expected=2000)

    error = 1.96 * values.std() / np.sqrt(2000)
    assert summary.low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert summary.high == pytest.approx(values.mean() + error, abs=0.1 * error)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_few_clips_have_a_mean_and_no_interval(n: int) -> None:
    """Under eight clips the interval is unknown, not of zero width."""
    summary = summarise(clips([3.0] * n), num_expected=28)

    assert (summary.mean, summary.low, summary.high) == (3.0, None, None)
    assert summary.coverage == n / 28


def test_no_clip_has_no_mean() -> None:
    """Without values there is no mean, and certainly no 0."""
    summary = summarise({}, num_expected=5)

    assert (summary.mean, summary.low, summary.high, summary.n) == (None, None, None, 0)
    assert summary.coverage == 0.0


def test_nothing_expected_has_no_coverage() -> None:
    """The share of nothing is unknown."""
    assert summarise({}, num_expected=0).coverage is None


def test_samples_of_one_clip_count_once() -> None:
    """A clip with many samples weighs as much as a clip with one: a macro mean."""
    means = clip_means([("b", 10.0), ("a", 0.0), ("a", 2.0), ("a", 4.0)])

    assert means == {"a": 2.0, "b": 10.0}
    assert summarise(means, num_expected=2).mean == 6.0


def test_a_paired_difference_forgets_what_the_clips_share() -> None:
    """A constant gain shows exactly, however different the clips are."""
    base = clips(np.random.default_rng(5).normal(20, 8, 12))
    better = {clip_id: value + 1.5 for clip_id, value in base.items()}

    difference = paired_difference(better, base)

    assert difference.mean == pytest.approx(1.5)
    assert difference.low == pytest.approx(1.5)
    assert difference.high == pytest.approx(1.5)
    assert difference.excludes_zero is True
    assert difference.p_value == 2 / 2**12
    assert difference.n == 12


@pytest.mark.parametrize("n", [8, 9, 12])
def test_few_clips_are_never_sure(n: int) -> None:
    """The least p of n clips is the sign test's: eight that all agree have 1/128."""
    better, base = clips(np.full(n, 1.0)), clips(np.zeros(n))

    expected = scipy.stats.binomtest(n, n, 0.5).pvalue
    assert pytest.approx(expected) == paired_difference(better, base).p_value


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_fewer_than_eight_clips_say_nothing(n: int) -> None:
    """They have a difference, and neither interval nor p value, however they fall."""
    found = paired_difference(clips(np.full(n, 1.0)), clips(np.zeros(n)))

    expected = (1.0, None, None, None, n)
    assert expected == (found.mean, found.low, found.high, found.p_value, found.n)
    assert found.excludes_zero is None


def test_clips_of_one_prompt_count_once() -> None:
    """Sixteen clips of eight prompts are eight coins, those of four say nothing."""
    better, base = clips(np.full(16, 1.0)), clips(np.zeros(16))
    eight = {name: str(i // 2) for i, name in enumerate(better)}
    four = {name: str(i // 4) for i, name in enumerate(better)}

    assert 2 / 2**8 == clustered_difference(better, base, cluster_of=eight).p_value
    assert clustered_difference(better, base, cluster_of=four).p_value is None


def test_a_p_value_alone_is_that_of_the_difference() -> None:
    """The compact letter display and verdicts rest on the same p value."""
    rng = np.random.default_rng(11)
    a, b = clips(rng.normal(size=14)), clips(rng.normal(size=14))

    assert paired_difference(a, b).p_value == paired_p_value(a, b)


def test_only_shared_clips_are_compared() -> None:
    """A clip that one method lacks takes no part, and n says so."""
    difference = paired_difference(
        {"a": 1.0, "b": 2.0, "c": 99.0}, {"a": 0.0, "b": 1.0, "d": -99.0}
    )

    assert (difference.mean, difference.n) == (1.0, 2)


def test_methods_without_a_shared_clip_have_no_difference() -> None:
    """Nothing shared, nothing said."""
    difference = paired_difference({"a": 1.0}, {"b": 1.0})

    assert (difference.mean, difference.low, difference.p_value, difference.n) == (
        None,
        None,
        None,
        0,
    )
    assert difference.excludes_zero is None


def test_p_values_agree_with_a_t_test_on_normal_differences() -> None:
    """On well-behaved differences p is near that of the paired t test."""
    rng = np.random.default_rng(6)
    deltas = rng.normal(0.3, 1.0, 100)

    difference = paired_difference(clips(deltas), clips(np.zeros(100)), bootstrap=MANY)

    expected = scipy.stats.ttest_1samp(deltas, 0.0).pvalue
    assert difference.p_value == pytest.approx(expected, rel=0.5, abs=0.005)


def test_methods_that_agree_everywhere_are_not_told_apart() -> None:
    """Equal methods have difference 0, an interval that touches 0, and p 1."""
    same = clips(np.arange(9.0))
    difference = paired_difference(same, same)

    assert (difference.mean, difference.excludes_zero, difference.p_value) == (0.0, False, 1.0)


@given(values=st.dictionaries(st.text(max_size=3), st.floats(-10, 10), min_size=8, max_size=12))
@example(values={"": 1.9e-158, **{str(n): 0.0 for n in range(7)}})
@example(values={"": 5e-324, **{str(n): 0.0 for n in range(7)}})
@settings(max_examples=30, deadline=None)
def test_the_order_of_clips_does_not_matter(values: dict[str, float]) -> None:
    """The same clips in another order give the same bytes."""
    backwards = dict(reversed(values.items()))

    assert summarise(values, num_expected=12) == summarise(backwards, num_expected=12)


@given(
    a=st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=8, max_size=11),
    b=st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=8, max_size=11),
)
@settings(max_examples=30, deadline=None)
def test_swapping_the_methods_mirrors_the_difference(a: list[float], b: list[float]) -> None:
    """B - a is -(a - b), interval and p value included."""
    forth, back = paired_difference(clips(a), clips(b)), paired_difference(clips(b), clips(a))

    assert forth.mean == pytest.approx(-(back.mean or 0.0), abs=1e-12)
    assert forth.low == pytest.approx(-(back.high or 0.0), abs=1e-9, rel=1e-3)
    assert forth.p_value == back.p_value


def test_clusters_of_one_video_are_clips() -> None:
    """With one video per prompt the clustered interval is the plain one."""
    values = np.random.default_rng(8).normal(0, 1, 25)
    plain = summarise(clips(values), num_expected=25)

    clustered = summarise_clustered(list(clips(values).items()), num_expected=25)

    assert clustered.mean == pytest.approx(plain.mean, abs=1e-12)
    assert clustered.low == pytest.approx(plain.low, abs=1e-12)
    assert clustered.high == pytest.approx(plain.high, abs=1e-12)


def test_clusters_go_together() -> None:
    """Videos that only repeat their prompt's value make no interval narrower."""
    values = np.random.default_rng(9).normal(0, 1, 30)
    once = summarise(clips(values), num_expected=30)
    repeated = [(name, value) for name, value in clips(values).items() for _ in range(5)]

    clustered = summarise_clustered(repeated, num_expected=150)

    assert clustered.mean == pytest.approx(once.mean)
    assert clustered.low == pytest.approx(once.low)
    assert clustered.high == pytest.approx(once.high)


def test_one_cluster_has_no_interval() -> None:
    """Videos of one prompt say nothing about other prompts, and no video says nothing at all."""
    one = summarise_clustered([("p", 1.0), ("p", 3.0)], num_expected=2)
    none = summarise_clustered([], num_expected=2)

    assert (one.mean, one.low, one.high, one.n) == (2.0, None, None, 2)
    assert (none.mean, none.low, none.n) == (None, None, 0)


def test_a_clustered_difference_is_wider_than_one_of_clips_that_go_together() -> None:
    """Where prompts share a gain the interval is that of prompts, not of clips."""
    gains = np.repeat(np.random.default_rng(10).normal(0.2, 1.0, 20), 6)
    prompts = {f"clip{i:04d}": f"prompt {i // 6}" for i in range(120)}
    base = clips(np.zeros(120))

    plain = paired_difference(clips(gains), base)
    found = clustered_difference(clips(gains), base, cluster_of=prompts)

    assert found.mean == pytest.approx(plain.mean)
    assert found.n == 120
    widths = [d.high - d.low for d in (found, plain) if d.low is not None and d.high is not None]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(6), rel=0.15)
    assert found.p_value is not None
    assert plain.p_value is not None
    assert found.p_value > plain.p_value


@pytest.mark.parity
def test_wilson_s_interval_is_scipy_s(parity: Callable[..., None]) -> None:
    """The interval of a share is SciPy's to 1e-12, at no and at all yes too."""
    cases = [(0, 10), (3, 10), (10, 10), (1, 1), (480, 1000)]
    expected = [
        scipy.stats.binomtest(*case).proportion_ci(confidence_level=confidence, method="wilson")
        for confidence in (0.9, 0.95)
        for case in cases
    ]

    found = [wilson(*case, confidence=c) for c in (0.9, 0.95) for case in cases]

    worst = np.abs(np.array(found, np.float64) - np.array(expected)).max()
    parity("yes or no", "SciPy's Wilson interval", worst, tolerance=1e-12)


@given(n=st.integers(1, 500), data=st.data())
def test_wilson_s_interval_holds_the_share(n: int, data: st.DataObject) -> None:
    """0 <= low <= share <= high <= 1, and never of no width."""
    num_yes = data.draw(st.integers(0, n))
    low, high = wilson(num_yes, n)

    assert low is not None
    assert high is not None
    assert 0 <= low <= num_yes / n <= high <= 1
    assert low < high


def test_yes_and_no_get_wilson_s_interval() -> None:
    """A metric of zeros and ones is a share, with an interval even when all agree."""
    summary = summarise_yes_no(clips([1, 1, 0, 1]), num_expected=5)
    agreed = summarise_yes_no(clips([1, 1, 1, 1]), num_expected=4)
    nobody = summarise_yes_no({}, num_expected=4)

    assert (summary.mean, summary.n, summary.coverage) == (0.75, 4, 0.8)
    assert (summary.low, summary.high) == wilson(3, 4)
    assert (agreed.mean, agreed.high) == (1.0, 1.0)
    assert agreed.low == pytest.approx(0.510, abs=1e-3)
    assert (nobody.mean, nobody.low, nobody.high) == (None, None, None)


def test_a_mean_of_answers_is_not_a_yes_or_a_no() -> None:
    """A value between 0 and 1 is refused with the function that takes it."""
    with pytest.raises(ConfigError, match=r"clip0001 has 0\.5, neither yes"):
        summarise_yes_no(clips([1, 0.5]), num_expected=2)


@pytest.mark.parametrize(("num_yes", "n"), [(3, 2), (-1, 2)])
def test_an_impossible_share_is_refused(num_yes: int, n: int) -> None:
    """More yes than answers is an error, not an interval."""
    with pytest.raises(ConfigError, match="is no share"):
        wilson(num_yes, n)


def test_holm_by_hand() -> None:
    """Sorted p values are multiplied by how many remain and never fall."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_holm_leaves_unknown_alone() -> None:
    """A comparison without a p value neither gets one nor makes the others stricter."""
    assert holm([0.02, None, 0.6]) == [0.04, None, 0.6]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value(p_values: list[float]) -> None:
    """Adjusted values are in [p, 1] and keep the order."""
    adjusted = [p for p in holm(list(p_values)) if p is not None]

    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


@pytest.mark.parametrize("bad", [{"num_draws": 10}, {"confidence": 1.0}, {"confidence": 95.0}])
def test_settings_without_an_interval_are_refused(bad: dict[str, float]) -> None:
    """Too few draws and a confidence outside (0, 1) are errors that quote the values."""
    with pytest.raises(ConfigError, match="at least 100 draws"):
        Bootstrap(**bad)  # type: ignore[arg-type]
