"""Frames of one colour: test signals, decoders that found nothing to show."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """The share of the duration in which the frame is one colour all over, black included."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's uniform share against the limit."""
        return (
            Bound(
                reason="uniform",
                what="fraction of frames of one colour",
                value=clips["uniform_fraction"],
                threshold=self.max_fraction,
            ),
        )
