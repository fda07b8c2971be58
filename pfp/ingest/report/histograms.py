"""Histograms of what a recipe's filters look at, from tables of any length in bounded memory.

Two passes: the first finds the range and counts the sides of each limit, the second fills the bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pfp.ingest.audio_columns import NEEDED, AudioColumns, audio_filters
from pfp.ingest.filters import Bound, Filter
from pfp.ingest.recipe import Recipe
from pfp.ingest.spans import Floats, Ints
from pfp.ingest.verdicts import is_kept
from pfp.io.run_tables import has_table
from pfp.io.tables import iter_tables, read_table
from pfp.pages.ticks import nice_ticks
from pfp.schema.run_directory import RunDirectory, TableLocation

NUM_BINS: Final = 40
_SAMPLE: Final = 1 << 16  # values that tell where most values lie
_TAIL: Final = 0.005  # share of the values, at either end, that the scale need not reach
_FEW: Final = 200  # so many values are all within the scale
_UNUSED: Final = {"video_uri", "video_sha256", "clip_id", "result_key", "recipe"}

Bools = npt.NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class Limit:
    """A threshold, and how many known values lie inside (equal is inside) and outside of it.

    ``tier`` is the tier that asks for it; None: what lies outside is dropped.
    """

    reason: str
    threshold: float
    is_min: bool
    tier: str | None
    num_inside: int = 0
    num_outside: int = 0


@dataclass(slots=True, kw_only=True)
class Histogram:
    """Values of one measure of all rows that were asked for it, ``rows`` of a kind.

    ``inside`` and ``outside`` count by bin, between ``edges``, the values within all limits that
    drop, and the others; the first and the last bin have also what lies beyond. ``low`` and
    ``high`` are the least and the greatest value; None where none is known.
    """

    rows: str
    what: str
    limits: list[Limit]
    num_known: int = 0
    num_unknown: int = 0
    low: float | None = None
    high: float | None = None
    ticks: list[float] = field(default_factory=lambda: [0.0, 1.0])
    inside: Ints = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    outside: Ints = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))

    @property
    def edges(self) -> Floats:
        """Of the bins, one more than these."""
        return np.linspace(self.ticks[0], self.ticks[-1], NUM_BINS + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A table, and the filters that are asked of its rows, with the tier that asks.

    ``audio`` is put beside the table where filters ask about sound.
    """

    rows: str
    where: TableLocation[Any]
    filters: Sequence[tuple[str | None, Filter]]
    only_kept: bool
    audio: AudioColumns | None = None

    def bounds(self, table: pa.Table) -> Iterator[tuple[str | None, Bound]]:
        for tier, one in self.filters:
            for bound in one.bounds(table):
                yield tier, bound

    def tables(self) -> Iterator[pa.Table]:
        """The columns that filters may look at, some thousand rows at a time."""
        names = [
            one.name
            for one in self.where.record.SCHEMA
            if not (pa.types.is_nested(one.type) or pa.types.is_binary(one.type))
            and (self.audio is not None or one.name not in _UNUSED)
        ]
        for table in iter_tables(*self.where, columns=[*names, "verdict.kind"]):
            rows = table.filter(pa.array(is_kept(table))) if self.only_kept else table
            yield self._whole(rows)

    def no_rows(self) -> pa.Table:
        """All columns that filters may look at, empty."""
        return self._whole(self.where.record.SCHEMA.empty_table())

    def _whole(self, table: pa.Table) -> pa.Table:
        return table if self.audio is None else self.audio.beside(table)


class _Sample:
    """One in so many of the values that pass by, at most ``_SAMPLE`` of them."""

    def __init__(self) -> None:
        self.values: Floats = np.zeros(0)
        self._step = 1

    def add(self, values: Floats) -> None:
        self.values = np.concatenate([self.values, values[:: self._step]])
        while len(self.values) > _SAMPLE:
            self.values = self.values[::2].copy()
            self._step *= 2


def histograms(run: RunDirectory, recipe: Recipe) -> list[Histogram]:
    """One for each measure that a filter of the recipe looks at, in the recipe's order.

    Of videos, all that were measured; of windows, all that were cut.
    """
    windows = recipe.windows.filters if recipe.windows else {}
    of_windows = [
        *_asked(None, windows),
        *(one for tier, filters in recipe.tiers.items() for one in _asked(tier, filters)),
    ]
    return [
        *_histograms(
            _Source(
                rows="videos",
                where=run.measured,
                filters=_asked(None, recipe.filters),
                only_kept=True,
                audio=_audio_of(run) if audio_filters(recipe) else None,
            )
        ),
        *_histograms(_Source(rows="windows", where=run.clips, filters=of_windows, only_kept=False)),
    ]


def _audio_of(run: RunDirectory) -> AudioColumns:
    known = read_table(*run.audio, columns=NEEDED) if has_table(run.audio) else None
    return AudioColumns(known, ())


def _asked(tier: str | None, filters: Mapping[str, Filter]) -> list[tuple[str | None, Filter]]:
    return [(tier, one) for one in filters.values()]


def _histograms(source: _Source) -> list[Histogram]:
    if not source.filters:
        return []
    found = _empty(source)
    samples = {what: _Sample() for what in found}
    for table in source.tables():
        for what, bounds in _by_measure(source, table).items():
            samples[what].add(_count_sides(found[what], bounds))
    for what, histogram in found.items():
        histogram.ticks = _scale(histogram, samples[what].values)
    for table in source.tables():
        for what, bounds in _by_measure(source, table).items():
            _fill_bins(found[what], bounds)
    return list(found.values())


def _empty(source: _Source) -> dict[str, Histogram]:
    return {
        what: Histogram(
            rows=source.rows,
            what=what,
            limits=[
                Limit(
                    reason=bound.reason, threshold=bound.threshold, is_min=bound.is_min, tier=tier
                )
                for tier, bound in bounds
            ],
        )
        for what, bounds in _by_measure(source, source.no_rows()).items()
    }


def _by_measure(source: _Source, table: pa.Table) -> dict[str, list[tuple[str | None, Bound]]]:
    found: dict[str, list[tuple[str | None, Bound]]] = {}
    for tier, bound in source.bounds(table):
        found.setdefault(bound.what, []).append((tier, bound))
    return found


def _values(bound: Bound) -> tuple[Floats, int]:
    """The known values of the rows that are asked for, and how many of these are unknown."""
    values = np.asarray(bound.value, float)
    if bound.asked is not None:
        values = values[np.asarray(bound.asked, bool)]
    known = values[~np.isnan(values)]
    return known, len(values) - len(known)


def _outside(values: Floats, limit: Limit) -> Bools:
    return values < limit.threshold if limit.is_min else values > limit.threshold


def _count_sides(found: Histogram, bounds: list[tuple[str | None, Bound]]) -> Floats:
    """Count a part of the table, and return its known values."""
    values, num_unknown = _values(bounds[0][1])
    found.num_known += len(values)
    found.num_unknown += num_unknown
    if not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    found.low = low if found.low is None else min(found.low, low)
    found.high = high if found.high is None else max(found.high, high)
    for limit in found.limits:
        num_outside = int(_outside(values, limit).sum())
        limit.num_outside += num_outside
        limit.num_inside += len(values) - num_outside
    return values


def _scale(found: Histogram, sample: Floats) -> list[float]:
    """Round numbers around most of the values and all thresholds."""
    sample = sample[np.isfinite(sample)]
    ends = [limit.threshold for limit in found.limits if np.isfinite(limit.threshold)]
    if len(sample):
        tail = _TAIL if found.num_known > _FEW else 0.0
        ends += np.quantile(sample, [tail, 1.0 - tail]).tolist()
    return nice_ticks(min(ends), max(ends)) if ends else [0.0, 1.0]


def _fill_bins(found: Histogram, bounds: list[tuple[str | None, Bound]]) -> None:
    values, _ = _values(bounds[0][1])
    outside = np.zeros(len(values), bool)
    for limit in found.limits:
        if limit.tier is None:
            outside |= _outside(values, limit)
    within = np.clip(values, found.ticks[0], found.ticks[-1])
    found.inside += np.histogram(within[~outside], found.edges)[0]
    found.outside += np.histogram(within[outside], found.edges)[0]
