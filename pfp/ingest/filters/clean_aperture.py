"""Files that hide a part of the coded frame, which pfp's readers would show."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.ingest.filters.bound import Bound
from pfp.schema.measured import MeasuredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanAperture:
    """The share of the coded area outside MP4's clean aperture or Matroska's PixelCrop."""

    max_fraction: float

    def bounds(self, clip: MeasuredRecord) -> tuple[Bound, ...]:
        """The clip's hidden share against the limit."""
        return (
            Bound(
                reason="clean_aperture",
                what="fraction of the coded area that the file hides",
                value=clip.hidden_fraction,
                threshold=self.max_fraction,
            ),
        )
