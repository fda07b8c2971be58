"""Do stored latents look normalised? Pooled over a table, since single clips vary a lot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Black or static clips have moments far from the training set's; a few of them say nothing.
MIN_CLIPS: Final = 4
# Mean log-likelihood ratio, nats per value. With latents_std near 2 (Wan 2.1, HunyuanVideo) raw
# tables give 0.4 to 1.3 and normalised ones -0.3 or less; single clips reach -0.2.
MAX_EVIDENCE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Per-channel mean and standard deviation of ``weight`` values each, float64 ``(C,)``."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    weight: float


class Pool:
    """Adds up clips' moments, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self.count = 0
        self._weight = 0.0
        self._sums = np.zeros(0)
        self._squares = np.zeros(0)

    def add(self, part: Moments) -> None:
        """Adds one clip's values."""
        if not self.count:
            self._sums, self._squares = np.zeros_like(part.mean), np.zeros_like(part.mean)
        self.count += 1
        self._weight += part.weight
        self._sums += part.weight * part.mean
        self._squares += part.weight * (part.std**2 + part.mean**2)

    def moments(self) -> Moments:
        """The moments of all values together."""
        mean = self._sums / self._weight
        variance = np.maximum(self._squares / self._weight - mean**2, 0)
        return Moments(mean=mean, std=np.sqrt(variance), weight=self._weight)


def evidence_of_raw(
    pooled: Moments, latents_mean: Sequence[float], latents_std: Sequence[float]
) -> float:
    """How much better "raw" explains the values than "normalised", in nats per value.

    Raw values of a channel are about normal with the VAE's ``latents_mean`` and ``latents_std``,
    normalised ones with 0 and 1. This is the mean log-likelihood ratio of the two over all values,
    which their first two moments decide; above 0 they look raw. A threshold on the standard
    deviation alone would miss VAEs whose latents_std is near 1.
    """
    mean, std = np.asarray(latents_mean), np.asarray(latents_std)
    as_raw = (pooled.std**2 + (pooled.mean - mean) ** 2) / std**2 + 2 * np.log(std)
    as_normalised = pooled.std**2 + pooled.mean**2
    return float(np.mean(as_normalised - as_raw) / 2)
