"""Two fields woven into one frame: every moving edge is a comb."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlaced:
    """The share of the moving frames that are combed, whatever the stream says of itself."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's combed share against the limit."""
        return (
            Bound(
                reason="interlaced",
                what="fraction of combed frames",
                value=clips["combed_fraction"],
                threshold=self.max_fraction,
            ),
        )
