"""AudioRecord: what was measured about the sound of one video file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioRecord(Record):
    """The sound of one video that was measured: of its default audio stream, else of the first.

    Kept means measured, or found to be without audio; failed that it could not be decoded, which
    says nothing about the video. What could not be measured is None, as is all that a file without
    audio has no value of. ``pfp.ingest.audio_gauges`` says how each number is made.
    """

    video_uri: str
    video_sha256: str | None  # of the bytes that were measured, as in MeasuredRecord
    has_audio: bool | None = None
    audio_codec: str | None = None
    sample_rate: Int32 | None = None  # of the first decoded frame, in Hz
    num_channels: Int32 | None = None
    audio_seconds: float | None = None  # decoded
    audio_error_count: int | None = None  # packets refused and frames marked as corrupt
    loudness_lufs: float | None = None  # integrated (EBU R128); None if all is below -70 LUFS
    loudness_range_lu: float | None = None  # None likewise
    true_peak_dbfs: float | None = None  # of all channels; None for digital silence
    silent_fraction: float | None = None  # of the decoded time
    clipped_fraction: float | None = None  # of the samples of all channels
    speech_like_fraction: float | None = None  # of the seconds that are not silent; no detection
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "audio"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "video_uri"
