"""Videos that would have to be enlarged."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The shorter side of the shown frame, in square pixels."""

    min_side_pixels: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's shorter side against the limit."""
        size = (clips["width"], clips["height"])
        return (
            Bound(
                reason="side_below_min",
                what="pixels of the shorter side",
                value=pc.min_element_wise(*size, skip_nulls=False),
                threshold=self.min_side_pixels,
                is_min=True,
            ),
        )
