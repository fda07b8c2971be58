"""Joined or torn streams: time that jumps back, or that stops for long."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """How often a frame is earlier than the one before, and the longest gap between two."""

    max_jumps: float
    max_gap_seconds: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's jumps and its longest gap against the limits."""
        return (
            Bound(
                reason="timestamps_jump_back",
                what="timestamps that jump back",
                value=clips["num_timestamp_jumps"],
                threshold=self.max_jumps,
            ),
            Bound(
                reason="timestamps_gap",
                what="seconds of the longest gap between frames",
                value=clips["max_gap_seconds"],
                threshold=self.max_gap_seconds,
            ),
        )
