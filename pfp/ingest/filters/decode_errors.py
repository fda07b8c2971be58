"""Damaged streams: decoders conceal what is missing, and a model would learn the concealment."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound, quotient


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeErrors:
    """Packets refused or frames marked as corrupt, as a share of the frames."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's damaged share against the limit."""
        return (
            Bound(
                reason="decode_errors",
                what="fraction of damaged frames",
                value=quotient(clips["decode_error_count"], clips["num_frames"]),
                threshold=self.max_fraction,
            ),
        )
