"""A video over a blurred copy of itself: most of the frame is filler."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """The share of the area that such a backdrop takes, for a third of the time or longer."""

    max_fraction: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's share of filler against the limit."""
        return (
            Bound(
                reason="blurred_backdrop",
                what="fraction of the area that is a blurred backdrop",
                value=clip.backdrop_fraction,
                threshold=self.max_fraction,
            ),
        )
