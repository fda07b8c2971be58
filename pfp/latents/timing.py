"""How fast this machine decodes and encodes, measured on a few clips and prompts of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from pfp.errors import InvariantError, NothingUsable
from pfp.io.media import Guard
from pfp.latents.conditions import encode_prompt
from pfp.latents.encode import encode_frames
from pfp.latents.frames import clip_frames
from pfp.latents.plan import ClipRates, PromptRates, embedding_bytes
from pfp.latents.preprocess import PreprocessSettings
from pfp.models.text import TextEncoder
from pfp.models.vae.latent_vae import LatentVAE
from pfp.runtime import Progress
from pfp.schema import ClipRecord

T = TypeVar("T")

# Sources differ by a factor of ten in how long they take to decode, less in how long per frame.
NUM_CLIPS_MEASURED: Final = 8
NUM_FRAMES_MEASURED: Final = 240
NUM_PROMPTS_MEASURED: Final = 16
NUM_WARM_UP_FRAMES: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timing:
    num_frames: int
    decode_seconds: float
    encode_seconds: float


def measure_clips(
    vae: LatentVAE,
    clips: Sequence[ClipRecord],
    settings: PreprocessSettings,
    guard: Guard,
    progress: Progress,
    *,
    with_hr: bool,
    max_held_bytes: int,
) -> ClipRates | None:
    """The rates over some of the clips, evenly spread; None without clips.

    ``max_held_bytes`` bounds what is held of a decoded clip. ``with_hr`` False encodes LR alone.
    Raises NothingUsable when none of them can be decoded.
    """
    if not clips:
        return None
    chosen = _spread(clips, NUM_CLIPS_MEASURED)
    timings: list[_Timing] = []
    progress.start("measuring", len(chosen), 0)
    with _stopping(progress):
        measure = partial(_time_clip, vae, settings=settings, guard=guard, with_hr=with_hr)
        # The first call starts the child and warms the network up.
        measure(chosen[0], max_frames=NUM_WARM_UP_FRAMES)
        for clip in chosen:
            timing = measure(clip, max_frames=_max_frames(settings, max_held_bytes))
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
    vae: LatentVAE,
    clip: ClipRecord,
    *,
    settings: PreprocessSettings,
    guard: Guard,
    max_frames: int,
    with_hr: bool,
) -> _Timing | None:
    """Decodes and encodes the beginning of a clip; None if it cannot be done."""
    settings = replace(settings, min_num_frames=1)
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
    except InvariantError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is costs the run one row, and a plan nothing
        return None  # the run itself will say what is wrong with it
    return _Timing(
        num_frames=len(frames),
        decode_seconds=decoded - started,
        encode_seconds=encoded - decoded,
    )


def _max_frames(settings: PreprocessSettings, max_held_bytes: int) -> int:
    """Enough to hide how long a clip takes to begin, but no more than may be held at once."""
    held = max_held_bytes // (settings.long_side * settings.short_side * 3)
    return min(NUM_FRAMES_MEASURED, max(NUM_WARM_UP_FRAMES, held))


def measure_prompts(encoder: TextEncoder, prompts: Sequence[str]) -> PromptRates:
    """The rates over some of the prompts, of which there is one at least."""
    chosen = _spread(prompts, NUM_PROMPTS_MEASURED)
    _encoded_bytes(encoder, chosen[0])
    started = time.perf_counter()
    sizes = [_encoded_bytes(encoder, prompt) for prompt in chosen]
    seconds = time.perf_counter() - started
    return PromptRates(
        num_prompts=len(sizes),
        encode_seconds=seconds / len(sizes),
        condition_bytes=sum(sizes) / len(sizes),
    )


def _encoded_bytes(encoder: TextEncoder, prompt: str) -> int:
    try:
        return embedding_bytes(encode_prompt(encoder, prompt).embedding_shape)
    except InvariantError:
        raise
    except Exception:  # noqa: BLE001 - as above
        return 0  # the run itself will say what is wrong with it


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` items, evenly spread over all of them."""
    count = min(count, len(items))
    return [items[(2 * number + 1) * len(items) // (2 * count)] for number in range(count)]
