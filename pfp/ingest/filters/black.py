"""Black video: ends of tapes, lost signals."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Black:
    """The share of the duration in which no part of the frame is lit."""

    max_fraction: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's black share against the limit."""
        return (
            Bound(
                reason="black",
                what="fraction of black frames",
                value=clip.black_fraction,
                threshold=self.max_fraction,
            ),
        )
