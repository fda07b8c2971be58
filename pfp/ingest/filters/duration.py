"""Clips that are too short for a training window, or too long to be one clip."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Seconds that were decoded, whatever the header promises."""

    min_seconds: float
    max_seconds: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's duration against both limits."""
        seconds = clips["duration_seconds"]
        return (
            Bound(
                reason="duration_below_min",
                what="seconds of video",
                value=seconds,
                threshold=self.min_seconds,
                is_min=True,
            ),
            Bound(
                reason="duration_above_max",
                what="seconds of video",
                value=seconds,
                threshold=self.max_seconds,
            ),
        )
