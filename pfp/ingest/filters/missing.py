"""Files that hold less than their header promises: broken downloads above all."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The share of the promised seconds that did not decode.

    Seconds and not frames: edit lists hide frames on purpose, and containers without an index
    guess their number. A file that promises nothing passes.
    """

    max_fraction: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's missing share against the limit."""
        if not clip.promised_seconds:
            return ()
        seconds = clip.duration_seconds
        return (
            Bound(
                reason="frames_missing",
                what="fraction of the promised seconds that is missing",
                value=None if seconds is None else max(0.0, 1 - seconds / clip.promised_seconds),
                threshold=self.max_fraction,
            ),
        )
