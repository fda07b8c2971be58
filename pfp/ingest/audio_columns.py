"""What was measured of sound, beside what was measured of pictures."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import ConfigError
from pfp.ingest.filters import AUDIO_FILTERS
from pfp.ingest.recipe import Recipe
from pfp.ingest.verdicts import is_kept
from pfp.schema.audio import AudioRecord

# What filters ask about, and what stands in ``VideoRecord``.
MEASURES: Final = (
    "has_audio",
    "loudness_lufs",
    "loudness_range_lu",
    "true_peak_dbfs",
    "silent_fraction",
    "clipped_fraction",
    "speech_like_fraction",
)
NEEDED: Final = ("video_uri", "video_sha256", *MEASURES)


def audio_filters(recipe: Recipe) -> list[str]:
    """The names of the recipe's filters that ask about sound."""
    return [name for name in recipe.filters if name in AUDIO_FILTERS]


class AudioColumns:
    """The measures of sound of a run, which ``beside`` puts next to its tables of measures."""

    def __init__(self, audio: pa.Table | None, asked: Sequence[str]) -> None:
        """``audio`` has the columns ``NEEDED``, by URI; None, where nothing was measured.

        ``asked`` names the filters because of which none may be missing.
        """
        self._audio = AudioRecord.SCHEMA.empty_table() if audio is None else audio
        self._asked = asked

    def beside(self, measured: pa.Table) -> pa.Table:
        """A table of ``MeasuredRecord`` with the columns ``MEASURES``, null where unknown.

        Sound counts for the bytes that it was measured of. Raises ``ConfigError`` when a
        filter asks about that of a kept video and it was not measured.
        """
        audio = self._audio.slice(*self._range(measured["video_uri"]))
        places = pc.index_in(measured["video_uri"], audio["video_uri"].combine_chunks())
        digests = audio["video_sha256"].take(places)
        is_same = pc.fill_null(pc.equal(digests, measured["video_sha256"]), fill_value=False)
        self._check(np.asarray(is_kept(measured)) & ~np.asarray(is_same, bool))
        places = pc.if_else(is_same, places, None)
        for name in MEASURES:
            field = AudioRecord.SCHEMA.field(name)
            measured = measured.append_column(field, audio[name].take(places))
        return measured

    def _range(self, uris: pa.ChunkedArray) -> tuple[int, int]:
        """Offset and length of the rows from the first to the last of some URIs.

        A lookup in all of them, file after file, would take the square of the time.
        """
        bounds = pc.min_max(uris).as_py()
        if bounds["min"] is None:
            return 0, 0
        rows, names = range(self._audio.num_rows), self._audio["video_uri"]
        low, high = (bounds[side].encode() for side in ("min", "max"))
        first = bisect_left(rows, low, key=lambda row: names[row].as_py().encode())
        last = bisect_right(rows, high, key=lambda row: names[row].as_py().encode())
        return first, last - first

    def _check(self, is_missing: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
        if self._asked and is_missing.any():
            message = (
                f"filter {self._asked[0]} asks about audio, which was not measured of all videos; "
                "run python -m pipelines.ingest with this recipe, or with --set measure_audio=true"
            )
            raise ConfigError(message)
