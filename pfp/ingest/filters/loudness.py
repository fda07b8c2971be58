"""Sound that is hardly there, or louder than anybody mixes it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """Integrated loudness (EBU R128), where there is audio. Broadcasts have -23, the web -14.

    Digital silence has none, and is dropped as unknown: ask ``silence`` first for its own reason.
    """

    min_lufs: float
    max_lufs: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's loudness against both limits."""
        asked = pc.fill_null(clips["has_audio"], fill_value=True)
        what, value = "integrated loudness in LUFS", clips["loudness_lufs"]
        return (
            Bound(
                reason="loudness_below_min",
                what=what,
                value=value,
                threshold=self.min_lufs,
                is_min=True,
                asked=asked,
            ),
            Bound(
                reason="loudness_above_max",
                what=what,
                value=value,
                threshold=self.max_lufs,
                asked=asked,
            ),
        )
