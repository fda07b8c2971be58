"""A video inside a larger frame of a single colour: its shape is not the file's shape."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """The share of the area under bars at the edges, for a third of the time or longer.

    The reason is named after the usual colour; bars of others count as well.
    """

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's share under bars against the limit."""
        return (
            Bound(
                reason="black_bars",
                what="fraction of the area under bars",
                value=clips["bar_fraction"],
                threshold=self.max_fraction,
            ),
        )
