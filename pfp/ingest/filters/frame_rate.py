"""Slide shows and surveillance that is too slow to show motion."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRate:
    """Frames decoded per second, on average."""

    min_fps: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's mean frame rate against the limit."""
        return (
            Bound(
                reason="fps_below_min",
                what="frames per second",
                value=clip.fps,
                threshold=self.min_fps,
                is_min=True,
            ),
        )
