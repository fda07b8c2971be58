"""From measured videos to clips: one step after the other drops what it is for. Nothing is decoded.

A step looks at the videos that are still kept and returns the ones that it drops. Which steps there
are, and in which order, ``pipelines/ingest/run.py`` says; their thresholds are the recipe's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

import pyarrow as pa

from pfp.errors import InvariantError
from pfp.ingest.filters import Filter, judge
from pfp.ingest.near_duplicates import NearDuplicates
from pfp.ingest.recipe import Recipe
from pfp.io.digests import sha256_json
from pfp.schema.clip import ClipRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.verdict import KEPT, Dropped, Kept, Verdict

# What was measured and stands in clips under the same name.
_TAKEN_OVER: Final = tuple(
    name
    for name in ClipRecord.SCHEMA.names
    if name in MeasuredRecord.SCHEMA.names and name not in {"verdict", "result_key"}
)


class Decision(NamedTuple):
    """What became of a video; ``duplicate_of`` is the video that stays in its place."""

    verdict: Verdict
    duplicate_of: MeasuredRecord | None = None


# The videos that are still kept, by URI, to those of them that the step drops, by URI.
Step: TypeAlias = Callable[[Sequence[MeasuredRecord]], Mapping[str, Decision]]


def decide(measured: pa.Table, steps: Sequence[Step], recipe: Recipe) -> pa.Table:
    """The ``ClipRecord`` table of a ``MeasuredRecord`` table, one row for one row, by URI.

    A clip is the whole video. One whose measuring failed stays failed. ``recipe`` is noted in each.
    """
    records = [MeasuredRecord.from_row(row) for row in measured.to_pylist()]
    records.sort(key=lambda record: record.video_uri)
    decided = {
        record.video_uri: Decision(record.verdict)
        for record in records
        if not isinstance(record.verdict, Kept)
    }
    for step in steps:
        decided |= step([record for record in records if record.video_uri not in decided])
    kept = Decision(KEPT)
    clips = [_clip(record, decided.get(record.video_uri, kept), recipe) for record in records]
    if len(clips) != measured.num_rows:
        message = f"{measured.num_rows} measured videos became {len(clips)} clips; report this"
        raise InvariantError(message)
    return ClipRecord.table(clips)


def drop_by_filters(filters: Mapping[str, Filter]) -> Step:
    """Drops what a filter refuses; the first of them, in the order given, names the reason."""
    return partial(_by_filters, filters)


def drop_exact_duplicates() -> Step:
    """Drops files of the same bytes as one before them."""
    return _exact_duplicates


def drop_near_duplicates(near_duplicates: NearDuplicates | None) -> Step:
    """Drops videos that show the same as one of more pixels, recoded; None drops nothing."""
    return partial(_near_duplicates, near_duplicates)


def clip_id_of(record: MeasuredRecord) -> str:
    """16 hex digits from the content's digest and the span, which is the whole video.

    Only a file whose bytes could not be read is named by its URI, for want of content.
    """
    content = record.video_sha256 or f"unread {record.video_uri}"
    end = record.duration_seconds
    span = "" if end is None else f"{0.0:.6f}-{end:.6f}"
    return hashlib.sha256(f"{content} {span}".encode()).hexdigest()[:16]


def _by_filters(
    filters: Mapping[str, Filter], videos: Sequence[MeasuredRecord]
) -> dict[str, Decision]:
    verdicts = {
        video.video_uri: judge(bound for one in filters.values() for bound in one.bounds(video))
        for video in videos
    }
    return {uri: Decision(verdict) for uri, verdict in verdicts.items() if verdict != KEPT}


def _exact_duplicates(videos: Sequence[MeasuredRecord]) -> dict[str, Decision]:
    first: dict[str, MeasuredRecord] = {}
    found = {}
    for video in videos:
        kept = first.setdefault(video.video_sha256 or video.video_uri, video)
        if kept is not video:
            detail = f"the same bytes as {kept.video_uri}"
            verdict = Dropped(reason="exact_duplicate", detail=detail)
            found[video.video_uri] = Decision(verdict, kept)
    return found


def _near_duplicates(
    near_duplicates: NearDuplicates | None, videos: Sequence[MeasuredRecord]
) -> dict[str, Decision]:
    if near_duplicates is None:
        return {}
    found = {}
    for video_uri, (kept, bits) in near_duplicates.find(videos).items():
        verdict = Dropped(
            reason="near_duplicate",
            detail=f"shows the same as {kept.video_uri}",
            score=bits,
            threshold=near_duplicates.max_mean_bits,
        )
        found[video_uri] = Decision(verdict, kept)
    return found


def _clip(record: MeasuredRecord, decision: Decision, recipe: Recipe) -> ClipRecord:
    end = record.duration_seconds
    middle = record.phashes[len(record.phashes) // 2] if record.phashes else None
    kept = decision.duplicate_of
    return ClipRecord(
        **{name: getattr(record, name) for name in _TAKEN_OVER},
        clip_id=clip_id_of(record),
        start_seconds=None if end is None else 0.0,
        end_seconds=end,
        phash=middle,
        duplicate_of=None if kept is None else clip_id_of(kept),
        recipe=recipe.name,
        verdict=decision.verdict,
        result_key=sha256_json([record.result_key, recipe.sha256]),
    )
