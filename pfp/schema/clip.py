"""ClipRecord: one span of one video, with everything that was measured about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from pfp.schema.record import Record, record_schema
from pfp.schema.verdict import VERDICT_TYPE, Verdict

SHOT_TYPE = pa.struct(
    [
        pa.field("start_seconds", pa.float64(), nullable=False),
        pa.field("end_seconds", pa.float64(), nullable=False),
        pa.field(
            "kind", pa.string(), nullable=False
        ),  # how the shot begins: start | cut | dissolve
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord(Record):
    """A span ``[start_seconds, end_seconds)`` of a video; times are relative to its first frame.

    ``clip_id`` comes from the content digest and the span, never from the path. Sizes are those of
    the shown picture: rotation and sample aspect ratio applied. What could not be measured is None.
    """

    clip_id: str
    video_uri: str
    video_sha256: str | None
    size_bytes: int | None
    changed_ns: int | None = None  # of the file, in ns since 1970, when its bytes were digested
    start_seconds: float | None = None
    end_seconds: float | None = None
    width: int | None = None  # of the shown picture, pixels
    height: int | None = None
    fps: float | None = None  # mean rate of the frames that were decoded
    num_frames: int | None = None  # decoded, not promised by the header
    container: str | None = None  # as sniffed from the content
    codec: str | None = None
    pixel_format: str | None = None
    rotation_degrees: int | None = None  # clockwise turn that was applied to show it upright
    orientation: str | None = None  # landscape | portrait | square
    shots: list[dict[str, Any]] = field(default_factory=list)  # SHOT_TYPE
    luma_mean: float | None = None  # of sampled frames, [0, 255]
    luma_std: float | None = None  # mean within-frame standard deviation, [0, 255]
    motion: float | None = None  # mean absolute luma change between samples, levels per second
    frozen_fraction: float | None = None  # share of the span without any change, [0, 1]
    bar_fraction: float | None = None  # share of the area under bars, [0, 1]
    decode_error_count: int | None = None
    phash: str | None = None  # 64-bit perceptual hash of the middle frame, 16 hex digits
    duplicate_of: str | None = None  # clip_id of the copy that was kept
    tier: str | None = None
    recipe: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "clip"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[str] = "video_uri"  # byte-equal copies share a clip_id; all but one are dropped
    SCHEMA: ClassVar[pa.Schema] = record_schema(
        "clip",
        2,
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("video_uri", pa.string(), nullable=False),
            pa.field("video_sha256", pa.string()),
            pa.field("size_bytes", pa.int64()),
            pa.field("changed_ns", pa.int64()),
            pa.field("start_seconds", pa.float64()),
            pa.field("end_seconds", pa.float64()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("fps", pa.float64()),
            pa.field("num_frames", pa.int64()),
            pa.field("container", pa.string()),
            pa.field("codec", pa.string()),
            pa.field("pixel_format", pa.string()),
            pa.field("rotation_degrees", pa.int32()),
            pa.field("orientation", pa.string()),
            pa.field("shots", pa.list_(SHOT_TYPE), nullable=False),
            pa.field("luma_mean", pa.float64()),
            pa.field("luma_std", pa.float64()),
            pa.field("motion", pa.float64()),
            pa.field("frozen_fraction", pa.float64()),
            pa.field("bar_fraction", pa.float64()),
            pa.field("decode_error_count", pa.int64()),
            pa.field("phash", pa.string()),
            pa.field("duplicate_of", pa.string()),
            pa.field("tier", pa.string()),
            pa.field("recipe", pa.string()),
            pa.field("verdict", VERDICT_TYPE, nullable=False),
            pa.field("result_key", pa.string(), nullable=False),
        ],
    )
