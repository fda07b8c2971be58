"""Whether a mean is some value, and between which values it lies: one test and its inversion.

Clusters (prompts) are independent, the videos of one are not. If ``m`` is the true mean and values
spread evenly about it, the sum of a cluster's values less ``m`` is as likely with either sign. So
the test compares the sums with themselves under other signs (Fisher 1935; of clusters, Canay,
Romano and Shaikh 2017). That is exact for any number of clusters of any sizes. An interval holds
every ``m`` that the test does not reject, so the two never disagree.

Means of skewed values are missed on one side: a sample that lacks the long tail has its mean and
its spread too low. So choices of signs are ranked by Student's t times a weight, which moves the
error that is allowed to the side that the skewness of the clusters' means points to, as Johnson's
modified t does (1978). Any ranking is exact where values spread evenly; how fast this weight fades
with clusters was chosen by simulation (docs/statistics.md), so that it holds for lognormal values,
too. Of values in heaps few choices of signs have skewness that points where their mean is, so that
those which do would rank high whatever their mean: a true mean from which at least half of all
choices are as far as the values are is not rejected, as t alone says.

Axes: N clusters, B choices of signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_CLUSTERS: Final = 8  # under it nothing that was tried holds for skewed values
MAX_ENUMERATED: Final = 12  # clusters whose signs are all tried, 2**11 up to the first's
MAX_FLIPPED: Final = 300  # clusters; above them Student's t is as good and needs no draws
FADING_CLUSTERS: Final = 56.0  # the weight's steepness is (56 / n)**1.7
LEAST_WEIGHT: Final = 3e-7  # of either side: intervals were at most 3.1 times Student's
TINY: Final = 1e-12  # what is nearer to 0 is 0
MOST_BY_T: Final = 0.5  # p value by t alone above which the weights have no say
ROUNDING: Final = 1e-9  # smaller differences are none
GROWTH: Final = 1.25  # of the search for an interval's end
NUM_HALVINGS: Final = 14
FARTHEST: Final = 1e4  # times Student's end; there is none if the test rejects nothing up to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """What the test is made of: the sum and the number of each cluster's values, both (N,)."""

    sum_N: Floats
    count_N: Floats

    @classmethod
    def of_one_each(cls, values: Sequence[float]) -> Clusters:
        """Clusters of one value each."""
        return cls(sum_N=np.array(values, dtype=np.float64), count_N=np.ones(len(values)))

    @property
    def mean(self) -> float:
        """The mean over values, not over clusters."""
        return float(self.sum_N.sum() / self.count_N.sum())

    @property
    def error(self) -> float:
        """The standard error of the mean, by clusters."""
        n = len(self.sum_N)
        off_N, scale = _scaled(self.sum_N - self.mean * self.count_N)
        return float(scale * np.sqrt((off_N @ off_N) * n / (n - 1)) / self.count_N.sum())


def p_value_of(clusters: Clusters, mean: float, *, num_draws: int, seed: int) -> float | None:
    """How likely values so far from ``mean`` are if it is the true one; None of few clusters."""
    if len(clusters.sum_N) < MIN_CLUSTERS:
        return None
    return _test_of(clusters, num_draws, seed).p_value(mean)


def interval_of(
    clusters: Clusters, *, confidence: float, num_draws: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """The means that the test does not reject; Nones of few clusters, or if it cannot reject."""
    if len(clusters.sum_N) < MIN_CLUSTERS:
        return None, None
    test, level = _test_of(clusters, num_draws, seed), 1 - confidence
    low, high = test.interval(level)
    if low is None or high is None:
        return None, None
    if test.p_value(0.0) >= level:
        return min(low, 0.0), max(high, 0.0)
    # Draws make the ends rough; what the test says of 0 is what is printed beside them.
    off_zero = float(np.nextafter(0.0, clusters.mean))
    return (max(low, off_zero), high) if clusters.mean > 0 else (low, min(high, off_zero))


def _test_of(clusters: Clusters, num_draws: int, seed: int) -> _SignFlips | _Student:
    if len(clusters.sum_N) > MAX_FLIPPED:
        return _Student(clusters)
    return _SignFlips(clusters, _signs(len(clusters.sum_N), num_draws, seed))


@lru_cache(maxsize=4)
def _signs(num_clusters: int, num_draws: int, seed: int) -> Floats:
    """Choices of signs (B, N), the first all +1; one of each two that are opposites, if all."""
    if num_clusters <= MAX_ENUMERATED:
        return np.array([(1.0, *rest) for rest in product((1.0, -1.0), repeat=num_clusters - 1)])
    drawn_BN = np.random.default_rng(seed).integers(2, size=(num_draws, num_clusters))
    return np.concatenate([np.ones((1, num_clusters)), 1.0 - 2.0 * drawn_BN])


class _SignFlips:
    """The test by signs. Sums under signs are polynomials in the mean, so that any costs O(B)."""

    def __init__(self, clusters: Clusters, signs_BN: Floats) -> None:
        self._student = _Student(clusters)
        self._centre, self._error = clusters.mean, clusters.error or 1.0
        self._num = len(clusters.sum_N)
        count_N = clusters.count_N / clusters.count_N.mean()
        mean_N = (clusters.sum_N / clusters.count_N - self._centre) / self._error
        sum_N, one_N = mean_N * count_N, np.ones_like(mean_N)
        self._squares_of_sums = _products(sum_N, count_N)
        self._squares_of_means = _products(mean_N, one_N)
        of_sums = [sum_N, count_N, sum_N * count_N, count_N**2]
        of_means = [one_N, mean_N, mean_N**2, mean_N**3]
        self._signed = (signs_BN @ np.stack(of_sums + of_means, axis=1)).T

    def p_value(self, mean: float) -> float:
        """The share of signs that are at least as far from 0 as the values are from ``mean``."""
        d = (mean - self._centre) / self._error
        sum_B, count_B, by_count_B, square_B, one_B, first_B, second_B, third_B = self._signed
        square = _square(self._squares_of_sums, d)
        if square <= 0:
            return 1.0
        mean_B = (sum_B - d * count_B) / self._num
        along_B = by_count_B - d * square_B
        rest_B = square - 2 * mean_B * along_B + mean_B**2 * self._squares_of_sums[2]
        t2_B = self._num * mean_B**2 / np.maximum(rest_B, 1e-15 * square)  # over n - 1
        by_t = float(np.mean(t2_B >= t2_B[0] * (1 - ROUNDING)))
        if by_t > MOST_BY_T:
            return by_t
        skewness_B = _skewness(
            (first_B - d * one_B) / self._num,
            _square(self._squares_of_means, d) / self._num,
            (third_B - 3 * d * second_B + 3 * d * d * first_B - d**3 * one_B) / self._num,
        )
        weight_B = _weight_above(skewness_B * np.sign(mean_B), self._num)
        # By how many times Student's t is less dense here than at 0, less once, times the weight.
        thin_B = np.maximum((self._num - 1) / 2 * np.log1p(t2_B), TINY)
        far_B = thin_B + np.log(-np.expm1(-thin_B)) + np.log(weight_B)  # logarithms
        return float(np.mean(far_B >= far_B[0] - ROUNDING * (1 + abs(far_B[0]))))

    def interval(self, level: float) -> tuple[float | None, float | None]:
        """The means that are not rejected at a level; None for an end that is nowhere."""
        low, high = self._student.interval(level)
        return self._end(low, level), self._end(high, level)

    def _end(self, about: float, level: float) -> float | None:
        """The last mean that is not rejected, on the side where Student's interval ends."""
        step = about - self._centre

        def is_rejected(reach: float) -> bool:
            return self.p_value(self._centre + reach * step) < level

        if not step:
            return about
        outside = 1.0
        while not is_rejected(outside):
            outside *= GROWTH
            if outside > FARTHEST:
                return None
        inside = outside / GROWTH
        while inside > ROUNDING and is_rejected(inside):
            inside, outside = inside / GROWTH, inside
        for _ in range(NUM_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if is_rejected(middle) else (middle, outside)
        return self._centre + inside * step


def _scaled(values_N: Floats) -> tuple[Floats, float]:
    """Values over a power of two near the largest, and that power.

    So no power of them leaves the range of floats, and not a bit of their fractions changes.
    """
    _, exponent = np.frexp(np.abs(values_N).max())
    scale = float(np.ldexp(1.0, exponent))
    return values_N / scale, scale


def _products(x_N: Floats, y_N: Floats) -> tuple[float, float, float]:
    """The sums of ``x x``, ``x y`` and ``y y``."""
    return float(x_N @ x_N), float(x_N @ y_N), float(y_N @ y_N)


def _square(squares: tuple[float, float, float], d: float) -> float:
    """The sum of ``(x - d y)**2`` from those products."""
    xx, xy, yy = squares
    return float(xx - 2 * d * xy + d * d * yy)


def _skewness(first: Floats, second: float, third: Floats) -> Floats:
    """From the means of powers; 0 where only rounding is left of the variance."""
    variance = second - first**2
    is_some = variance > ROUNDING * second
    variance = np.where(is_some, variance, 1.0)
    skewness = (third - 3 * first * second + 2 * first**3) / (variance * np.sqrt(variance))
    return np.where(is_some, skewness, 0.0)


def _weight_above(skewness: Floats, num: int) -> Floats:
    """Which share of the error is allowed to means above the true one: more of right-skewed."""
    steepness = (FADING_CLUSTERS / num) ** 1.7
    share = 0.5 + 0.5 * np.tanh(steepness / 2 * skewness)  # the logistic function
    return np.asarray(LEAST_WEIGHT + (1 - 2 * LEAST_WEIGHT) * share)


class _Student:
    """Student's t with the same weights: what the test by signs comes to for many clusters."""

    def __init__(self, clusters: Clusters) -> None:
        self._mean, self._error = clusters.mean, clusters.error
        self._num = len(clusters.sum_N)
        mean_N = clusters.sum_N / clusters.count_N
        off_N, _ = _scaled(mean_N - mean_N.mean())
        skewness = _skewness(
            np.zeros(1), float(np.mean(off_N**2)), np.mean(off_N**3, keepdims=True)
        )
        self._above = float(_weight_above(skewness, self._num)[0])

    def p_value(self, mean: float) -> float:
        """The smaller tail over its share of the error."""
        from scipy.special import stdtr

        if self._error == 0:
            return float(self._mean == mean)
        t = (self._mean - mean) / self._error
        tails = stdtr(self._num - 1, -t) / self._above, stdtr(self._num - 1, t) / (1 - self._above)
        return float(min(1.0, *tails))

    def interval(self, level: float) -> tuple[float, float]:
        """The means that are not rejected at a level."""
        from scipy.special import stdtrit

        shares = np.array([self._above, 1 - self._above])
        low, high = stdtrit(self._num - 1, level * shares) * self._error * [1, -1] + self._mean
        return float(low), float(high)
