"""Strips and banners, of which a crop would keep almost nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """Width over height of the shown frame."""

    min_ratio: float
    max_ratio: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's aspect ratio against both limits."""
        ratio = clip.width / clip.height if clip.width and clip.height else None
        return (
            Bound(
                reason="aspect_below_min",
                what="width over height",
                value=ratio,
                threshold=self.min_ratio,
                is_min=True,
            ),
            Bound(
                reason="aspect_above_max",
                what="width over height",
                value=ratio,
                threshold=self.max_ratio,
            ),
        )
