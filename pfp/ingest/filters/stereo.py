"""Two views of one scene in one frame, for both eyes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound, is_other


@dataclass(frozen=True, slots=True, kw_only=True)
class Stereo:
    """Drops clips that hold two views side by side, above each other or in turn. No settings."""

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """1 for a clip of two views against 0."""
        return (
            Bound(
                reason="stereo",
                what="two views in one",
                value=is_other(clips["stereo_layout"], "mono"),
                which=clips["stereo_layout"],
                threshold=0.0,
            ),
        )
