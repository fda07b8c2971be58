"""From measured videos to clips: the recipe's filters, then duplicates. Nothing is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from pfp.errors import InvariantError
from pfp.ingest.filters import judge
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


def decide(measured: pa.Table, recipe: Recipe) -> pa.Table:
    """The ``ClipRecord`` table of a ``MeasuredRecord`` table, one row for one row.

    A clip is the whole video. It is judged by the filters in the recipe's order; of the clips that
    pass, byte-equal copies and then near duplicates are dropped.
    """
    records = [MeasuredRecord.from_row(row) for row in measured.to_pylist()]
    records.sort(key=lambda record: record.video_uri)
    verdicts = {record.video_uri: _judge(record, recipe) for record in records}
    duplicate_of: dict[str, str] = {}
    _drop_exact(records, verdicts, duplicate_of)
    _drop_near(records, verdicts, duplicate_of, recipe)
    clips = [
        _clip(record, verdicts[record.video_uri], duplicate_of.get(record.video_uri), recipe)
        for record in records
    ]
    if len(clips) != measured.num_rows:
        message = f"{measured.num_rows} measured videos became {len(clips)} clips; report this"
        raise InvariantError(message)
    return ClipRecord.table(clips)


def clip_id_of(record: MeasuredRecord) -> str:
    """16 hex digits from the content's digest and the span, which is the whole video.

    Only a file whose bytes could not be read is named by its URI, for want of content.
    """
    content = record.video_sha256 or f"unread {record.video_uri}"
    end = record.duration_seconds
    span = "" if end is None else f"{0.0:.6f}-{end:.6f}"
    return hashlib.sha256(f"{content} {span}".encode()).hexdigest()[:16]


def _judge(record: MeasuredRecord, recipe: Recipe) -> Verdict:
    if not isinstance(record.verdict, Kept):
        return record.verdict
    return judge(bound for one in recipe.filters.values() for bound in one.bounds(record))


def _kept(records: Iterable[MeasuredRecord], verdicts: dict[str, Verdict]) -> list[MeasuredRecord]:
    return [record for record in records if verdicts[record.video_uri] == KEPT]


def _drop_exact(
    records: list[MeasuredRecord], verdicts: dict[str, Verdict], duplicate_of: dict[str, str]
) -> None:
    first: dict[str, MeasuredRecord] = {}
    for record in _kept(records, verdicts):
        digest = record.video_sha256 or record.video_uri
        kept = first.setdefault(digest, record)
        if kept is not record:
            detail = f"the same bytes as {kept.video_uri}"
            verdicts[record.video_uri] = Dropped(reason="exact_duplicate", detail=detail)
            duplicate_of[record.video_uri] = clip_id_of(kept)


def _drop_near(
    records: list[MeasuredRecord],
    verdicts: dict[str, Verdict],
    duplicate_of: dict[str, str],
    recipe: Recipe,
) -> None:
    if recipe.near_duplicates is None:
        return
    found = recipe.near_duplicates.find(_kept(records, verdicts))
    for video_uri, (kept, bits) in found.items():
        verdicts[video_uri] = Dropped(
            reason="near_duplicate",
            detail=f"shows the same as {kept.video_uri}",
            score=bits,
            threshold=recipe.near_duplicates.max_mean_bits,
        )
        duplicate_of[video_uri] = clip_id_of(kept)


def _clip(
    record: MeasuredRecord, verdict: Verdict, duplicate_of: str | None, recipe: Recipe
) -> ClipRecord:
    end = record.duration_seconds
    middle = record.phashes[len(record.phashes) // 2] if record.phashes else None
    return ClipRecord(
        **{name: getattr(record, name) for name in _TAKEN_OVER},
        clip_id=clip_id_of(record),
        start_seconds=None if end is None else 0.0,
        end_seconds=end,
        phash=middle,
        duplicate_of=duplicate_of,
        recipe=recipe.name,
        verdict=verdict,
        result_key=sha256_json([record.result_key, recipe.sha256]),
    )
