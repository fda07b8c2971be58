"""Files that hold less than their header promises: broken downloads above all."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound, quotient


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The share of the promised seconds that did not decode.

    Seconds and not frames: edit lists hide frames on purpose, and containers without an index
    guess their number. A file that promises nothing passes.
    """

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's missing share against the limit."""
        promised = clips["promised_seconds"]
        share = quotient(clips["duration_seconds"], promised)
        return (
            Bound(
                reason="frames_missing",
                what="fraction of the promised seconds that is missing",
                value=pc.max_element_wise(pc.subtract(1.0, share), 0.0, skip_nulls=False),
                threshold=self.max_fraction,
                asked=pc.fill_null(pc.greater(promised, 0), fill_value=False),
            ),
        )
