"""The clips and videos that a person means by an id, its beginning, or a file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.io.media.source import uri_to_path
from pfp.io.run_tables import has_table
from pfp.io.tables import read_table
from pfp.schema.clip import ClipRecord
from pfp.schema.record import Record
from pfp.schema.run_directory import RunDirectory, TableLocation
from pfp.schema.video import VideoRecord

_R = TypeVar("_R", bound=Record)
_MAX_CLIPS: Final = 10


def find_clips(clip: str, run_directory: str | Path) -> list[ClipRecord]:
    """The clips whose id begins with ``clip``, else those whose path holds it: one to ten.

    Raises ``InputError`` when there is no such run, no such clip, or more than ten.
    """
    clips = _existing(RunDirectory(run_directory).clips, run_directory)
    wanted = _by_id(clip, clips) or _by_path(clip, clips)
    _check_number(len(wanted), clip, run_directory, "clip")
    same = pc.field("clip_id").isin([row["clip_id"] for row in wanted])
    return [ClipRecord.from_row(row) for row in read_table(*clips, filter=same).to_pylist()]


def find_videos(name: str, run_directory: str | Path) -> list[tuple[VideoRecord, list[ClipRecord]]]:
    """The videos that ``name`` means, each with its clips; of a clip's id with that clip alone.

    ``name`` is an id, its beginning, or part of a path. Raises as ``find_clips`` does.
    """
    run = RunDirectory(run_directory)
    videos = _existing(run.videos, run_directory)
    by_id = _by_id(name, run.clips) if has_table(run.clips) else []
    wanted = by_id or _by_path(name, videos)
    uris = sorted({row["video_uri"] for row in wanted})
    _check_number(len(uris), name, run_directory, "video")
    of_them = pc.field("video_uri").isin(uris)
    clips = read_table(*run.clips, filter=of_them).to_pylist() if has_table(run.clips) else []
    ids = {row["clip_id"] for row in by_id}
    told = [
        ClipRecord.from_row(row)
        for row in sorted(clips, key=lambda row: row["start_seconds"])
        if not ids or row["clip_id"] in ids
    ]
    records = [VideoRecord.from_row(row) for row in read_table(*videos, filter=of_them).to_pylist()]
    return [
        (video, [clip for clip in told if clip.video_uri == video.video_uri]) for video in records
    ]


def _existing(where: TableLocation[_R], run_directory: str | Path) -> TableLocation[_R]:
    if not has_table(where):
        name = where.record.NAME
        message = (
            f"{run_directory} holds no {name}s table; name a run directory, or run ingest first"
        )
        raise InputError(message)
    return where


def _by_id(clip: str, clips: TableLocation[ClipRecord]) -> list[dict[str, Any]]:
    begins = pc.starts_with(pc.field("clip_id"), clip)
    return _rows(clips, ["clip_id", "video_uri"], begins) if clip else []


def _by_path(name: str, table: TableLocation[Any]) -> list[dict[str, Any]]:
    columns = [table.record.KEY, "video_uri"]
    rows = _rows(table, list(dict.fromkeys(columns)), None)
    return [row for row in rows if name and name in path_of(row["video_uri"])]


def _rows(
    table: TableLocation[Any], columns: list[str], those: pc.Expression | None
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(*table, columns=columns, filter=those).to_pylist()
    return found


def _check_number(number: int, name: str, run_directory: str | Path, what: str) -> None:
    if 0 < number <= _MAX_CLIPS:
        return
    found = f"{number} {what}s match" if number else f"no {what} matches"
    cure = "give more of the name" if number else "give a clip id, its beginning, or a path"
    raise InputError(f"{found} {name!r} in {run_directory}; {cure}")


def path_of(video_uri: str) -> str:
    """A clip's URI as people know it: a ``file://`` one as its path."""
    return uri_to_path(video_uri) if video_uri.startswith("file:///") else video_uri
