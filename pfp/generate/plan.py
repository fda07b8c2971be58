"""Which sections a storyboard's video is made of, and each one's prompt. No torch here."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from pfp.errors import ConfigError
from pfp.schema.windows import TEMPORAL_STRIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSection:
    """Frames ``[first_frame, first_frame + num_frames)`` of the video, sampled at once.

    ``num_latents`` may stand for up to three frames more, which the end of the video cuts off.
    """

    number: int
    first_frame: int
    num_frames: int
    num_latents: int
    start_seconds: float
    prompt: str
    seed: int


def plan_sections(
    shots: Sequence[Mapping[str, Any]],
    *,
    num_frames: int,
    fps: float,
    section_latents: int,
    token_latents: int = 1,
    has_history: bool,
    seed: int,
) -> list[PlannedSection]:
    """Sections of ``section_latents`` latent frames, fewer at the end of a shot and of the video.

    ``shots`` are a storyboard's, in order, with times from the video's first frame; a section is
    made from the prompt that holds when it begins, alone (section 4.1). It ends when that shot
    does, at the next multiple of ``token_latents``: with sections as long as may be, each shot is
    one, which is what section 4.5 recommends for a memory without a sliding window. ``has_history``
    says that there is a history; without one the first section has one latent more, which is the
    video's first frame.
    """
    if num_frames < 1:
        raise ConfigError(f"a video of {num_frames} frames is none; give more seconds or a rate")
    if section_latents < 1:
        raise ConfigError(f"section_latents is {section_latents}; give 1 or more")
    rate = _exact(fps)
    starts = [_first_frame(shot["start_seconds"], rate) for shot in shots]
    token_frames = token_latents * TEMPORAL_STRIDE
    sections: list[PlannedSection] = []
    first = 0
    while first < num_frames:
        extra = int(not has_history and first == 0)  # a latent that stands for one frame
        size = min(section_latents * TEMPORAL_STRIDE + extra, num_frames - first)
        following = bisect_right(starts, first)  # the number of the next shot
        if following < len(starts):
            num_tokens = max(1, -(-(starts[following] - first - extra) // token_frames))
            size = min(size, extra + num_tokens * token_frames)
        sections.append(
            PlannedSection(
                number=len(sections),
                first_frame=first,
                num_frames=size,
                num_latents=extra - (extra - size) // TEMPORAL_STRIDE,
                start_seconds=float(first / rate),
                prompt=str(shots[max(0, following - 1)]["caption"]),
                seed=section_seed(seed, len(sections)),
            )
        )
        first += size
    return sections


def find_lost_shot(
    shots: Sequence[Mapping[str, Any]],
    section_frames: Sequence[int],
    *,
    num_frames: int,
    fps: float,
    is_cut: bool,
) -> int | None:
    """The number of the first shot that passes without its prompt, or None.

    ``section_frames`` are the frames with which sections begin; each is made from the prompt of the
    last shot that has begun (the first shot's before that). With ``is_cut`` the video is shorter
    than the storyboard, and what its end cuts off, or leaves out, is not missed.
    """
    rate = _exact(fps)
    starts = [_first_frame(shot["start_seconds"], rate) for shot in shots]
    shown: dict[int, tuple[int, int]] = {}  # by shot: the frames that are made from its prompt
    for begin, end in pairwise([*section_frames, num_frames]):
        holder = max(0, bisect_right(starts, begin) - 1)
        shown[holder] = (shown.get(holder, (begin, end))[0], end)
    for number, (shot, start) in enumerate(zip(shots, starts, strict=True)):
        stop = _first_frame(shot["end_seconds"], rate)
        begin, end = shown.get(number, (0, 0))
        is_missed = not is_cut or stop <= num_frames
        if is_missed and not max(begin, start) < min(end, stop):
            return number
    return None


def _first_frame(seconds: float, rate: Fraction) -> int:
    """The first frame at or after a time."""
    return math.ceil(_exact(seconds) * rate)


def _exact(value: float) -> Fraction:
    """The simplest fraction near a rate or a time, as ``pfp.io.media`` takes them."""
    return Fraction(value).limit_denominator(1_000_000)


def section_seed(seed: int, number: int) -> int:
    """The seed of a section's noise, which no other section of any seed's video shares."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # torch takes 64 bits with a sign
