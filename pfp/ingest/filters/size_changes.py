"""Streams that change their size on the way: edits, or adaptive streaming recorded as is."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeChanges:
    """How often a frame has another size, pixel shape or turn than the one before."""

    max_count: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's size changes against the limit."""
        return (
            Bound(
                reason="size_changes",
                what="changes of the frames' size or shape",
                value=clips["num_size_changes"],
                threshold=self.max_count,
            ),
        )
