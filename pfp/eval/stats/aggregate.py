"""Scores to numbers that may stand in a table: a mean with its interval, its n and its coverage.

Macro means over clips. Intervals and p values are of one test, by signs (``stats.sign_flips``):
all samples of a clip change sign together, since frames of one clip are not independent. Where
several videos answer one prompt, ``summarise_clustered`` takes prompts for clips. Shares of yes
have Wilson's interval. NumPy, and SciPy for the distribution of t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError
from pfp.eval.stats.sign_flips import Clusters, interval_of, p_value_of

Floats = npt.NDArray[np.float64]
MAX_CELLS = 1 << 22  # of a matrix of draws at once: 32 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How intervals are made. The same seed gives the same interval on every machine.

    num_draws: of votes drawn anew for ratings; of signs for means, where not all can be tried.
    """

    num_draws: int = 2000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse settings that give no interval."""
        if self.num_draws < 100 or not 0 < self.confidence < 1:
            raise ConfigError(
                f"bootstrap: {self.num_draws} draws at confidence {self.confidence}; "
                "use at least 100 draws and a confidence between 0 and 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The mean over clips, its interval, how many clips it rests on and how many there should be.

    ``mean`` is None when no clip has a value; ``low`` and ``high`` are None under eight clips (a
    share of yes needs one): nothing that was tried holds for so few (docs/statistics.md).
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    num_expected: int

    @property
    def coverage(self) -> float | None:
        """The share of expected clips that have a value, [0, 1]; None when none was expected."""
        return self.n / self.num_expected if self.num_expected else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean over shared clips of a minus b, and the test of it; under eight it says nothing.

    ``p_value`` is under 1 - confidence exactly if the interval leaves 0 out.
    """

    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int

    @property
    def excludes_zero(self) -> bool | None:
        """Whether the interval lies on one side of 0; None when there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


def clip_means(values: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The mean of each clip's samples, by clip, sorted: ``(clip_id, value)`` pairs in any order."""
    by_clip: dict[str, list[float]] = {}
    for clip_id, value in values:
        by_clip.setdefault(clip_id, []).append(value)
    return {clip_id: float(np.mean(sorted(by_clip[clip_id]))) for clip_id in sorted(by_clip)}


def summarise(
    by_clip: Mapping[str, float], *, num_expected: int, bootstrap: Bootstrap | None = None
) -> Summary:
    """The macro mean over clips with its interval."""
    clusters = Clusters.of_one_each([by_clip[clip_id] for clip_id in sorted(by_clip)])
    return _summary(clusters, num_expected=num_expected, bootstrap=bootstrap)


def paired_difference(
    a: Mapping[str, float], b: Mapping[str, float], *, bootstrap: Bootstrap | None = None
) -> Difference:
    """The mean of a - b over the clips that both have, and whether it is surely not 0.

    The test is exact where a and b are equally good in that either may have either's value of a
    clip, whatever the values (``pfp.eval.stats.sign_flips``).
    """
    return _difference(_paired(a, b), bootstrap)


def paired_p_value(
    a: Mapping[str, float], b: Mapping[str, float], *, bootstrap: Bootstrap | None = None
) -> float | None:
    """That of ``paired_difference``, at a small part of its cost."""
    return _p_value(_paired(a, b), bootstrap)


def _paired(a: Mapping[str, float], b: Mapping[str, float]) -> Clusters:
    return Clusters.of_one_each(
        [a[clip_id] - b[clip_id] for clip_id in sorted(a.keys() & b.keys())]
    )


def summarise_clustered(
    values: Sequence[tuple[str, float]],
    *,
    num_expected: int,
    bootstrap: Bootstrap | None = None,
) -> Summary:
    """The macro mean over videos, with an interval over clusters of them.

    values: ``(cluster, value)``, one per video, in any order; the cluster is the prompt that the
    video answers. Videos of one prompt share its difficulty, so they change sign together; each
    video weighs the same, so that prompts with more videos weigh more. Under eight clusters there
    is no interval.
    """
    return _summary(_clusters(values), num_expected=num_expected, bootstrap=bootstrap)


def _summary(clusters: Clusters, *, num_expected: int, bootstrap: Bootstrap | None) -> Summary:
    settings = bootstrap or Bootstrap()
    low, high = interval_of(
        clusters,
        confidence=settings.confidence,
        num_draws=settings.num_draws,
        seed=settings.seed,
    )
    n = int(clusters.count_N.sum())
    mean = clusters.mean if n else None
    return Summary(mean=mean, low=low, high=high, n=n, num_expected=num_expected)


def clustered_difference(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    cluster_of: Mapping[str, str],
    bootstrap: Bootstrap | None = None,
) -> Difference:
    """As ``paired_difference``, but clips of one cluster change sign together.

    cluster_of: the prompt of each clip that both have; a KeyError for one that is not there.
    """
    shared = sorted(a.keys() & b.keys())
    deltas = [(cluster_of[clip_id], a[clip_id] - b[clip_id]) for clip_id in shared]
    return _difference(_clusters(deltas), bootstrap)


def _difference(clusters: Clusters, bootstrap: Bootstrap | None) -> Difference:
    """The mean of differences, ``a - b`` by cluster, and the test of it."""
    found = _summary(clusters, num_expected=0, bootstrap=bootstrap)
    p_value = _p_value(clusters, bootstrap)
    return Difference(mean=found.mean, low=found.low, high=found.high, p_value=p_value, n=found.n)


def _p_value(clusters: Clusters, bootstrap: Bootstrap | None) -> float | None:
    settings = bootstrap or Bootstrap()
    return p_value_of(clusters, 0.0, num_draws=settings.num_draws, seed=settings.seed)


def _clusters(values: Sequence[tuple[str, float]]) -> Clusters:
    """Sums and counts by cluster, the same for any order of the values."""
    members: dict[str, list[float]] = {}
    for cluster, value in sorted(values):
        members.setdefault(cluster, []).append(value)
    return Clusters(
        sum_N=np.array([sum(group) for group in members.values()], dtype=np.float64),
        count_N=np.array([len(group) for group in members.values()], dtype=np.float64),
    )


def summarise_yes_no(
    by_clip: Mapping[str, float], *, num_expected: int, confidence: float = 0.95
) -> Summary:
    """The share of clips that got a yes (1; no is 0), with Wilson's interval.

    Raises:
        ConfigError: a value is neither 0 nor 1, as are means of several samples.
    """
    for clip_id, value in by_clip.items():
        if value not in {0.0, 1.0}:
            raise ConfigError(
                f"clip {clip_id} has {value}, neither yes (1) nor no (0); summarise means of "
                "several answers with summarise_clustered"
            )
    num_yes, n = int(sum(by_clip.values())), len(by_clip)
    low, high = wilson(num_yes, n, confidence=confidence)
    mean = num_yes / n if n else None
    return Summary(mean=mean, low=low, high=high, n=n, num_expected=num_expected)


def wilson(
    num_yes: int, n: int, *, confidence: float = 0.95
) -> tuple[float, float] | tuple[None, None]:
    """Wilson's score interval (1927) of a share, in [0, 1]; Nones when nobody was asked.

    Unlike a bootstrap it has a width even when all answers agree.
    """
    if not 0 <= num_yes <= n or not 0 < confidence < 1:
        raise ConfigError(
            f"{num_yes} yes of {n} at confidence {confidence} is no share; give 0 to n of n and a "
            "confidence between 0 and 1"
        )
    if not n:
        return None, None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, shrink = num_yes / n, 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    # Of no or all yes the closed form ends at 0 or 1 but for rounding.
    low = 0.0 if num_yes == 0 else centre - half
    return low, 1.0 if num_yes == n else centre + half


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (1979) for comparing several methods at once; None stays None."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - rank)))
        adjusted[i] = running
    return adjusted
