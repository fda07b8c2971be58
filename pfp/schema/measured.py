"""MeasuredRecord: all that was measured about one video file, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypeAlias, TypedDict

import pyarrow as pa

from pfp.schema.clip import DetectedShot
from pfp.schema.columns import Int32, Stored
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict

Float32: TypeAlias = Annotated[float, Stored(type=pa.float32())]


class SecondMeasures(TypedDict):
    """What one second of a video, ``[k, k + 1)`` from its first frame on, looks like.

    Of the last second, as much as there is. A frame that was looked at stands for the time until
    the next one. Numbers are as precise as float32.
    """

    luma_mean: Float32  # [0, 255]
    luma_std: Float32  # within frames, [0, 255]
    motion: Float32 | None  # mean absolute luma change, 8-bit code values per second
    frozen: Float32  # share of the second that is part of a freeze of at least half a second
    black: Float32  # share of the second
    uniform: Float32  # share of the second, of one colour all over, black included
    num_damaged: Int32  # packets refused and frames marked as corrupt
    # The rest but flicker is of one frame in the second; ``pfp.ingest.gauges`` says what it is.
    colourfulness: Float32 | None  # from 0; above 59 people call it quite colourful
    flicker: Float32 | None  # mean brightness that goes and comes back, code values per frame
    sharpness: Float32 | None  # variance of the Laplacian at up to 256 lines
    noise: Float32 | None  # deviation in 8-bit code values
    dark: Float32 | None  # share of the pixels, clipped to black
    bright: Float32 | None  # share of the pixels, clipped to white
    blockiness: Float32 | None  # steps across the 8 x 8 grid over steps elsewhere; 1 for none
    flow: Float32 | None  # mean pixels per frame, of frames of 256 lines


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRecord(Record):
    """One video file. Kept means measured, dropped no video, failed not decodable.

    Thresholds play no part here, so a new recipe needs no new decode. What could not be measured
    is None; what the frames look like is None for HDR videos, too, since reading HDR as SDR gives
    wrong numbers. Fractions are of the decoded duration unless said otherwise.
    """

    video_uri: str
    video_sha256: str | None
    size_bytes: int | None
    changed_ns: int | None = None  # as in ClipRecord
    container: str | None = None
    codec: str | None = None
    pixel_format: str | None = None
    bit_depth: Int32 | None = None
    width: Int32 | None = None  # of the shown frame, square pixels
    height: Int32 | None = None
    rotation_degrees: Int32 | None = None
    orientation: str | None = None
    duration_seconds: float | None = None  # decoded: first frame's start to last frame's end
    promised_seconds: float | None = None  # by what the file tells of its video stream
    fps: float | None = None  # of the decoded frames, mean
    num_frames: int | None = None  # decoded
    promised_num_frames: int | None = None
    max_gap_seconds: float | None = None  # between two frames
    num_timestamp_jumps: int | None = None  # frames earlier than the one before
    num_size_changes: int | None = None  # of the coded size, the pixels' shape, or the turn
    decode_error_count: int | None = None  # packets refused or frames marked as corrupt
    interlaced_fraction: float | None = None  # of the frames, as the stream flags them
    combed_fraction: float | None = None  # of the moving frames that were looked at
    stereo_layout: str | None = None  # mono | side_by_side | top_bottom | ..., as the file says
    projection: str | None = None  # flat | equirectangular | ..., as the file says
    hidden_fraction: float | None = None  # of the coded area, outside the clean aperture
    transfer: str | None = None  # sdr | pq | hlg | linear | log | smpte428; any frame's
    luma_mean: float | None = None
    luma_std: float | None = None
    black_fraction: float | None = None
    uniform_fraction: float | None = None  # one colour all over, black included
    bar_fraction: float | None = None  # of the area, under bars for a third of the time or more
    backdrop_fraction: float | None = None  # likewise, of a blurred copy behind the frame
    motion: float | None = None
    frozen_fraction: float | None = None
    frozen_tail_seconds: float | None = None
    frame_signatures: bytes | None = None  # two 64-bit words each half second (ingest/signatures)
    shots: list[DetectedShot] = field(default_factory=list)
    track: list[SecondMeasures] = field(default_factory=list)  # up to a day; none for HDR videos
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "measured"
    VERSION: ClassVar[int] = 4
    KEY: ClassVar[str] = "video_uri"
