"""Files that hide a part of the coded frame, which pfp's readers would show."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanAperture:
    """The share of the coded area outside MP4's clean aperture or Matroska's PixelCrop."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's hidden share against the limit."""
        return (
            Bound(
                reason="clean_aperture",
                what="fraction of the coded area that the file hides",
                value=clips["hidden_fraction"],
                threshold=self.max_fraction,
            ),
        )
