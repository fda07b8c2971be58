"""High dynamic range (PQ, HLG): read as SDR it looks washed out, and pfp does not tone-map.

The same holds for code values that were never meant to be looked at: linear light, log, XYZ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord

_HDR: Final = ("pq", "hlg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hdr:
    """Drops clips of which any frame is not SDR, by bitstream or container. It has no settings."""

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """1 for a clip that is not SDR against 0."""
        is_other = clip.transfer not in {None, "sdr", *_HDR}
        return (
            Bound(
                reason="transfer_not_sdr" if is_other else "hdr",
                what=f"{'other' if is_other else 'HDR'} transfer ({clip.transfer})",
                value=None if clip.transfer is None else float(clip.transfer != "sdr"),
                threshold=0.0,
            ),
        )
