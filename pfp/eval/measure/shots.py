"""The shots of a video as spans of frames: those of its storyboard, or those between its cuts."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import accumulate, pairwise
from operator import itemgetter

from pfp.errors import Unmeasurable
from pfp.eval.measure.protocol import Protocol
from pfp.eval.measure.streams import frames_of
from pfp.measures.cuts import Step, find_cuts, layout_of, step_between
from pfp.schema import Shot


def storyboard_shots(shots: Sequence[Shot], num_frames: int, fps: float) -> list[range]:
    """The frames that begin within each shot of a storyboard; gaps between shots are no shot.

    Raises:
        Unmeasurable: there is no shot, or one of which the video shows nothing.
    """
    if not shots:
        raise Unmeasurable(
            "no_storyboard",
            "there is no storyboard; give one in the manifest, or use --cuts none",
        )
    spans = [_span(shot, num_frames, fps) for shot in shots]
    for number, (shot, span) in enumerate(zip(shots, spans, strict=True)):
        if not span:
            raise Unmeasurable(
                "shot_without_frames",
                f"shot {number} of the storyboard, {shot.start_seconds:g} to {shot.end_seconds:g} "
                f"s, has no frame in {num_frames} frames at {fps:g} fps; mend the storyboard",
            )
    return spans


def detected_shots(source: str, protocol: Protocol) -> list[range]:
    """The spans between the hard cuts of a video, which are found by one more decode.

    The last one ends with the last frame, so that the number of frames is sure. Memory holds two
    numbers a frame.

    Raises what decoding the video to its end does.
    """
    steps: list[Step] = []
    num_frames, last_RKC = 0, None
    with closing(frames_of(source, protocol)) as frames:
        for frame_HWC in frames:
            layout_RKC = layout_of(frame_HWC)
            if last_RKC is not None:
                steps.append(step_between(last_RKC, layout_RKC))
            num_frames, last_RKC = num_frames + 1, layout_RKC
    edges = [0, *(index + 1 for index in find_cuts(steps)), num_frames]
    return [range(start, stop) for start, stop in pairwise(edges)]


class ShotsByTime:
    """Shots that are looked up by time, without a look at each of them."""

    def __init__(self, shots: Sequence[Shot]) -> None:
        """In any order; they may overlap."""
        self._shots = sorted(enumerate(shots), key=lambda numbered: numbered[1].start_seconds)
        self._starts = [shot.start_seconds for _, shot in self._shots]
        # Where the latest end so far lies at or before a time, no shot of these reaches it.
        self._last_ends = list(accumulate((shot.end_seconds for _, shot in self._shots), max))

    def near(self, start_seconds: float, end_seconds: float) -> list[Shot]:
        """Those that touch a span of time, and perhaps others, in the order that they came in."""
        first = bisect_left(self._last_ends, start_seconds)
        stop = bisect_right(self._starts, end_seconds)
        return [shot for _, shot in sorted(self._shots[first:stop], key=itemgetter(0))]


def shots_within(
    shots: Sequence[Shot], clip: range, fps: float, *, only_with_frames: bool
) -> tuple[Shot, ...]:
    """The shots that a clip shows, with times from its start.

    only_with_frames: leave out shots that touch the clip between two of its frames.
    """
    start_seconds, length = clip.start / fps, clip.stop / fps - clip.start / fps
    moved = [
        replace(
            shot,
            start_seconds=max(0.0, shot.start_seconds - start_seconds),
            end_seconds=min(length, shot.end_seconds - start_seconds),
        )
        for shot in shots
    ]
    return tuple(
        shot
        for shot in moved
        if shot.end_seconds > shot.start_seconds
        and (not only_with_frames or _span(shot, len(clip), fps))
    )


def _span(shot: Shot, num_frames: int, fps: float) -> range:
    start, stop = (
        math.ceil(seconds * fps - 1e-6) for seconds in (shot.start_seconds, shot.end_seconds)
    )
    return range(start, max(start, min(stop, num_frames)))
