"""Frames of one colour: test signals, decoders that found nothing to show."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """The share of the duration in which the frame is one colour all over, black included."""

    max_fraction: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's uniform share against the limit."""
        return (
            Bound(
                reason="uniform",
                what="fraction of frames of one colour",
                value=clip.uniform_fraction,
                threshold=self.max_fraction,
            ),
        )
