"""Scores to numbers that may stand in a table: a mean with its interval, its n and its coverage.

Macro means over clips and percentile bootstraps over clips (Efron and Tibshirani 1993, chapter 13):
all samples of a clip are drawn together, since frames of one clip are not independent. Where
several videos answer one prompt, ``summarise_clustered`` draws prompts. Shares of yes have Wilson's
interval. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError

Floats = npt.NDArray[np.float64]
MAX_CELLS = 1 << 22  # of the index matrix drawn at once: 32 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How intervals are made. The same seed gives the same interval on every machine."""

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

    ``mean`` is None when no clip has a value; ``low`` and ``high`` are None under two clips, which
    have no spread to draw from.
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
    """The mean over shared clips of a minus b; ``p_value`` is that of ``paired_difference``."""

    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int

    @property
    def stays_off_zero(self) -> bool | None:
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
    """The macro mean over clips with its percentile bootstrap interval."""
    values = _sorted_values(by_clip)
    mean = float(values.mean()) if len(values) else None
    low, high = interval(
        bootstrap_means(values, bootstrap or Bootstrap()), bootstrap or Bootstrap()
    )
    return Summary(mean=mean, low=low, high=high, n=len(values), num_expected=num_expected)


def paired_difference(
    a: Mapping[str, float], b: Mapping[str, float], *, bootstrap: Bootstrap | None = None
) -> Difference:
    """The mean of a - b over the clips that both have, with a paired bootstrap interval.

    ``p_value`` inverts the bootstrap: twice the smaller share of draws on one side of 0, never
    under ``1 / num_draws``, which is all that so many draws can tell, nor under ``2 / 2**n``, how
    often n fair coins fall alike.
    """
    settings = bootstrap or Bootstrap()
    shared = sorted(a.keys() & b.keys())
    deltas = np.array([a[clip_id] - b[clip_id] for clip_id in shared], dtype=np.float64)
    draws = bootstrap_means(deltas, settings)
    low, high = interval(draws, settings)
    p_value = _p_value(draws, settings, num_drawn_from=len(deltas))
    mean = float(deltas.mean()) if len(deltas) else None
    return Difference(mean=mean, low=low, high=high, p_value=p_value, n=len(deltas))


def summarise_clustered(
    values: Sequence[tuple[str, float]],
    *,
    num_expected: int,
    bootstrap: Bootstrap | None = None,
) -> Summary:
    """The macro mean over videos, with an interval that draws whole clusters of them.

    values: ``(cluster, value)``, one per video, in any order; the cluster is the prompt that the
    video answers. Videos of one prompt share its difficulty, so they are drawn together; each video
    weighs the same, so that prompts with more videos weigh more. Under two clusters there is no
    interval.
    """
    settings = bootstrap or Bootstrap()
    low, high = interval(clustered_means(values, settings), settings)
    mean = float(np.mean(sorted(value for _, value in values))) if values else None
    return Summary(mean=mean, low=low, high=high, n=len(values), num_expected=num_expected)


def clustered_difference(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    cluster_of: Mapping[str, str],
    bootstrap: Bootstrap | None = None,
) -> Difference:
    """As ``paired_difference``, but clips of one cluster are drawn together.

    cluster_of: the prompt of each clip that both have; a KeyError for one that is not there.
    """
    settings = bootstrap or Bootstrap()
    shared = sorted(a.keys() & b.keys())
    deltas = [(cluster_of[clip_id], a[clip_id] - b[clip_id]) for clip_id in shared]
    summary = summarise_clustered(deltas, num_expected=len(deltas), bootstrap=settings)
    return Difference(
        mean=summary.mean,
        low=summary.low,
        high=summary.high,
        p_value=_p_value(
            clustered_means(deltas, settings),
            settings,
            num_drawn_from=len({cluster for cluster, _ in deltas}),
        ),
        n=summary.n,
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


def clustered_means(values: Sequence[tuple[str, float]], bootstrap: Bootstrap) -> Floats:
    """The means of ``num_draws`` resamples of whole clusters; empty for fewer than two clusters."""
    members: dict[str, list[float]] = {}
    for cluster, value in sorted(values):
        members.setdefault(cluster, []).append(value)
    sums = np.array([sum(group) for group in members.values()], dtype=np.float64)
    counts = np.array([len(group) for group in members.values()], dtype=np.float64)
    # Means of sums over means of counts, both with the same draws.
    sums_of_draws = bootstrap_means(sums, bootstrap)
    return np.asarray(sums_of_draws / bootstrap_means(counts, bootstrap))


def bootstrap_means(values: Floats, bootstrap: Bootstrap) -> Floats:
    """The means of ``num_draws`` resamples with replacement; empty for fewer than two values."""
    n = len(values)
    if n < 2:
        return np.empty(0)
    rng = np.random.default_rng(bootstrap.seed)
    rows = max(1, MAX_CELLS // n)  # bounded memory: 5M scores times 2000 draws do not fit
    starts = range(0, bootstrap.num_draws, rows)
    counts = [min(rows, bootstrap.num_draws - start) for start in starts]
    means = [values[rng.integers(n, size=(count, n))].mean(axis=1) for count in counts]
    return np.concatenate(means)


def interval(draws: Floats, bootstrap: Bootstrap) -> tuple[float, float] | tuple[None, None]:
    """The central share ``confidence`` of the draws, or Nones when there are none."""
    if not len(draws):
        return None, None
    tail = 50 * (1 - bootstrap.confidence)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (1979) for comparing several arms at once; None stays None."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - rank)))
        adjusted[i] = running
    return adjusted


def _p_value(draws: Floats, bootstrap: Bootstrap, *, num_drawn_from: int) -> float | None:
    """Of few values a bootstrap is too sure: two that agree would never be told from a rule."""
    if not len(draws):
        return None
    tail = min(np.mean(draws <= 0), np.mean(draws >= 0))
    least = max(1 / bootstrap.num_draws, 2.0 ** (1 - num_drawn_from))
    return float(np.clip(2 * tail, least, 1.0))


def _sorted_values(by_clip: Mapping[str, float]) -> Floats:
    return np.array([by_clip[clip_id] for clip_id in sorted(by_clip)], dtype=np.float64)
