"""High dynamic range (PQ, HLG): read as SDR it looks washed out, and pfp does not tone-map."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.ingest.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Hdr:
    """Drops clips whose frames say that they are PQ or HLG. It has no settings."""

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """1 for an HDR clip against 0."""
        return (
            Bound(
                reason="hdr",
                what=f"HDR transfer ({clip.transfer})",
                value=None if clip.transfer is None else float(clip.transfer != "sdr"),
                threshold=0.0,
            ),
        )
