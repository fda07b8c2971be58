"""Videos that would have to be enlarged."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The shorter side of the shown frame, in square pixels."""

    min_side_pixels: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's shorter side against the limit."""
        known = clip.width is not None and clip.height is not None
        return (
            Bound(
                reason="side_below_min",
                what="pixels of the shorter side",
                value=min(clip.width, clip.height) if known else None,  # type: ignore[type-var]
                threshold=self.min_side_pixels,
                is_min=True,
            ),
        )
