"""A few rows of each outcome, found while the tables pass by: kept clips, and what was dropped.

The first of the table's order are taken: clips come in the order of digests, so that nothing is
picked by its looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.funnel import Funnel, outcomes
from pfp.io.tables import iter_tables, read_table
from pfp.schema.measured import MeasuredRecord
from pfp.schema.run_directory import RunDirectory

NUM_KEPT: Final = 6
NUM_DROPPED: Final = 3  # of a reason
MAX_REASONS: Final = 10  # of files and of clips each, the most frequent
_LOOKED_AT: Final = 64  # kept clips of a part of the table, to find some of different videos
MAX_WINDOWS: Final = 60  # of a video


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A video, or a clip of it from ``start_seconds`` on. ``detail`` says why it was dropped."""

    video_uri: str
    clip_id: str | None
    start_seconds: float
    end_seconds: float | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Examples of one outcome of ``rows`` (files or clips), of which there are ``num_rows``."""

    rows: str
    reason: str
    num_rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """What is known of a video that is shown: its row of measures, and its windows in order."""

    measured: MeasuredRecord
    windows: tuple[dict[str, Any], ...]
    num_windows: int


def choose_examples(run: RunDirectory, files: Funnel, clips: Funnel) -> list[Outcome]:
    """Kept clips, then files and clips of the most frequent reasons, as the funnels have them."""
    of_clips = {"kept": NUM_KEPT} if clips.num_kept else {}
    of_clips |= dict.fromkeys(_frequent(clips), NUM_DROPPED)
    of_files = dict.fromkeys(_frequent(files), NUM_DROPPED)
    of_windows = _outcomes("clips", clips, _find(_clip_tables(run), of_clips))
    num_kept = int("kept" in of_clips)
    return [
        *of_windows[:num_kept],
        *_outcomes("files", files, _find(_video_tables(run), of_files)),
        *of_windows[num_kept:],
    ]


def _outcomes(rows: str, funnel: Funnel, found: dict[str, tuple[Example, ...]]) -> list[Outcome]:
    numbers = {step.reason: step.num_rows for step in funnel.steps} | {"kept": funnel.num_kept}
    return [
        Outcome(rows=rows, reason=reason, num_rows=numbers[reason], examples=examples)
        for reason, examples in found.items()
    ]


def _frequent(funnel: Funnel) -> list[str]:
    """The most frequent reasons, in the order of the funnel."""
    by_number = sorted(funnel.steps, key=lambda step: (-step.num_rows, step.reason))
    chosen = {step.reason for step in by_number[:MAX_REASONS]}
    return [step.reason for step in funnel.steps if step.reason in chosen]


def _clip_tables(run: RunDirectory) -> Iterator[pa.Table]:
    columns = ["video_uri", "clip_id", "start_seconds", "end_seconds", "verdict"]
    yield from iter_tables(*run.clips, columns=columns)


def _video_tables(run: RunDirectory) -> Iterator[pa.Table]:
    yield from iter_tables(*run.videos, columns=["video_uri", "verdict"])


def _find(tables: Iterator[pa.Table], wanted: dict[str, int]) -> dict[str, tuple[Example, ...]]:
    """So many rows of each outcome, or all that there are; of kept ones one of a video."""
    found: dict[str, dict[str, Example]] = {reason: {} for reason in wanted}
    for table in tables:
        missing = [reason for reason, one in found.items() if len(one) < wanted[reason]]
        if not missing:
            break
        encoded = outcomes(table["verdict"]).dictionary_encode()
        places = np.asarray(encoded.indices)
        names = encoded.dictionary.to_pylist()
        for reason in (name for name in missing if name in names):
            rows = np.flatnonzero(places == names.index(reason))[:_LOOKED_AT]
            for row in table.take(pa.array(rows)).to_pylist():
                if len(found[reason]) < wanted[reason]:
                    found[reason].setdefault(row["video_uri"], _example(row))
    return {reason: tuple(one.values()) for reason, one in found.items()}


def _example(row: dict[str, Any]) -> Example:
    verdict = row["verdict"]
    return Example(
        video_uri=row["video_uri"],
        clip_id=row.get("clip_id"),
        start_seconds=row.get("start_seconds") or 0.0,
        end_seconds=row.get("end_seconds"),
        detail=verdict["detail"] or verdict["message"],
    )


def read_videos(run: RunDirectory, video_uris: Sequence[str]) -> dict[str, Video]:
    """What is known of these videos, by URI; of those alone that have a row of measures."""
    chosen = pc.field("video_uri").isin(pa.array(video_uris, pa.string()))
    # Columns are named, since files are read whole, for their digests, where none is.
    measured = read_table(*run.measured, columns=MeasuredRecord.SCHEMA.names, filter=chosen)
    columns = ["video_uri", "start_seconds", "end_seconds", "tier", "verdict"]
    clips = read_table(*run.clips, columns=columns, filter=chosen)
    return {row["video_uri"]: _video(row, clips) for row in measured.to_pylist()}


def _video(row: dict[str, Any], clips: pa.Table) -> Video:
    own = clips.filter(pc.equal(clips["video_uri"], row["video_uri"])).sort_by("start_seconds")
    return Video(
        measured=MeasuredRecord.from_row(row),
        windows=tuple(own.slice(0, MAX_WINDOWS).to_pylist()),
        num_windows=own.num_rows,
    )
