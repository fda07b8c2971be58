"""When a video counts as moving: VBench's dynamic degree as arithmetic on flow magnitudes.

Huang et al., VBench, CVPR 2024, and its published code: about 8 frames a second, the mean of the
longest 5 % of each pair's flow, a threshold that grows with the frame, a quarter of the frames.

Axes: N pairs, H height, W width, 2 (x, y).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLES_PER_SECOND: Final = 8
TOP_SHARE: Final = 0.05
THRESHOLD_PX: Final = 6.0  # at a shorter side of THRESHOLD_SIDE_PX
THRESHOLD_SIDE_PX: Final = 256.0


def sampling_interval(fps: float) -> int:
    """Every how many frames VBench takes one, >= 1; Python rounds halves to the even number."""
    return max(1, round(fps / SAMPLES_PER_SECOND))


def top_mean_px(flow_2HW: npt.NDArray[np.float32]) -> float:
    """The mean length of the longest 5 % of a flow's vectors, in pixels.

    Sums in float32 from the longest on, as the reference does, so that numbers are its own.

    Raises:
        ValueError: the flow has fewer than 20 vectors, of which 5 % are none.
    """
    length_N = np.sqrt(np.square(flow_2HW[0]) + np.square(flow_2HW[1])).ravel()
    num_top = int(length_N.size * TOP_SHARE)
    if not num_top:
        raise ValueError(f"a flow of {length_N.size} vectors has no 5 %; give at least 20")
    longest_N = np.partition(length_N, length_N.size - num_top)[-num_top:]
    return float(np.mean(-np.sort(-longest_N)))


def threshold_px(height: int, width: int) -> float:
    """The magnitude above which VBench calls a pair moving: 11.25 px at 480p, 16.875 at 720p."""
    return THRESHOLD_PX * (min(height, width) / THRESHOLD_SIDE_PX)


def intervals_of_reference(interval: int, fps: float) -> float:
    """How many eighths of a second lie between sampled frames; 1.0 at 8, 16 and 24 fps.

    VBench's threshold knows nothing of it: at 12 fps samples lie 1.33 times as far apart.
    """
    return interval / fps * SAMPLES_PER_SECOND


def normalised_px(magnitude_px: float, *, height: int, width: int, intervals: float) -> float:
    """A magnitude in px per 1/8 s of a frame whose shorter side is 256 px: VBench asks for 6.

    ``intervals``: the time between the two frames in eighths of a second.
    """
    return magnitude_px * (THRESHOLD_SIDE_PX / min(height, width)) / intervals


def num_needed(num_frames: int) -> int:
    """How many pairs must move: a quarter of the sampled frames, halves to the even number.

    Of two frames that is 0, so that VBench finds motion in any video of two samples.
    """
    return round(4 * (num_frames / 16.0))


def is_moving(magnitudes_px: Sequence[float], *, threshold: float, needed: int) -> bool:
    """Whether enough pairs exceed the threshold; like VBench, asks only once a pair was seen."""
    num_above = 0
    for magnitude in magnitudes_px:
        num_above += magnitude > threshold
        if num_above >= needed:
            return True
    return False
