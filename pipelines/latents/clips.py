"""The clips that the stage's workers get as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pfp.schema import KEPT, ClipRecord

# What is read of a clip. Where the video lies is not part of its content.
CLIP_COLUMNS: Final = (
    *("clip_id", "video_uri", "video_sha256", "size_bytes", "changed_ns"),
    *("start_seconds", "end_seconds", "width", "height"),
)
CONTENT_COLUMNS: Final = (
    *("clip_id", "video_sha256", "start_seconds", "end_seconds", "width", "height"),
)


def clip_of(row: Mapping[str, Any]) -> ClipRecord:
    """The clip that a row of ``CLIP_COLUMNS`` describes."""
    return ClipRecord(**{name: row[name] for name in CLIP_COLUMNS}, verdict=KEPT)
