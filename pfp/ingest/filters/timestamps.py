"""Joined or torn streams: time that jumps back, or that stops for long."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """How often a frame is earlier than the one before, and the longest gap between two."""

    max_jumps: float
    max_gap_seconds: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's jumps and its longest gap against the limits."""
        return (
            Bound(
                reason="timestamps_jump_back",
                what="timestamps that jump back",
                value=clip.num_timestamp_jumps,
                threshold=self.max_jumps,
            ),
            Bound(
                reason="timestamps_gap",
                what="seconds of the longest gap between frames",
                value=clip.max_gap_seconds,
                threshold=self.max_gap_seconds,
            ),
        )
