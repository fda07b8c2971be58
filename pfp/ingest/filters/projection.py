"""Videos of all around, laid out flat: straight lines are curved, and the edges are one place."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound, is_other


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Drops 360 and 180 degree video, whatever it is projected by. It has no settings."""

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """1 for a spherical clip against 0."""
        return (
            Bound(
                reason="spherical",
                what="spherical projection",
                value=is_other(clips["projection"], "flat"),
                which=clips["projection"],
                threshold=0.0,
            ),
        )
