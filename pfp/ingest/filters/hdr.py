"""High dynamic range (PQ, HLG): read as SDR it looks washed out, and pfp does not tone-map.

The same holds for code values that were never meant to be looked at: linear light, log, XYZ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound, is_other

_HDR: Final = ("pq", "hlg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hdr:
    """Drops clips of which any frame is not SDR, by bitstream or container. It has no settings."""

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """1 for a clip that is not SDR against 0."""
        transfer = clips["transfer"]
        return (
            Bound(
                reason="hdr",
                what="HDR transfer",
                value=is_other(transfer, "sdr"),
                threshold=0.0,
                which=transfer,
                asked=pc.is_in(transfer, pa.array([None, "sdr", *_HDR])),
            ),
            Bound(
                reason="transfer_not_sdr",
                what="other transfer",
                value=is_other(transfer, "sdr"),
                threshold=0.0,
                which=transfer,
                asked=pc.invert(pc.is_in(transfer, pa.array([None, "sdr", *_HDR]))),
            ),
        )
