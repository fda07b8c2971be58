"""ClipRecord: one span of one video, with everything that was measured about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypedDict

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


class DetectedShot(TypedDict):
    """``[start_seconds, end_seconds)`` and how it begins.

    ``start``, ``cut``, ``dissolve`` (fades too) or ``wipe``.
    """

    start_seconds: float
    end_seconds: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord(Record):
    """A window ``[start_seconds, end_seconds)`` of a video, of which there may be several.

    Times are relative to the video's first frame. ``clip_id`` comes from the content digest and the
    span, never from the path. Sizes are those of the shown frame: rotation and sample aspect ratio
    applied. Measures are those of the window. What could not be measured is None. ``tier`` is the
    first of the recipe's that takes the clip.
    """

    clip_id: str
    video_uri: str
    video_sha256: str | None
    size_bytes: int | None
    changed_ns: int | None = None  # of the file, in ns since 1970, when its bytes were digested
    start_seconds: float | None = None
    end_seconds: float | None = None
    video_seconds: float | None = None  # how long the whole video is, as decoded
    width: Int32 | None = None  # of the shown frame, pixels
    height: Int32 | None = None
    fps: float | None = None  # mean rate of the frames that were decoded
    num_frames: int | None = None  # decoded, not promised by the header
    container: str | None = None  # as sniffed from the content
    codec: str | None = None
    pixel_format: str | None = None
    rotation_degrees: Int32 | None = None  # clockwise turn that was applied to show it upright
    orientation: str | None = None  # landscape | portrait | square
    shots: list[DetectedShot] = field(default_factory=list)
    luma_mean: float | None = None  # of sampled frames, [0, 255]
    luma_std: float | None = None  # mean within-frame standard deviation, [0, 255]
    motion: float | None = None  # mean absolute luma change, 8-bit code values per second
    frozen_fraction: float | None = None  # share of the span without any change, [0, 1]
    black_fraction: float | None = None  # of sampled frames, [0, 1]
    uniform_fraction: float | None = None  # of one colour all over, black included, [0, 1]
    bar_fraction: float | None = None  # share of the area under bars, [0, 1]
    decode_error_count: int | None = None
    text_area: float | None = None  # largest share of a frame; as in TextRecord, if it was read
    num_text_lines: Int32 | None = None
    tier: str | None = None
    recipe: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "clip"
    VERSION: ClassVar[int] = 4
    KEY: ClassVar[str] = "clip_id"
