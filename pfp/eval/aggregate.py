"""Scores to numbers that may stand in a table: a mean with its interval, its n and its coverage.

Macro means over clips and percentile bootstraps over clips (Efron and Tibshirani 1993, chapter 13):
all samples of a clip are drawn together, since frames of one clip are not independent. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    under ``1 / num_draws``, which is all that so many draws can tell.
    """
    settings = bootstrap or Bootstrap()
    shared = sorted(a.keys() & b.keys())
    deltas = np.array([a[clip_id] - b[clip_id] for clip_id in shared], dtype=np.float64)
    draws = bootstrap_means(deltas, settings)
    low, high = interval(draws, settings)
    p_value = None
    if low is not None:
        tail = min(np.mean(draws <= 0), np.mean(draws >= 0))
        p_value = float(np.clip(2 * tail, 1 / settings.num_draws, 1.0))
    mean = float(deltas.mean()) if len(deltas) else None
    return Difference(mean=mean, low=low, high=high, p_value=p_value, n=len(deltas))


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


def _sorted_values(by_clip: Mapping[str, float]) -> Floats:
    return np.array([by_clip[clip_id] for clip_id in sorted(by_clip)], dtype=np.float64)
