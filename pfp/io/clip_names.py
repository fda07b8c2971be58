"""The clips of a run directory that a person means by an id, its beginning, or a file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.io.media.source import uri_to_path
from pfp.io.run_tables import has_table
from pfp.io.tables import read_table
from pfp.schema.clip import ClipRecord
from pfp.schema.run_directory import RunDirectory

_MAX_CLIPS: Final = 10


def find_clips(clip: str, run_directory: str | Path) -> list[ClipRecord]:
    """The clips whose id begins with ``clip``, else those whose path holds it: one to ten.

    Copies of a file have one id and are all found. Raises ``InputError`` when there is no such run,
    no such clip, or more than ten.
    """
    clips = RunDirectory(run_directory).clips
    if not has_table(clips):
        message = f"{run_directory} holds no clips table; name a run directory, or run ingest first"
        raise InputError(message)
    rows = read_table(*clips, columns=["clip_id", "video_uri"]).to_pylist()
    wanted = [row for row in rows if clip and row["clip_id"].startswith(clip)]
    wanted = wanted or [row for row in rows if clip and clip in path_of(row["video_uri"])]
    if not wanted or len(wanted) > _MAX_CLIPS:
        found = f"{len(wanted)} clips match" if wanted else "no clip matches"
        cure = "give more of the name" if wanted else "give a clip id, its beginning, or a path"
        message = f"{found} {clip!r} in {run_directory}; {cure}"
        raise InputError(message)
    uris = pa.array([row["video_uri"] for row in wanted])
    table = read_table(*clips, filter=pc.field("video_uri").isin(uris))
    return [ClipRecord.from_row(row) for row in table.to_pylist()]


def path_of(video_uri: str) -> str:
    """A clip's URI as people know it: a ``file://`` one as its path."""
    return uri_to_path(video_uri) if video_uri.startswith("file:///") else video_uri
