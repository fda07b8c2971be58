"""What is left of a collection after each rule: files, videos, clips, with their hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.ingest.audio_columns import AudioColumns
from pfp.ingest.filters import Filter
from pfp.ingest.recipe import Recipe, load_recipe
from pfp.io.run_tables import has_table
from pfp.io.tables import iter_tables
from pfp.schema.clip import ClipRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.run_directory import RunDirectory

_KEPT: Final = "kept"
_UNTIERED: Final = "none"
_HOUR_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How many rows a rule takes out, and how many hours of video; of known lengths alone."""

    reason: str
    num_rows: int
    hours: float


@dataclass(frozen=True, slots=True)
class Funnel:
    """What goes into one table, what each reason takes out of it, in order, and what is left.

    ``name`` is what the rows are. ``tiers`` has the kept clips of each tier.
    """

    name: str
    num_rows: int
    hours: float
    steps: tuple[FunnelStep, ...]
    num_kept: int
    hours_kept: float
    tiers: dict[str, int]

    def lines(self) -> Iterator[str]:
        """The funnel as lines of text, one a step."""
        yield f"{self.name:<34} {self.num_rows:>11,} {self.hours:>12,.1f} h"
        for step in self.steps:
            yield f"  - {step.reason:<30} {step.num_rows:>11,} {step.hours:>12,.1f} h"
        yield f"{self.name + ' kept':<34} {self.num_kept:>11,} {self.hours_kept:>12,.1f} h"
        for tier, number in self.tiers.items():
            yield f"    tier {tier:<25} {number:>11,}"


def funnels(run_directory: str) -> list[Funnel]:
    """The funnel of a run's files, and that of its clips; some thousand rows are held at a time.

    Raises ``InputError`` for a directory without the tables of ingest.
    """
    run = RunDirectory(run_directory)
    if not (has_table(run.videos) and has_table(run.clips)):
        message = (
            f"{run_directory} holds no tables of videos and clips; name a run directory, or run "
            "ingest first"
        )
        raise InputError(message)
    recipe = load_recipe(run.recipe_path)
    videos = iter_tables(*run.videos, columns=["duration_seconds", "verdict"])
    clips = iter_tables(*run.clips, columns=["start_seconds", "end_seconds", "tier", "verdict"])
    quotas = [f"quota_{quota.column}" for quota in recipe.quotas]
    nothing = AudioColumns(None, ()).beside(MeasuredRecord.SCHEMA.empty_table())
    asked = [*_reasons(recipe.filters, nothing), "no_window", "exact_duplicate", "near_duplicate"]
    return [
        _funnel("files", videos, lambda rows: rows["duration_seconds"], asked),
        _funnel("clips", clips, _seconds_of_clips, [*_of_windows(recipe), *quotas]),
    ]


def outcomes(verdicts: pa.ChunkedArray) -> pa.Array:
    """What became of each row in a word: ``kept``, the reason, or ``failed:`` and the error."""
    structs = verdicts.combine_chunks()
    kinds, errors = (pc.struct_field(structs, field) for field in ("kind", "error"))
    failed = pc.binary_join_element_wise("failed: ", errors, "")
    return pc.coalesce(pc.struct_field(structs, "reason"), failed, kinds)


def _seconds_of_clips(clips: pa.Table) -> pa.ChunkedArray:
    return pc.subtract(clips["end_seconds"], clips["start_seconds"])


def _of_windows(recipe: Recipe) -> list[str]:
    """Networks see what pixels leave, wherever the recipe names them."""
    if recipe.windows is None:
        return []
    filters = recipe.windows.pixel_filters | recipe.windows.network_filters
    return _reasons(filters, ClipRecord.SCHEMA.empty_table())


def _reasons(filters: Mapping[str, Filter], nothing: pa.Table) -> list[str]:
    """The reasons that filters give, in the order in which they are asked.

    ``nothing`` is an empty table of what they look at.
    """
    bounds = [bound for one in filters.values() for bound in one.bounds(nothing)]
    return [name for bound in bounds for name in (bound.reason, f"{bound.reason}_unknown")]


def _funnel(
    name: str,
    tables: Iterable[pa.Table],
    seconds_of: Callable[[pa.Table], pa.ChunkedArray],
    asked: list[str],
) -> Funnel:
    """``asked`` has the reasons of rules in order; others, of what is no video, come before."""
    rows: Counter[str] = Counter()
    hours: dict[str, float] = {}
    tiers: Counter[str] = Counter()
    for table in tables:
        _count(table, seconds_of(table), rows, hours)
        if "tier" in table.column_names:
            kept = table.filter(pc.equal(outcomes(table["verdict"]), _KEPT))
            tiers.update(pc.fill_null(kept["tier"], _UNTIERED).to_pylist())
    places = {reason: place for place, reason in enumerate(asked)}
    taken = sorted(rows.keys() - {_KEPT}, key=lambda reason: (places.get(reason, -1), reason))
    return Funnel(
        name=name,
        num_rows=rows.total(),
        hours=sum(hours.values()),
        steps=tuple(FunnelStep(reason, rows[reason], hours[reason]) for reason in taken),
        num_kept=rows[_KEPT],
        hours_kept=hours.get(_KEPT, 0.0),
        tiers=dict(sorted(tiers.items())) if tiers.keys() - {_UNTIERED} else {},
    )


def _count(
    table: pa.Table, seconds: pa.ChunkedArray, rows: Counter[str], hours: dict[str, float]
) -> None:
    """Add the rows of a table, and their hours, to what was counted before."""
    of_row = np.nan_to_num(np.asarray(seconds, float)) / _HOUR_SECONDS
    encoded = outcomes(table["verdict"]).dictionary_encode()
    names, place = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
    for reason, number, time in zip(
        names, np.bincount(place).tolist(), np.bincount(place, of_row).tolist(), strict=True
    ):
        rows[reason] += number
        hours[reason] = hours.get(reason, 0.0) + time
