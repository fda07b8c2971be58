"""Slide shows and surveillance that is too slow to show motion."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRate:
    """Frames decoded per second, on average."""

    min_fps: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's mean frame rate against the limit."""
        return (
            Bound(
                reason="fps_below_min",
                what="frames per second",
                value=clips["fps"],
                threshold=self.min_fps,
                is_min=True,
            ),
        )
