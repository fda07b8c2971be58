"""What a latents stage will store and take, by arithmetic from clips' spans. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final

from pfp.latents.preprocess import PreprocessSettings
from pfp.schema import ClipRecord
from pfp.schema.latent import ITEM_BYTES
from pfp.schema.windows import num_latents_of, num_lr_latents_of

BYTES_PER_GB: Final = 1 << 30  # as object stores bill


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Clips whose latents have the same shape: ``(T, C, H, W)``, HR and LR.

    In a table of LR alone the HR shape is empty. Clips that get no latents make a bucket of two
    empty shapes.
    """

    hr_shape: tuple[int, ...]
    lr_shape: tuple[int, ...]
    num_clips: int
    num_frames: int  # that all its clips have at the settings' rate
    bytes_per_value: int = 2

    @property
    def latent_bytes(self) -> int:
        """The latents of all its clips, HR and LR."""
        shapes = [shape for shape in (self.hr_shape, self.lr_shape) if shape]
        return self.num_clips * self.bytes_per_value * sum(math.prod(shape) for shape in shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRates:
    """Seconds per source frame of one worker, measured on ``num_clips`` clips.

    Decoding to the settings' size, and encoding HR with its share of LR.
    """

    num_clips: int
    decode_seconds: float
    encode_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """What a table of latents stores when it is done, and what it has still to do.

    ``clip_rates`` are None where nothing is left to do.
    """

    name: str
    buckets: tuple[Bucket, ...]
    num_clips_left: int
    num_frames_left: int
    clip_rates: ClipRates | None

    @property
    def num_clips(self) -> int:
        """All clips, those that get no latents included."""
        return sum(bucket.num_clips for bucket in self.buckets)

    @property
    def latent_bytes(self) -> int:
        """The latents of all clips."""
        return sum(bucket.latent_bytes for bucket in self.buckets)

    def seconds(self, *, num_workers: int, num_decoders: int) -> float:
        """How long what is left takes; with decoders it is the slower of the steps that decides."""
        if self.clip_rates is None:
            return 0.0
        decode = self.clip_rates.decode_seconds * self.num_frames_left
        encode = self.clip_rates.encode_seconds * self.num_frames_left
        if num_decoders:
            return max(decode / num_decoders, encode / num_workers)
        return (decode + encode) / num_workers

    def to_json(self) -> dict[str, Any]:
        """Plain values, with all that follows from them."""
        buckets = [{**asdict(each), "latent_bytes": each.latent_bytes} for each in self.buckets]
        derived = {"num_clips": self.num_clips, "latent_bytes": self.latent_bytes}
        return {**asdict(self), "buckets": buckets, **derived}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRates:
    """Seconds per prompt of one worker, and its embedding's mean size, measured on a few."""

    num_prompts: int
    encode_seconds: float
    condition_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsPlan:
    """What the stage stores when it is done, and what it has still to do.

    The first of the tables has HR and LR latents, those of further LR copies follow. Rates are None
    where nothing is left to do. ``hours`` are those of ``num_workers`` encoding workers and
    ``num_decoders`` decoding ones (0: the encoding workers decode).
    """

    tables: tuple[TablePlan, ...]
    num_prompts: int
    num_prompts_left: int
    condition_bytes: int
    num_workers: int
    num_decoders: int
    prompt_rates: PromptRates | None
    usd_per_gb_month: float

    @property
    def latent_bytes(self) -> int:
        """The latents of all clips, in all tables."""
        return sum(table.latent_bytes for table in self.tables)

    @property
    def total_bytes(self) -> int:
        """Latents and conditions; the tables' other columns are some hundred bytes per row."""
        return self.latent_bytes + self.condition_bytes

    @property
    def usd_per_month(self) -> float:
        """The price of storing it all."""
        return self.total_bytes / BYTES_PER_GB * self.usd_per_gb_month

    @property
    def hours(self) -> float:
        """How long what is left takes at the measured rates, start-up not counted."""
        workers = {"num_workers": self.num_workers, "num_decoders": self.num_decoders}
        seconds = sum(table.seconds(**workers) for table in self.tables)
        if self.prompt_rates is not None:
            seconds += self.prompt_rates.encode_seconds * self.num_prompts_left / self.num_workers
        return seconds / 3600

    def to_json(self) -> dict[str, Any]:
        """Plain values, with all that follows from them."""
        derived = ("latent_bytes", "total_bytes", "usd_per_month", "hours")
        values = {**asdict(self), "tables": [table.to_json() for table in self.tables]}
        return {**values, **{name: getattr(self, name) for name in derived}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSize:
    """What decides the shape of a clip's latents."""

    width: int
    height: int
    start_seconds: float
    end_seconds: float


def clip_size(clip: ClipRecord) -> ClipSize | None:
    """What decides the clip's shape; None for one that decoding will refuse."""
    if clip.width is None or clip.height is None:
        return None
    if clip.start_seconds is None or clip.end_seconds is None:
        return None
    return ClipSize(
        width=clip.width,
        height=clip.height,
        start_seconds=clip.start_seconds,
        end_seconds=clip.end_seconds,
    )


def num_clip_frames(clip: ClipRecord, *, fps: float) -> int:
    """The frames of a clip, 0 without a span."""
    if clip.start_seconds is None or clip.end_seconds is None:
        return 0
    return num_frames_between(clip.start_seconds, clip.end_seconds, fps=fps)


def embedding_bytes(shape: Sequence[int]) -> int:
    """The bytes of a prompt's stored embedding; 0 without one."""
    return math.prod(shape) * ITEM_BYTES["float16"] if shape else 0


def estimated_bytes(known: Sequence[int], rates: PromptRates | None, num_unknown: int) -> int:
    """The bytes of so many embeddings, at the mean size of those measured or known."""
    if rates is not None:
        return round(rates.condition_bytes * num_unknown)
    return round(sum(known) / len(known) * num_unknown) if known else 0


def num_frames_between(start_seconds: float, end_seconds: float, *, fps: float) -> int:
    """Frames ``i`` with ``start + i / fps < end``, as ``pfp.io.media.iter_frames`` counts them.

    A video that ends before ``end_seconds`` has fewer.
    """
    start, end, rate = (
        Fraction(value).limit_denominator(1_000_000) for value in (start_seconds, end_seconds, fps)
    )
    return max(0, math.ceil((end - start) * rate))


def buckets_of(
    clips: Iterable[ClipSize | None],
    settings: PreprocessSettings,
    *,
    z_channels: int,
    spatial_stride: int,
    bytes_per_value: int = 2,
    with_hr: bool = True,
) -> tuple[Bucket, ...]:
    """The clips by the shape of their latents, the largest share of bytes first.

    None stands for a clip that will get none whatever its length; too short ones get none either.
    ``with_hr=False`` is for the table of another LR copy.
    """
    counts: dict[tuple[int, ...], tuple[int, int]] = {}
    for clip in clips:
        shape: tuple[int, ...] = ()
        num_frames = 0
        if clip is not None:
            num_frames = num_frames_between(clip.start_seconds, clip.end_seconds, fps=settings.fps)
            if num_frames >= settings.min_num_frames:
                height, width = settings.size_for(clip.width, clip.height)
                cells = height // spatial_stride, width // spatial_stride
                shape = num_latents_of(num_frames), z_channels, *cells
        num_clips, frames_before = counts.get(shape, (0, 0))
        counts[shape] = num_clips + 1, frames_before + num_frames
    buckets = [
        Bucket(
            hr_shape=shape if with_hr else (),
            lr_shape=_lr_shape(shape, settings),
            num_clips=num_clips,
            num_frames=num_frames,
            bytes_per_value=bytes_per_value,
        )
        for shape, (num_clips, num_frames) in counts.items()
    ]
    return tuple(sorted(buckets, key=_largest_first))


def _largest_first(bucket: Bucket) -> tuple[Any, ...]:
    return -bucket.latent_bytes, bucket.hr_shape, bucket.lr_shape


def _lr_shape(hr_shape: tuple[int, ...], settings: PreprocessSettings) -> tuple[int, ...]:
    if not hr_shape:
        return ()
    num_latents, z_channels, height, width = hr_shape
    num_lr_latents = num_lr_latents_of(num_latents, time_stride=settings.lr_frame_stride)
    return num_lr_latents, z_channels, height // settings.lr_factor, width // settings.lr_factor


def describe(plan: LatentsPlan) -> str:
    """The plan for a person, in lines."""
    lines = [line for table in plan.tables for line in _describe_table(table)]
    lines += [
        f"{plan.num_prompts} prompts, {plan.num_prompts_left} to embed",
        (
            f"latents {_size(plan.latent_bytes)}, conditions {_size(plan.condition_bytes)}: "
            f"{plan.usd_per_month:.2f} USD per month at {plan.usd_per_gb_month:g} USD per GB"
        ),
    ]
    for table in plan.tables:
        lines += _describe_rates(table)
    if not any(table.num_clips_left for table in plan.tables) and not plan.num_prompts_left:
        return "\n".join([*lines, "nothing is left to do"])
    lines.append(
        f"num_workers {plan.num_workers}, num_decoders {plan.num_decoders}: "
        f"about {_duration(plan.hours)} left, besides start-up"
    )
    return "\n".join(lines)


def _describe_table(table: TablePlan) -> list[str]:
    lines = [f"{table.name}: {table.num_clips} clips, {table.num_clips_left} to encode"]
    for bucket in table.buckets:
        shapes = [
            f"{branch} {' x '.join(map(str, shape))}"
            for branch, shape in (("HR", bucket.hr_shape), ("LR", bucket.lr_shape))
            if shape
        ]
        what = f"of {' and '.join(shapes)}: {_size(bucket.latent_bytes)}"
        if not shapes:
            what = "without latents: too short, or failed for good"
        lines.append(f"{bucket.num_clips:>10} {what}")
    return lines


def _describe_rates(table: TablePlan) -> list[str]:
    rates = table.clip_rates
    if rates is None:
        return []
    line = (
        f"{table.name}: measured here on {rates.num_clips} clips, a worker decodes "
        f"{1 / rates.decode_seconds:.1f} and encodes {1 / rates.encode_seconds:.1f} frames per "
        "second"
    )
    return [line]


def _size(num_bytes: float) -> str:
    if num_bytes < 1024:
        return f"{num_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        num_bytes /= 1024
        if num_bytes < 1024:
            return f"{num_bytes:.1f} {unit}"
    return f"{num_bytes / 1024:.1f} TiB"


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
