"""A video over a blurred copy of itself: most of the frame is filler."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """The share of the area that such a backdrop takes, for a third of the time or longer."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's share of filler against the limit."""
        return (
            Bound(
                reason="blurred_backdrop",
                what="fraction of the area that is a blurred backdrop",
                value=clips["backdrop_fraction"],
                threshold=self.max_fraction,
            ),
        )
