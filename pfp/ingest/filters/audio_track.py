"""Videos without sound."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """Whether there is audio at all. The other filters of audio let files without any pass."""

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip must have some."""
        return (
            Bound(
                reason="no_audio",
                what="audio that can be decoded (1 is yes)",
                value=pc.cast(clips["has_audio"], pa.float64()),
                threshold=1.0,
                is_min=True,
            ),
        )
