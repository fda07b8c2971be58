"""Which frames of a video and of its reference are compared with one another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pfp.io.media import Times

TOLERANCE_SECONDS: Final = 1e-3  # containers round to milliseconds, both of them
SAME_RATE: Final = 0.01  # 23.976 and 24 are one rate, 24 and 25 are two


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pair ``k`` is frame ``video[k]`` with frame ``reference[k]``; there are ``fps`` a second.

    Neither sequence falls.
    """

    video: Sequence[int]
    reference: Sequence[int]
    fps: float

    def __len__(self) -> int:
        """How many there are."""
        return len(self.video)

    def of_frame(self, index: int) -> range:
        """The pairs in which a frame of the video is."""
        if isinstance(self.video, range):  # the usual case, of any length
            return range(index, index + 1) if index in self.video else range(0)
        return range(bisect_left(self.video, index), bisect_right(self.video, index))

    def within(self, span: range) -> range:
        """The pairs whose frames of the video lie in a span of them."""
        return range(bisect_left(self.video, span.start), bisect_left(self.video, span.stop))


def frame_by_frame(num_frames: int, fps: float) -> Pairs:
    """Each frame with that of the same number."""
    numbers = range(num_frames)
    return Pairs(video=numbers, reference=numbers, fps=fps)


def by_time(video: Times, reference: Times) -> Pairs:
    """At the times of whichever has fewer frames a second: its frame, and the other's shown then.

    Times count from the first frame of each, and end where either ends.
    """
    is_video_slower = video.fps <= reference.fps
    slow, fast = (video, reference) if is_video_slower else (reference, video)
    tolerance = min(TOLERANCE_SECONDS, 0.25 / fast.fps)
    times_P = slow.begin_T[slow.begin_T < fast.end - tolerance]
    shown_P = np.searchsorted(fast.begin_T, times_P + tolerance, side="right") - 1
    own, others = range(len(times_P)), shown_P.tolist()
    return Pairs(
        video=own if is_video_slower else others,
        reference=others if is_video_slower else own,
        fps=slow.fps,
    )


def rates_differ(fps: float, other_fps: float) -> bool:
    """Whether frames of the same number are of other times."""
    return abs(fps - other_fps) > SAME_RATE * max(fps, other_fps)
