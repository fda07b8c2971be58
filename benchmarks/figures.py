"""How a benchmark prints what it measured, and how two things are measured against each other."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def print_figure(
    name: str, values: Sequence[float], *, unit: str, goal: str | None, note: str, digits: int = 3
) -> None:
    """One JSON line: the median of the repeats, and how wide the middle half of them is."""
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else None
    figure = {
        "name": f"latents.{name}",
        "value": round(statistics.median(values), digits),
        "unit": unit,
        "goal": goal,
        "n": len(values),
        "spread": round(quartiles[2] - quartiles[0], digits) if quartiles else None,
        "note": note,
    }
    print(json.dumps(figure), flush=True)


def interleaved_seconds(
    works: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Wall seconds of each work in each round, in turn, after one unmeasured round.

    Each round has its own order, since whoever comes after a heavy one finds caches cold.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    order = random.Random(0)  # noqa: S311 - of rounds, not of secrets
    for number in range(rounds + 1):
        for name in order.sample(sorted(works), len(works)):
            start = time.perf_counter()
            works[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(over, under, strict=True)]
