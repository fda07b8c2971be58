"""LatentRecord: a clip's VAE latents, T-first in fp16, described so they can't be misread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from pfp.schema.record import Record, record_schema
from pfp.schema.verdict import VERDICT_TYPE, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentRecord(Record):
    """The high-resolution (HR) and low-resolution (LR) latents of one clip.

    ``hr`` and ``lr`` are little-endian fp16 of shape ``(T, C, H, W)``. The values are normalised,
    ``(z - latents_mean) / latents_std``, when ``normalised`` is true. Latent 0 covers source frame
    0 of the resampled clip, latent j the frames ``4j-3 .. 4j`` (``temporal_stride`` 4).
    """

    clip_id: str
    hr: bytes | None = None
    hr_shape: list[int] = field(default_factory=list)
    lr: bytes | None = None
    lr_shape: list[int] = field(default_factory=list)
    fps: float | None = None  # of the resampled frames that were encoded
    start_seconds: float | None = None  # clip time of source frame 0: the encode origin
    num_frames: int | None = None  # encoded, 4k+1
    num_frames_dropped: int | None = None  # at the end, to make 4k+1
    height: int | None = None  # of the encoded HR frames, pixels
    width: int | None = None
    lr_height: int | None = None
    lr_width: int | None = None
    lr_fps: float | None = None
    temporal_stride: int | None = None
    spatial_stride: int | None = None
    vae_id: str | None = None
    vae_sha256: str | None = None
    latents_mean: list[float] = field(default_factory=list)
    latents_std: list[float] = field(default_factory=list)
    normalised: bool | None = None
    preproc_sha256: str | None = None
    hr_channel_mean: list[float] = field(default_factory=list)
    hr_channel_std: list[float] = field(default_factory=list)
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "latent"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "clip_id"
    SCHEMA: ClassVar[pa.Schema] = record_schema(
        "latent",
        1,
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("hr", pa.large_binary()),
            pa.field("hr_shape", pa.list_(pa.int32()), nullable=False),
            pa.field("lr", pa.large_binary()),
            pa.field("lr_shape", pa.list_(pa.int32()), nullable=False),
            pa.field("fps", pa.float64()),
            pa.field("start_seconds", pa.float64()),
            pa.field("num_frames", pa.int64()),
            pa.field("num_frames_dropped", pa.int64()),
            pa.field("height", pa.int32()),
            pa.field("width", pa.int32()),
            pa.field("lr_height", pa.int32()),
            pa.field("lr_width", pa.int32()),
            pa.field("lr_fps", pa.float64()),
            pa.field("temporal_stride", pa.int32()),
            pa.field("spatial_stride", pa.int32()),
            pa.field("vae_id", pa.string()),
            pa.field("vae_sha256", pa.string()),
            pa.field("latents_mean", pa.list_(pa.float64()), nullable=False),
            pa.field("latents_std", pa.list_(pa.float64()), nullable=False),
            pa.field("normalised", pa.bool_()),
            pa.field("preproc_sha256", pa.string()),
            pa.field("hr_channel_mean", pa.list_(pa.float64()), nullable=False),
            pa.field("hr_channel_std", pa.list_(pa.float64()), nullable=False),
            pa.field("verdict", VERDICT_TYPE, nullable=False),
            pa.field("result_key", pa.string(), nullable=False),
        ],
    )

    def span_seconds(self) -> tuple[float, float]:
        """The clip time ``[start, end)`` that the encoded frames cover."""
        if self.start_seconds is None or self.num_frames is None or self.fps is None:
            message = f"clip {self.clip_id} has no latents: its verdict is {self.verdict}"
            raise ValueError(message)
        return self.start_seconds, self.start_seconds + self.num_frames / self.fps

    def latent_seconds(self, latent: int) -> float:
        """When a latent's last source frame is shown, in seconds from the video's first frame."""
        if self.start_seconds is None or self.fps is None or self.temporal_stride is None:
            message = f"clip {self.clip_id} has no latents: its verdict is {self.verdict}"
            raise ValueError(message)
        return self.start_seconds + latent * self.temporal_stride / self.fps

    def header(self) -> dict[str, Any]:
        """Everything but the latents themselves, for messages and cards."""
        return {name: value for name, value in self.to_row().items() if name not in {"hr", "lr"}}
