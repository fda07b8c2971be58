"""VideoRecord: one video file and what was decided about it as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord(Record):
    """One video file: kept with one clip or more, dropped for a reason, or failed.

    Every file of an input has one row. What was measured about it stands in ``MeasuredRecord``.
    """

    video_uri: str
    video_sha256: str | None
    size_bytes: int | None
    changed_ns: int | None = None  # of the file, in ns since 1970, when its bytes were digested
    width: Int32 | None = None  # of the shown frame, square pixels
    height: Int32 | None = None
    duration_seconds: float | None = None  # decoded
    num_clips: Int32 = 0  # windows that were chosen, whatever became of them
    duplicate_of: str | None = None  # video_uri of the copy that was kept
    recipe: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "video"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "video_uri"
