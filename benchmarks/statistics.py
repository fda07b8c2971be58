"""How often pfp's tests err and its intervals miss, simulated. Prints JSON lines.

    python -m benchmarks.statistics [--only NAME ...] [--data-sets N] [--page FILE]

Every line is a share in per cent with its Monte-Carlo error (one standard deviation); ``goal`` is
what pfp's own should be. What refuses to decide has no value. ``--page`` writes docs/statistics.md
from the lines. Seeded; progress goes to stderr. About fifteen minutes on one quiet core.

    false_positives   of the paired test, at a nominal 5 %; what a 95 % interval misses is the same
                      share, since an interval holds all means that the test does not reject
    disagreements     data sets in which p value and interval say different things of the truth
    family            any two of several equal methods get different letters
    power             effects found, and how long intervals are beside Student's
    elo               ratings outside their 95 % intervals
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.statistics_data import (
    KINDS,
    LEVEL,
    DataSets,
    Floats,
    rejected_by_percentiles,
    rejected_by_student,
)
from benchmarks.statistics_elo import STUDIES, elo_misses
from benchmarks.statistics_page import page
from pfp.eval.stats.aggregate import Bootstrap, paired_difference
from pfp.eval.stats.sign_flips import MIN_CLUSTERS, Clusters, interval_of, p_value_of
from pfp.eval.stats.significance import all_pairs, compact_letters_of

SIZES: Final = (6, 8, 12, 20, 50)
METHODS: Final = (4, 8)
SETTINGS: Final = Bootstrap()
OURS, STUDENT, PERCENTILES = "sign flips", "Student's t", "percentile bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A figure in per cent; ``length`` is a ratio to Student's interval, the median."""

    figure: str
    of: str
    method: str
    num_clusters: int
    value: float | None
    error: float | None
    goal: str = ""


def share(wrong: Sequence[bool] | np.ndarray, **names: object) -> Line:
    """How many per cent are wrong."""
    p = float(np.mean(wrong))
    error = 100 * np.sqrt(p * (1 - p) / len(wrong))
    return Line(value=100 * p, error=float(error), **names)  # type: ignore[arg-type]


def false_positives(num: int) -> Iterator[Line]:
    """At a true mean of 0."""
    for kind in KINDS:
        for is_clustered in (False, True):
            of = f"{kind}, 1 to 5 videos a prompt" if is_clustered else kind
            for n in SIZES:
                rng = np.random.default_rng([n, is_clustered, *kind.encode()])
                data = DataSets.draw(kind, num, n, rng, is_clustered=is_clustered)
                names = {"figure": "false_positives", "of": of, "num_clusters": n}
                yield share(rejected_by_percentiles(data, rng), method=PERCENTILES, **names)
                yield share(rejected_by_student(data), method=STUDENT, **names)
                yield _ours(data, names)


def _ours(data: DataSets, names: Mapping[str, object]) -> Line:
    if data.sum_RN.shape[1] < MIN_CLUSTERS:
        return Line(method=OURS, value=None, error=None, **names)  # type: ignore[arg-type]
    p_values = [_p_value(*row) for row in zip(data.sum_RN, data.count_RN, strict=True)]
    return share([p < LEVEL for p in p_values], method=OURS, goal="4 to 6", **names)


def _p_value(sum_N: Floats, count_N: Floats) -> float:
    clusters = Clusters(sum_N=sum_N, count_N=count_N)
    p = p_value_of(clusters, 0.0, num_draws=SETTINGS.num_draws, seed=SETTINGS.seed)
    assert p is not None
    return p


def disagreements(num: int) -> Iterator[Line]:
    """Through the functions that tables are made with; the truth is shifted off 0, too."""
    for kind in KINDS:
        for n in SIZES[1:]:
            rng = np.random.default_rng([n, *kind.encode()])
            data = DataSets.draw(kind, max(num // 20, 20), n, rng, is_clustered=False)
            wrong = []
            for row_N in data.sum_RN:
                values = {str(i): x for i, x in enumerate(row_N + rng.choice([0.0, 0.3]))}
                found = paired_difference(values, dict.fromkeys(values, 0.0))
                assert found.p_value is not None
                wrong.append((found.p_value < LEVEL) != found.excludes_zero)
            names = {"figure": "disagreements", "of": kind, "num_clusters": n}
            yield share(wrong, method=OURS, goal="0", **names)


def family(num: int) -> Iterator[Line]:
    """Methods whose scores of a prompt are exchangeable, by the letters of tables."""
    for kind in ("normal", "lognormal"):
        for num_methods in METHODS:
            for n in SIZES:
                names = {
                    "figure": "family",
                    "of": f"{num_methods} methods, {kind} scores",
                    "num_clusters": n,
                    "method": OURS,
                }
                if n < MIN_CLUSTERS:
                    yield Line(value=None, error=None, **names)  # type: ignore[arg-type]
                    continue
                rng = np.random.default_rng([n, num_methods, *kind.encode()])
                scores = KINDS[kind](rng, (max(num // 8, 20), num_methods, n))
                yield share([_any_differ(each) for each in scores], goal="<= 6", **names)


def _any_differ(scores_MN: Floats) -> bool:
    values = {
        str(m): {str(i): float(x) for i, x in enumerate(row)} for m, row in enumerate(scores_MN)
    }
    pairs = all_pairs(values, list(values), SETTINGS)
    return len(set(compact_letters_of(list(values), pairs, level=LEVEL).values())) > 1


def power(num: int) -> Iterator[Line]:
    """Of normal values whose mean is 4 standard errors off 0; and the median ratio of lengths."""
    for n in SIZES[1:]:
        rng = np.random.default_rng(n)
        drawn = DataSets.draw("normal", max(num // 5, 20), n, rng, is_clustered=False)
        data = DataSets(sum_RN=drawn.sum_RN + 4 / np.sqrt(n), count_RN=drawn.count_RN)
        names = {"figure": "power", "of": "4 standard errors", "num_clusters": n}
        yield share(rejected_by_student(data), method=STUDENT, **names)
        yield share([_p_value(x, np.ones(n)) < LEVEL for x in data.sum_RN], method=OURS, **names)
        for kind in ("normal", "lognormal"):
            some = DataSets.draw(kind, max(num // 20, 20), n, rng, is_clustered=False).sum_RN
            yield Line(
                figure="length",
                of=kind,
                method=OURS,
                num_clusters=n,
                value=float(np.median([_length_ratio(x) for x in some])),
                error=None,
            )


def _length_ratio(sum_N: Floats) -> float:
    from scipy.stats import t

    clusters = Clusters(sum_N=sum_N, count_N=np.ones(len(sum_N)))
    low, high = interval_of(
        clusters, confidence=1 - LEVEL, num_draws=SETTINGS.num_draws, seed=SETTINGS.seed
    )
    assert low is not None
    assert high is not None
    return float((high - low) / (2 * clusters.error * t.ppf(1 - LEVEL / 2, len(sum_N) - 1)))


def elo(num: int) -> Iterator[Line]:
    """Three models, with and without tastes of raters and prompts."""
    for study in STUDIES:
        misses = elo_misses(study, max(num // 16, 20))
        names = {"figure": "elo", "of": study.name, "method": "by raters and prompts"}
        by_study = np.mean(misses, axis=1)  # the ratings of one study go together
        yield Line(
            value=100 * float(np.mean(misses)),
            error=100 * float(by_study.std() / np.sqrt(len(by_study))),
            num_clusters=min(study.num_raters or study.num_votes, study.num_prompts or 10**9),
            goal="3.5 to 6.5",
            **names,
        )


FIGURES: Final[Mapping[str, Callable[[int], Iterator[Line]]]] = {
    "false_positives": false_positives,
    "disagreements": disagreements,
    "family": family,
    "power": power,
    "elo": elo,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="How often tests err and intervals miss.")
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--data-sets", type=int, default=10_000, help="of each cell of the first")
    parser.add_argument("--page", metavar="FILE", help="write the tables as Markdown there")
    given = parser.parse_args(arguments)
    found = []
    for name in given.only:
        for line in FIGURES[name](given.data_sets):
            found.append(asdict(line))
            print(json.dumps(found[-1]), flush=True)
            print(f"{name}: {len(found)} figures", end="\r", file=sys.stderr, flush=True)
    if given.page:
        Path(given.page).write_text(page(found, given.data_sets), encoding="utf-8")


if __name__ == "__main__":
    main()
