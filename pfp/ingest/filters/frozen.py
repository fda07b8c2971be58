"""Video that stops moving: stalled streams, end cards, padding."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The share of the duration in which the video stands still for half a second or longer."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's frozen share against the limit."""
        return (
            Bound(
                reason="frozen",
                what="fraction of the time frozen",
                value=clips["frozen_fraction"],
                threshold=self.max_fraction,
            ),
        )
