"""Damaged streams: decoders conceal what is missing, and a model would learn the concealment."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeErrors:
    """Packets refused or frames marked as corrupt, as a share of the frames."""

    max_fraction: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's damaged share against the limit."""
        known = clip.decode_error_count is not None and clip.num_frames
        return (
            Bound(
                reason="decode_errors",
                what="fraction of damaged frames",
                value=clip.decode_error_count / clip.num_frames if known else None,  # type: ignore[operator]
                threshold=self.max_fraction,
            ),
        )
