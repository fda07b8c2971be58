"""Still images that are stored as video."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Mean absolute luma change between frames a quarter second apart, in 8-bit code values."""

    min_levels_per_second: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's motion against the limit."""
        return (
            Bound(
                reason="motion_below_min",
                what="luma code values of change per second",
                value=clips["motion"],
                threshold=self.min_levels_per_second,
                is_min=True,
            ),
        )
