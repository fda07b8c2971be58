"""Titles, captions and signs that were laid over the picture, or were filmed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The largest share of a frame that text takes, of the frames that were looked at."""

    max_area: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's area of text against the limit."""
        return (
            Bound(
                reason="text_area_above_max",
                what="fraction of a frame that text takes",
                value=clips["text_area"],
                threshold=self.max_area,
            ),
        )
