"""Made-up scores whose truth is known, and the tests that pfp's own is compared with.

Axes: R data sets, N clusters of each, K values of a cluster, B draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

MOST_VIDEOS: Final = 5  # of one cluster
NUM_DRAWS: Final = 1000  # of the percentile bootstrap
LEVEL: Final = 0.05


def _lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.lognormal(size=shape) - np.exp(0.5)


def _two_heaps(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0) + rng.normal(scale=0.2, size=shape)


# All with a true mean of 0.
KINDS: Final[Mapping[str, Draw]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t with 3 degrees of freedom": lambda rng, shape: rng.standard_t(3, size=shape),
    "two heaps": _two_heaps,
    "differences of two lognormal scores": (
        lambda rng, shape: _lognormal(rng, shape) - _lognormal(rng, shape)
    ),
    "lognormal": _lognormal,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSets:
    """Sums and counts of the values of clusters, (R, N); the true mean is 0."""

    sum_RN: Floats
    count_RN: Floats

    @classmethod
    def draw(
        cls,
        kind: str,
        num: int,
        num_clusters: int,
        rng: np.random.Generator,
        *,
        is_clustered: bool,
    ) -> DataSets:
        """One value a cluster; or 1 to 5 that share half of their variance."""
        shape = (num, num_clusters)
        if not is_clustered:
            return cls(sum_RN=KINDS[kind](rng, shape), count_RN=np.ones(shape))
        count_RN = rng.integers(1, MOST_VIDEOS + 1, size=shape)
        own_RNK = KINDS[kind](rng, (*shape, MOST_VIDEOS))
        is_there_RNK = np.arange(MOST_VIDEOS) < count_RN[..., None]
        sum_RN = count_RN * KINDS[kind](rng, shape) + (own_RNK * is_there_RNK).sum(axis=-1)
        return cls(sum_RN=sum_RN, count_RN=count_RN.astype(np.float64))


def rejected_by_percentiles(data: DataSets, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Whether the percentile bootstrap's interval leaves 0 out, (R,)."""
    n = data.sum_RN.shape[1]
    times_BN = rng.multinomial(n, np.full(n, 1 / n), size=NUM_DRAWS).astype(np.float64)
    found = []
    for start in range(0, len(data.sum_RN), 500):
        part = slice(start, start + 500)
        means_RB = (data.sum_RN[part] @ times_BN.T) / (data.count_RN[part] @ times_BN.T)
        low_R, high_R = np.quantile(means_RB, [LEVEL / 2, 1 - LEVEL / 2], axis=1)
        found.append((low_R > 0) | (high_R < 0))
    return np.concatenate(found)


def rejected_by_student(data: DataSets) -> npt.NDArray[np.bool_]:
    """Whether the interval of Student's t over clusters leaves 0 out, (R,)."""
    n = data.sum_RN.shape[1]
    mean_R = data.sum_RN.sum(axis=1) / data.count_RN.sum(axis=1)
    off_RN = data.sum_RN - mean_R[:, None] * data.count_RN
    error_R = np.sqrt((off_RN**2).sum(axis=1) * n / (n - 1)) / data.count_RN.sum(axis=1)
    return np.asarray(np.abs(mean_R / error_R) > -stdtrit(n - 1, LEVEL / 2))
