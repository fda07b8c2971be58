"""Ids of clips: which video's bytes, and which span of them. No path plays a part."""

from __future__ import annotations

import hashlib
from typing import Final

VIDEO_DIGITS: Final = 16
_SPAN_DIGITS: Final = 8


def make_clip_id(video_sha256: str, start_seconds: float, end_seconds: float) -> str:
    """24 hex digits: the first 16 of the video's digest, and 8 of that of its span.

    So all windows of a video begin alike, and sort together. Times are told to the microsecond.
    """
    span = f"{start_seconds:.6f}-{end_seconds:.6f}"
    return video_sha256[:VIDEO_DIGITS] + hashlib.sha256(span.encode()).hexdigest()[:_SPAN_DIGITS]


def video_of(clip_id: str) -> str:
    """What the ids of all windows of a video have in common."""
    return clip_id[:VIDEO_DIGITS]
