"""Videos of all around, laid out flat: straight lines are curved, and the edges are one place."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Drops 360 and 180 degree video, whatever it is projected by. It has no settings."""

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """1 for a spherical clip against 0."""
        return (
            Bound(
                reason="spherical",
                what=f"spherical projection ({clip.projection})",
                value=None if clip.projection is None else float(clip.projection != "flat"),
                threshold=0.0,
            ),
        )
