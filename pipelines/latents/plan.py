"""What a run would do and store, with rates measured on a few of its clips."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import torch

from pfp.errors import NothingUsable, PfpError, SchemaError
from pfp.io.media import Guard
from pfp.io.tables import read_table
from pfp.latents.encode import encode_frames
from pfp.latents.frames import clip_frames
from pfp.latents.plan import (
    ClipRates,
    ClipSize,
    LatentsPlan,
    PromptRates,
    TablePlan,
    buckets_of,
    num_frames_between,
)
from pfp.models.vae import load_vae, spatial_stride_of
from pfp.models.vae.latent_vae import LatentVAE
from pfp.runtime import NoProgress, Progress, Stage, backlog
from pfp.runtime.run import Backlog
from pfp.schema import ClipRecord, ConditionRecord
from pfp.schema.latent import ITEM_BYTES
from pipelines.latents.clips import clip_of
from pipelines.latents.config import LatentsConfig
from pipelines.latents.encode import EncodePrompts
from pipelines.latents.inputs import read_inputs
from pipelines.latents.stages import conditions_stages, latents_stages

T = TypeVar("T")

# Sources differ by a factor of ten in how long they take to decode, less in how long per frame.
NUM_CLIPS_MEASURED: Final = 8
NUM_FRAMES_MEASURED: Final = 240
NUM_PROMPTS_MEASURED: Final = 16
NUM_WARM_UP_FRAMES: Final = 9


def plan_run(
    config: LatentsConfig,
    *,
    input_directory: str,
    output_directory: str,
    usd_per_gb_month: float,
    progress: Progress | None = None,
) -> LatentsPlan:
    """What ``run`` would do with the same arguments; nothing is written.

    Pooled conditions, one vector a prompt, are too few bytes to count.

    Raises what ``run`` raises before any work, and NothingUsable when no clip that it tries can be
    decoded. Without ``num_workers`` the hours are those of one worker.
    """
    config.check_stride(spatial_stride_of(config.vae))
    text_stage = conditions_stages(config)[0]
    clips, (prompts, *_) = read_inputs(config, input_directory)
    text_left = backlog(text_stage, prompts, f"{output_directory}/{text_stage.name}")
    vae = _load(config)
    tables = [
        _plan_table(
            stage,
            backlog(stage, clips, f"{output_directory}/{stage.name}"),
            [clip_of(row) for row in clips.to_pylist()],
            vae,
            progress or NoProgress(),
        )
        for stage in latents_stages(config)
    ]
    prompt_rates = _prompt_rates(config, text_left.todo)
    known = _condition_bytes(f"{output_directory}/{text_stage.name}", text_left.kept_keys)
    return LatentsPlan(
        tables=tuple(tables),
        num_prompts=prompts.num_rows,
        num_prompts_left=text_left.todo.num_rows,
        condition_bytes=sum(known) + _estimate(known, prompt_rates, prompts.num_rows - len(known)),
        num_workers=config.num_workers or 1,
        num_decoders=config.num_decoders,
        prompt_rates=prompt_rates,
        usd_per_gb_month=usd_per_gb_month,
    )


def _plan_table(
    stage: Stage, left: Backlog, clips: Sequence[ClipRecord], vae: LatentVAE, progress: Progress
) -> TablePlan:
    config: LatentsConfig = stage.worker_args["config"]
    with_hr: bool = stage.worker_args["with_hr"]
    clips_left = [clip_of(row) for row in left.todo.to_pylist()]
    usable = {*left.kept_keys, *(clip.clip_id for clip in clips_left)}
    buckets = buckets_of(
        [_size_of(clip, usable) for clip in clips],
        config.preprocess,
        z_channels=vae.z_channels,
        spatial_stride=vae.spatial_stride,
        bytes_per_value=ITEM_BYTES[config.stored_dtype],
        with_hr=with_hr,
    )
    return TablePlan(
        name=stage.name,
        buckets=buckets,
        num_clips_left=len(clips_left),
        num_frames_left=sum(_num_frames(config, clip) for clip in clips_left),
        clip_rates=_clip_rates(config, vae, clips_left, progress, with_hr=with_hr),
    )


def _load(config: LatentsConfig) -> LatentVAE:
    torch.set_num_threads(config.num_cpus)  # as a worker does, so that the rates are a worker's
    return load_vae(config.vae, device=config.device, dtype=config.dtype, tiling=config.tiling)


def _size_of(clip: ClipRecord, usable: Collection[str]) -> ClipSize | None:
    """What decides the clip's shape; None for a clip that failed, or that decoding will refuse."""
    if clip.width is None or clip.height is None or clip.clip_id not in usable:
        return None
    if clip.start_seconds is None or clip.end_seconds is None:
        return None
    return ClipSize(
        width=clip.width,
        height=clip.height,
        start_seconds=clip.start_seconds,
        end_seconds=clip.end_seconds,
    )


def _num_frames(config: LatentsConfig, clip: ClipRecord) -> int:
    if clip.start_seconds is None or clip.end_seconds is None:
        return 0
    return num_frames_between(clip.start_seconds, clip.end_seconds, fps=config.preprocess.fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timing:
    num_frames: int
    decode_seconds: float
    encode_seconds: float


def _clip_rates(
    config: LatentsConfig,
    vae: LatentVAE,
    clips: Sequence[ClipRecord],
    progress: Progress,
    *,
    with_hr: bool,
) -> ClipRates | None:
    """The rates over some of the clips, evenly spread; None without clips."""
    if not clips:
        return None
    chosen = _spread(clips, NUM_CLIPS_MEASURED)
    timings: list[_Timing] = []
    progress.start("measuring", len(chosen), 0)
    guard = Guard(
        timeout_seconds=config.decode_timeout_seconds, memory_bytes=config.decode_memory_bytes
    )
    with guard, _stopping(progress):
        # The first call starts the child and warms the network up.
        measure = partial(_time_clip, config, vae, guard=guard, with_hr=with_hr)
        measure(chosen[0], max_frames=NUM_WARM_UP_FRAMES)
        for clip in chosen:
            timing = measure(clip, max_frames=_max_frames(config))
            timings += [timing] if timing else []
            progress.advance(1)
    num_frames = sum(timing.num_frames for timing in timings)
    if not num_frames:
        raise NothingUsable(
            f"none of {len(chosen)} clips could be decoded to measure with, for example "
            f"{chosen[0].video_uri}; run pipelines/ingest again"
        )
    return ClipRates(
        num_clips=len(timings),
        decode_seconds=sum(timing.decode_seconds for timing in timings) / num_frames,
        encode_seconds=sum(timing.encode_seconds for timing in timings) / num_frames,
    )


@contextmanager
def _stopping(progress: Progress) -> Iterator[None]:
    try:
        yield
    finally:
        progress.stop()


def _time_clip(
    config: LatentsConfig,
    vae: LatentVAE,
    clip: ClipRecord,
    *,
    guard: Guard,
    max_frames: int,
    with_hr: bool,
) -> _Timing | None:
    """Decodes and encodes the beginning of a clip; None if it cannot be done."""
    settings = replace(config.preprocess, min_num_frames=1)
    try:
        start, end = clip.start_seconds or 0.0, clip.end_seconds or 0.0
        cut = replace(clip, end_seconds=min(end, start + max_frames / settings.fps))
        started = time.perf_counter()
        frames = list(clip_frames(cut, settings, guard))
        decoded = time.perf_counter()
        encode_frames(
            vae, frames, settings, clip_id=clip.clip_id, start_seconds=start, with_hr=with_hr
        )
        encoded = time.perf_counter()
    except (PfpError, OSError, ValueError):
        return None  # the run itself will say what is wrong with it
    return _Timing(
        num_frames=len(frames),
        decode_seconds=decoded - started,
        encode_seconds=encoded - decoded,
    )


def _max_frames(config: LatentsConfig) -> int:
    """Enough to hide how long a clip takes to begin, but no more than may be held at once."""
    frame_bytes = config.preprocess.long_side * config.preprocess.short_side * 3
    held = max(NUM_WARM_UP_FRAMES, config.handover_bytes // frame_bytes)
    return min(NUM_FRAMES_MEASURED, held)


def _prompt_rates(config: LatentsConfig, prompts: pa.Table) -> PromptRates | None:
    """The rates over some of the prompts; None without prompts."""
    if not prompts.num_rows:
        return None
    worker = EncodePrompts(config, config.text_encoder)
    chosen = prompts.take(_spread(range(prompts.num_rows), NUM_PROMPTS_MEASURED))
    worker(chosen.slice(0, 1))
    started = time.perf_counter()
    rows = worker(chosen).to_pylist()
    seconds = time.perf_counter() - started
    sizes = [_embedding_bytes(row["embedding_shape"]) for row in rows]
    return PromptRates(
        num_prompts=len(sizes),
        encode_seconds=seconds / len(sizes),
        condition_bytes=sum(sizes) / len(sizes),
    )


def _condition_bytes(directory: str, kept_keys: frozenset[str]) -> list[int]:
    """The sizes of the embeddings that the table has already; none without a table."""
    try:
        table = read_table(directory, ConditionRecord, columns=["prompt_sha256", "embedding_shape"])
    except SchemaError:
        return []
    rows = table.filter(
        pc.is_in(table["prompt_sha256"], value_set=pa.array(sorted(kept_keys), pa.string()))
    )
    return [_embedding_bytes(shape) for shape in rows["embedding_shape"].to_pylist()]


def _embedding_bytes(shape: Sequence[int]) -> int:
    return math.prod(shape) * ITEM_BYTES["float16"] if shape else 0


def _estimate(known: Sequence[int], rates: PromptRates | None, num_unknown: int) -> int:
    """The bytes of so many embeddings, at the mean size of those measured or known."""
    if rates is not None:
        return round(rates.condition_bytes * num_unknown)
    return round(sum(known) / len(known) * num_unknown) if known else 0


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` items, evenly spread over all of them."""
    count = min(count, len(items))
    return [items[(2 * number + 1) * len(items) // (2 * count)] for number in range(count)]
