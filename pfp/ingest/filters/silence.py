"""Sound tracks that are silent for the most part."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The share of the audio's time below -60 dBFS, where there is audio."""

    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's silent share against the limit."""
        return (
            Bound(
                reason="silent",
                what="fraction of the audio that is silent",
                value=clips["silent_fraction"],
                threshold=self.max_fraction,
                asked=pc.fill_null(clips["has_audio"], fill_value=True),
            ),
        )
