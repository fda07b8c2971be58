"""Sound that is like speech, or is not."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.filters.bound import Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """The share of the audible seconds that are speech-like, where anything is audible.

    That is no detection of speech, but one feature of it (Scheirer and Slaney 1997): many short
    pauses. Claps, footsteps and drums have them, too, and talk over music may not. Use it to order
    a collection or to leave out its ends, not to tell whether somebody speaks in a clip.
    """

    min_fraction: float
    max_fraction: float

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """Each clip's speech-like share against both limits."""
        is_silent = pc.fill_null(pc.equal(clips["silent_fraction"], 1.0), fill_value=False)
        asked = pc.and_not(pc.fill_null(clips["has_audio"], fill_value=True), is_silent)
        what = "fraction of the audible seconds that is speech-like"
        value = clips["speech_like_fraction"]
        return (
            Bound(
                reason="speech_like_below_min",
                what=what,
                value=value,
                threshold=self.min_fraction,
                is_min=True,
                asked=asked,
            ),
            Bound(
                reason="speech_like_above_max",
                what=what,
                value=value,
                threshold=self.max_fraction,
                asked=asked,
            ),
        )
