"""Round numbers along a scale."""

from __future__ import annotations

import math


def nice_ticks(low: float, high: float, *, at_most: int = 6) -> list[float]:
    """Round numbers in even steps of 1, 2 or 5 times a power of ten that cover ``[low, high]``."""
    spread, size = high - low, max(abs(low), abs(high))
    if spread < 1e-9 * size or not spread:  # equal but for rounding: sums in another order
        spread = size or 1.0
    step = 10.0 ** math.floor(math.log10(spread / at_most))
    for factor in (1, 2, 5, 10, 20, 50):
        first, last = math.floor(low / (step * factor)), math.ceil(high / (step * factor))
        if last - first < at_most:
            break
    last = max(last, first + 1)
    return [round(i * step * factor, 12) for i in range(first, last + 1)]
