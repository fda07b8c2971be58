"""LatentRecord: a clip's VAE latents, T-first in fp16, described so they can't be misread."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict

ITEM_BYTES: Final = {"float16": 2, "int8": 1}
# What all clips of one run of the stage have in common.
SHARED: Final = (
    *("vae_id", "vae_sha256", "latents_mean", "latents_std", "normalised", "append_exact"),
    *("preproc_sha256", "dtype", "temporal_stride", "spatial_stride"),
    *("lr_factor", "lr_frame_stride"),
)


Branch: TypeAlias = Literal["hr", "lr"]


class LatentSpan(NamedTuple):
    """The latents ``[start, stop)`` of a branch of the clip in row ``row`` of an opened table."""

    row: int
    branch: Branch
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentRecord(Record):
    """The high-resolution (HR) and low-resolution (LR) latents of one clip.

    ``hr`` and ``lr`` have the shape ``(T, C, H, W)``, T first, so that a span of time is one span
    of bytes. With ``dtype`` ``"float16"`` they are little-endian fp16, with ``"int8"`` the value of
    channel c is ``hr_scale[c]`` (``lr_scale[c]``) times the byte. Values are normalised,
    ``(z - latents_mean) / latents_std``, when ``normalised`` is true.

    Latent 0 covers source frame 0 of the resampled clip, latent j the frames ``4j-3 .. 4j``
    (``temporal_stride`` 4). ``append_exact`` says that more frames would not have changed them.

    LR video is the copy for one rate, ``lr_factor`` x ``lr_factor`` x ``lr_frame_stride``: so many
    times smaller in height and width and slower. Another rate's copy is a table of its own whose
    clips have LR latents alone (``hr`` null); the frames that they are of are the same.
    """

    clip_id: str
    hr: bytes | None = None
    hr_shape: list[Int32] = field(default_factory=list)
    lr: bytes | None = None
    lr_shape: list[Int32] = field(default_factory=list)
    dtype: str | None = None  # float16 | int8
    hr_scale: list[float] = field(default_factory=list)  # int8 only, one per channel
    lr_scale: list[float] = field(default_factory=list)
    fps: float | None = None  # of the resampled frames that were encoded
    start_seconds: float | None = None  # clip time of source frame 0: the encode origin
    num_frames: int | None = None  # encoded, 4k+1
    num_frames_dropped: int | None = None  # at the end, to make 4k+1
    height: Int32 | None = None  # of the encoded HR frames, pixels
    width: Int32 | None = None
    lr_height: Int32 | None = None
    lr_width: Int32 | None = None
    lr_fps: float | None = None
    lr_factor: Int32 | None = None
    lr_frame_stride: Int32 | None = None
    temporal_stride: Int32 | None = None
    spatial_stride: Int32 | None = None
    vae_id: str | None = None
    vae_sha256: str | None = None
    latents_mean: list[float] = field(default_factory=list)
    latents_std: list[float] = field(default_factory=list)
    normalised: bool | None = None
    append_exact: bool | None = None
    preproc_sha256: str | None = None
    hr_channel_mean: list[float] = field(default_factory=list)
    hr_channel_std: list[float] = field(default_factory=list)
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "latent"
    VERSION: ClassVar[int] = 3
    KEY: ClassVar[str] = "clip_id"
    BLOBS: ClassVar[tuple[str, ...]] = ("hr", "lr")
    INDEXED: ClassVar[tuple[str, ...]] = (
        *("hr_shape", "lr_shape", "dtype", "hr_scale", "lr_scale"),
        *("fps", "start_seconds", "num_frames", "num_frames_dropped"),
    )

    @classmethod
    def blob_bytes(cls, blob: str, rows: pa.Table) -> list[int | None]:
        """The bytes that shape and dtype make."""
        kinds = zip(rows[f"{blob}_shape"].to_pylist(), rows["dtype"].to_pylist(), strict=True)
        return [
            math.prod(shape) * ITEM_BYTES.get(dtype, 0) if shape else None for shape, dtype in kinds
        ]

    @classmethod
    def describe(cls, rows: pa.Table) -> dict[str, Any]:
        """Of a file's kept clips: how many, what they share, and their pooled HR moments.

        ``shared`` has one entry where all clips were made alike, which is what readers want to see.
        The moments are those of all values of a channel together; None for a table of LR alone.
        """
        kept = rows.filter(pc.field("verdict", "kind") == "kept")
        shared = [dict(zip(SHARED, values, strict=True)) for values in _distinct(kept, SHARED)]
        weights = [math.prod(shape) for shape in kept["hr_shape"].to_pylist()]
        moments = zip(
            kept["hr_channel_mean"].to_pylist(), kept["hr_channel_std"].to_pylist(), strict=True
        )
        return {
            "num_clips": kept.num_rows,
            "shared": shared,
            "hr_moments": _pooled(list(moments), weights),
        }

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


def _distinct(rows: pa.Table, columns: Sequence[str]) -> list[list[Any]]:
    """The distinct combinations of values, in the order of their JSON."""
    combinations = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    return [json.loads(text) for text in sorted({json.dumps(values) for values in combinations})]


def _pooled(
    moments: Sequence[tuple[list[float], list[float]]], weights: Sequence[int]
) -> dict[str, Any] | None:
    """Mean and standard deviation per channel over all values; None where there are none."""
    widths = {len(part) for mean_and_std in moments for part in mean_and_std}
    if len(widths) != 1 or widths == {0} or not sum(weights):
        return None
    weight = np.asarray(weights, np.float64)[:, None] / sum(weights)
    means, stds = (np.asarray(part, np.float64) for part in zip(*moments, strict=True))
    with np.errstate(all="ignore"):
        mean = (weight * means).sum(axis=0)
        variance = (weight * (stds**2 + means**2)).sum(axis=0) - mean**2
        std = np.sqrt(np.maximum(variance, 0))
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        return None
    return {"mean": mean.tolist(), "std": std.tolist(), "num_values": sum(weights)}
