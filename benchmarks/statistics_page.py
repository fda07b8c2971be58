"""docs/statistics.md, written from the lines of ``benchmarks.statistics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Lines: TypeAlias = Sequence[Mapping[str, Any]]

OURS = "sign flips"

HEAD = """\
# How far to trust the intervals

Written by `python -m benchmarks.statistics --page docs/statistics.md`, which says how each figure
is made. All are per cent, of data sets whose truth is known; {num:,} of them make each cell of the
first three tables, whose Monte-Carlo error is {error:.1f} (one standard deviation).
[Decision 016](decisions/016-one-test-by-signs-for-means-and-differences.md) says what the test is,
and why.

## False positives, and what intervals miss

Nominal: 5 %. Goal: 4 to 6. A 95 % interval holds the means that the test does not reject, so it
misses the truth as often as the test errs, and covers it otherwise (94 to 96 %). *n* is the number
of prompts. Fewer than 8 have no interval and decide nothing: at 6 and 7 no test was found that errs
as seldom on lognormal values and still finds what is there.
"""

OF_DIFFERENCES = """
Where two methods are equally good in that either might have got either's score of a prompt, their
differences spread evenly about 0, whatever the scores are. There the test is exact; what is missing
to 5 % at 8 prompts is that p values come in steps of 1/128, and of values in two heaps, which are
about 1 or about -1, that no mean beside that of the values is rejected. The last two rows are
harder: values whose mean is 0 because few large ones make up for many small ones (lognormal values
less their mean). For means of scores, which need not spread evenly, they are the rows to look at.
With tails still longer than a lognormal's (of a standard deviation of 1 in logarithms) no test of
so few values holds.

What other tests make of the same data, the percentile bootstrap that pfp had before, and Student's
t over prompts:
"""

FAMILY = """
## Letters

How often any two of several equal methods get different letters, by Holm's adjustment over all
pairs; in brackets the Monte-Carlo error. Goal: at most 6. With 8 prompts 8 methods never differ:
their 28 pairs times the least p value, 1/128, are over 0.05.
"""

POWER = """
## What it costs

Safety against skewed values is paid for where prompts are few: intervals reach farther on the side
where a long tail may hide, and differences whose skewness points to 0 must be larger to be told
from it. How often normal values are told from 0 whose mean is 4 standard errors off:
"""

LENGTH = """
Lengths of intervals over Student's (ratios, medians):
"""

ELO = """
## Ratings of user studies

Ratings outside their 95 % intervals, of three models 50 Elo apart. Goal: 3.5 to 6.5. Tastes are the
standard deviation by which raters, and prompts, differ in how good they find a model; where there
are none, and votes are few, intervals are a little longer than they need be.
"""


def page(found: Lines, num: int) -> str:
    """The whole page."""
    parts = [
        HEAD.format(num=num, error=100 * (0.05 * 0.95 / num) ** 0.5),
        _by_size(found, "false_positives", OURS),
        OF_DIFFERENCES,
    ]
    parts += [
        _by_size(found, "false_positives", method, corner=method)
        for method in ("percentile bootstrap", "Student's t")
    ]
    parts += [_agreement(found), FAMILY, _by_size(found, "family", OURS)]
    parts += [POWER, _by_method(found), LENGTH, _by_size(found, "length", OURS, decimals=2)]
    parts += [ELO, _elo(found)]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _by_size(found: Lines, figure: str, method: str, *, decimals: int = 1, corner: str = "") -> str:
    chosen = [line for line in found if (line["figure"], line["method"]) == (figure, method)]
    return _table([(line["of"], line) for line in chosen], decimals, corner)


def _by_method(found: Lines) -> str:
    return _table([(line["method"], line) for line in found if line["figure"] == "power"], 0, "")


def _table(rows: Sequence[tuple[str, Mapping[str, Any]]], decimals: int, corner: str) -> str:
    """Names down, numbers of clusters across."""
    sizes = sorted({line["num_clusters"] for _, line in rows})
    cells = {(name, line["num_clusters"]): _cell(line, decimals) for name, line in rows}
    lines = [[corner, *(f"n = {n}" for n in sizes)], ["---"] * (len(sizes) + 1)]
    names = dict.fromkeys(name for name, _ in rows)
    lines += [[name, *(cells.get((name, n), "not run") for n in sizes)] for name in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(line: Mapping[str, Any], decimals: int) -> str:
    """The value; with its error where cells have fewer data sets."""
    if line["value"] is None:
        return "says nothing"
    shown = f"{line['value']:.{decimals}f}"
    if line["figure"] in {"family", "power"}:
        shown += f" (+- {line['error']:.1f})"
    return shown


def _agreement(found: Lines) -> str:
    lines = [line for line in found if line["figure"] == "disagreements"]
    if not lines:
        return ""
    worst = max(line["value"] for line in lines)
    return (
        f"\nData sets in which the p value and the interval of one difference say different\n"
        f"things of 0: {worst:.1f} % at most, in {len(lines)} of the cells of the first table."
    )


def _elo(found: Lines) -> str:
    lines = [line for line in found if line["figure"] == "elo"]
    rows = [["study", "outside", "Monte-Carlo error"], ["---"] * 3]
    rows += [[line["of"], f"{line['value']:.1f}", f"{line['error']:.1f}"] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
