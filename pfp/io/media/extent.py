"""How large a video is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How large a video is. ``num_frames`` counts packets, which is cheap and nearly always right.

    ``is_agreed`` says that the container's own count is the same; without it only a full decode
    tells (hidden frames of VP8, frames before an edit list's start). ``fps`` is the average rate.
    """

    num_frames: int
    is_agreed: bool
    fps: float
    height: int
    width: int
