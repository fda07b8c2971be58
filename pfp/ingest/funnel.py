"""What is left of a collection after each rule: files, videos, clips, with their hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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
from pfp.io.tables import read_table
from pfp.schema.clip import ClipRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.run_directory import RunDirectory

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
    """The funnel of a run's files, and that of its clips.

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
    videos = read_table(*run.videos, columns=["duration_seconds", "verdict"])
    clips = read_table(*run.clips, columns=["start_seconds", "end_seconds", "tier", "verdict"])
    lengths = pc.subtract(clips["end_seconds"], clips["start_seconds"])
    quotas = [f"quota_{quota.column}" for quota in recipe.quotas]
    nothing = AudioColumns(None, ()).beside(MeasuredRecord.SCHEMA.empty_table())
    asked = [*_reasons(recipe.filters, nothing), "no_window", "exact_duplicate", "near_duplicate"]
    return [
        _funnel("files", videos, videos["duration_seconds"], asked),
        _funnel("clips", clips, lengths, [*_of_windows(recipe), *quotas]),
    ]


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


def _funnel(name: str, rows: pa.Table, seconds: pa.ChunkedArray, asked: list[str]) -> Funnel:
    """``asked`` has the reasons of rules in order; others, of what is no video, come before."""
    verdicts = rows["verdict"].combine_chunks()
    kinds, errors = (pc.struct_field(verdicts, field) for field in ("kind", "error"))
    failed = pc.binary_join_element_wise("failed: ", errors, "")
    why = pc.coalesce(pc.struct_field(verdicts, "reason"), failed, kinds)
    hours = np.nan_to_num(np.asarray(seconds, float)) / _HOUR_SECONDS
    encoded = why.dictionary_encode()
    names, place = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
    steps = [
        FunnelStep(reason, int(number), float(time))
        for reason, number, time in zip(
            names, np.bincount(place), np.bincount(place, hours), strict=True
        )
    ]
    kept = next((step for step in steps if step.reason == "kept"), FunnelStep("kept", 0, 0.0))
    taken = [step for step in steps if step.reason != "kept"]
    taken.sort(key=lambda step: _place_in(asked, step.reason))
    return Funnel(
        name=name,
        num_rows=rows.num_rows,
        hours=float(hours.sum()),
        steps=tuple(taken),
        num_kept=kept.num_rows,
        hours_kept=kept.hours,
        tiers=_tiers(rows.filter(pc.equal(kinds, "kept"))),
    )


def _place_in(asked: list[str], reason: str) -> int:
    return asked.index(reason) if reason in asked else -1


def _tiers(kept: pa.Table) -> dict[str, int]:
    """How many rows are of each tier; nothing where no row is of any."""
    if "tier" not in kept.column_names or kept["tier"].null_count == kept.num_rows:
        return {}
    return dict(sorted(Counter(pc.fill_null(kept["tier"], _UNTIERED).to_pylist()).items()))
