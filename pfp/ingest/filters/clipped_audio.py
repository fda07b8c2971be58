"""Sound that was recorded too loud."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedAudio:
    """The share of the audio's samples that lie at full scale, where there is audio."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's clipped share against the limit."""
        return (
            Bound(
                reason="audio_clipped",
                what="fraction of the audio samples at full scale",
                value=clips["clipped_fraction"],
                threshold=self.max_fraction,
                asked=pc.fill_null(clips["has_audio"], fill_value=True),
            ),
        )
