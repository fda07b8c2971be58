"""Black video: ends of tapes, lost signals."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Black:
    """The share of the duration in which no part of the frame is lit."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's black share against the limit."""
        return (
            Bound(
                reason="black",
                what="fraction of black frames",
                value=clips["black_fraction"],
                threshold=self.max_fraction,
            ),
        )
