"""VideoRecord: one video file and what was decided about it as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import pyarrow as pa

from pfp.schema.columns import Int32, Stored
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict

# Of millions of rows such texts take more than the 2 GiB that one array of ``string`` holds.
LongText: TypeAlias = Annotated[str, Stored(type=pa.large_string())]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord(Record):
    """One video file: kept with one clip or more, dropped for a reason, or failed.

    Every file of an input has one row. What was measured about it stands in ``MeasuredRecord``, and
    of its sound in ``AudioRecord``.
    """

    video_uri: str
    video_sha256: str | None
    size_bytes: int | None
    changed_ns: int | None = None  # of the file, in ns since 1970, when its bytes were digested
    width: Int32 | None = None  # of the shown frame, square pixels
    height: Int32 | None = None
    duration_seconds: float | None = None  # decoded
    source_id: str | None = None  # these five as a manifest has them
    source: str | None = None
    licence: str | None = None
    caption: LongText | None = None
    extra: LongText | None = None  # its other columns, as the text of a JSON object
    has_audio: bool | None = None  # this and what follows as in AudioRecord; None: not measured
    loudness_lufs: float | None = None
    loudness_range_lu: float | None = None
    true_peak_dbfs: float | None = None
    silent_fraction: float | None = None
    clipped_fraction: float | None = None
    speech_like_fraction: float | None = None
    num_clips: Int32 = 0  # windows that were chosen, whatever became of them
    duplicate_of: str | None = None  # video_uri of the copy that was kept
    recipe: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "video"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[str] = "video_uri"
