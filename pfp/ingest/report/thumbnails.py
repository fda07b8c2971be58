"""One small frame of each example, decoded in a child process that may be killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.report.examples import Example, Video
from pfp.io.media import Guard, read_frames
from pfp.io.media.source import is_local, local_path
from pfp.pages.images import MAX_SIDE
from pfp.redaction import safe_message

_TIMEOUT_SECONDS: Final = 15.0  # for one frame
_MEMORY_BYTES: Final = 2 << 30
_TOTAL_SECONDS: Final = 300.0  # for all of a page
_MAX_LENGTH: Final = 140  # of what is said in the place of a frame

Frame = npt.NDArray[np.uint8]
Thumbnail = Frame | str  # or why there is none


class Thumbnails:
    """Frames for a page, as long as there is time. A file costs its own frame and no other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._guard = Guard(_TIMEOUT_SECONDS, _MEMORY_BYTES)
        self._clock = clock
        self._end = clock() + _TOTAL_SECONDS

    def close(self) -> None:
        """End the child."""
        self._guard.close()

    def of(self, example: Example, video: Video | None) -> Thumbnail:
        """The first frame that is shown in the clip, or why there is none, in a few words."""
        if video is None or not (video.measured.width and video.measured.height):
            return "no frame was decoded"
        if is_local(example.video_uri) and not Path(local_path(example.video_uri)).exists():
            return "the file is gone"
        if self._clock() > self._end:
            return "not looked at: the time for pictures is up"
        width, height = _size(video.measured.width, video.measured.height)
        try:
            frame_HWC: Frame = self._guard.call(
                first_frame, example.video_uri, example.start_seconds, height, width
            )
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file is its own matter
            what = safe_message(str(error)) or type(error).__name__
            return what if len(what) <= _MAX_LENGTH else f"{what[:_MAX_LENGTH]} ..."
        return frame_HWC


def first_frame(video_uri: str, start_seconds: float, height: int, width: int) -> Frame:
    """The frame, ``(height, width, 3)``, that is shown so long after the first."""
    frames_THWC = read_frames(
        video_uri, fps=1.0, height=height, width=width, start_seconds=start_seconds, num_frames=1
    )
    frame_HWC: Frame = frames_THWC[0]
    return frame_HWC


def _size(width: int, height: int) -> tuple[int, int]:
    """The longer side is as pages show it, and the shorter at least a pixel."""
    factor = min(1.0, MAX_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))
