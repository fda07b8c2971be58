"""Two views of one scene in one frame, for both eyes."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Stereo:
    """Drops clips that hold two views side by side, above each other or in turn. No settings."""

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """1 for a clip of two views against 0."""
        layout = clip.stereo_layout
        return (
            Bound(
                reason="stereo",
                what=f"two views in one ({layout})",
                value=None if layout is None else float(layout != "mono"),
                threshold=0.0,
            ),
        )
