"""TextRecord: what was read in the frames of one window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRecord(Record):
    """The text in some frames of a window, as ``pfp.ingest.text`` picks them.

    Kept means that they were looked at, whatever is in them; failed that they could not be decoded
    or read, and then nothing is known.
    """

    clip_id: str
    video_uri: str
    video_sha256: str | None  # of the bytes that were read
    start_seconds: float  # of the window, from the video's first frame on
    end_seconds: float
    text_area: float | None = None  # the largest share of a frame that text takes, [0, 1]
    text_lines: list[str] = field(default_factory=list)  # each once, in the order of the frames
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "text"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "clip_id"
