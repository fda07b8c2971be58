"""Strips and banners, of which a crop would keep almost nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound, quotient


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """Width over height of the shown frame."""

    min_ratio: float
    max_ratio: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's aspect ratio against both limits."""
        ratio = quotient(clips["width"], clips["height"])
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
