"""The filters, one per file: each compares what was measured with thresholds from a recipe.

A new one is a module here, a line in ``FILTERS`` and a test.
"""

from __future__ import annotations

from typing import Final, Protocol

import pyarrow as pa

from pfp.ingest.filters.aspect import Aspect
from pfp.ingest.filters.audio_track import AudioTrack
from pfp.ingest.filters.backdrop import Backdrop
from pfp.ingest.filters.bars import Bars
from pfp.ingest.filters.black import Black
from pfp.ingest.filters.bound import Bound as Bound
from pfp.ingest.filters.bound import first_refusals as first_refusals
from pfp.ingest.filters.clean_aperture import CleanAperture
from pfp.ingest.filters.clipped_audio import ClippedAudio
from pfp.ingest.filters.decode_errors import DecodeErrors
from pfp.ingest.filters.duration import Duration
from pfp.ingest.filters.frame_rate import FrameRate
from pfp.ingest.filters.frozen import Frozen
from pfp.ingest.filters.hdr import Hdr
from pfp.ingest.filters.interlaced import Interlaced
from pfp.ingest.filters.loudness import Loudness
from pfp.ingest.filters.missing import Missing
from pfp.ingest.filters.motion import Motion
from pfp.ingest.filters.projection import Projection
from pfp.ingest.filters.resolution import Resolution
from pfp.ingest.filters.silence import Silence
from pfp.ingest.filters.size_changes import SizeChanges
from pfp.ingest.filters.speech import Speech
from pfp.ingest.filters.stereo import Stereo
from pfp.ingest.filters.text import Text
from pfp.ingest.filters.timestamps import Timestamps
from pfp.ingest.filters.uniform import Uniform


class Filter(Protocol):
    """A frozen dataclass of thresholds that looks at the columns of measured clips."""

    def bounds(self, clips: pa.Table) -> tuple[Bound, ...]:
        """What each clip has against what the filter wants; it passes when all hold."""


FILTERS: Final[dict[str, type[Filter]]] = {
    "aspect": Aspect,
    "audio_track": AudioTrack,
    "backdrop": Backdrop,
    "bars": Bars,
    "black": Black,
    "clean_aperture": CleanAperture,
    "clipped_audio": ClippedAudio,
    "decode_errors": DecodeErrors,
    "duration": Duration,
    "frame_rate": FrameRate,
    "frozen": Frozen,
    "hdr": Hdr,
    "interlaced": Interlaced,
    "loudness": Loudness,
    "missing": Missing,
    "motion": Motion,
    "projection": Projection,
    "resolution": Resolution,
    "silence": Silence,
    "size_changes": SizeChanges,
    "speech": Speech,
    "stereo": Stereo,
    "text": Text,
    "timestamps": Timestamps,
    "uniform": Uniform,
}
# Those that ask about sound, which is measured for recipes that have one of them.
AUDIO_FILTERS: Final = ("audio_track", "clipped_audio", "loudness", "silence", "speech")
# Those of windows that ask about what networks see, which look at windows that the others keep.
NETWORK_FILTERS: Final = ("text",)
