"""A request about a span of a video as one about frames, for models that take no video.

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pfp.errors import PermanentError
from pfp.vlm.frames import MAX_PIXELS, FrameImage, Frames, size_within
from pfp.vlm.request import MediaResolution, Request, Sampling, VideoSpan

if TYPE_CHECKING:
    from pfp.io.media import Guard

# Change FRAMES_VERSION in request.py with these: kept answers are about the frames they make.
MAX_FRAMES: Final = 256  # of one request; a longer span is shown at a lower rate
# Pixels of a frame at most: as many patches of 28 x 28 as Gemini 3 and 2.5 take tokens for one.
PIXELS: Final[Mapping[MediaResolution | None, int]] = {
    "low": 70 * 28 * 28,
    "medium": 258 * 28 * 28,
    "high": MAX_PIXELS,
    None: MAX_PIXELS,
}


class FrameReader:
    """Takes frames out of videos; with ``timeout_seconds`` in a child process that can be killed.

    Safe to use from several threads: one video is decoded at a time.
    """

    def __init__(self, *, timeout_seconds: float | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        self._guard: Guard | None = None
        self._lock = threading.Lock()  # a guard serves one thread at a time

    def frames_request(self, request: Request) -> Request:
        """The same request about frames, whose times are told before the prompt.

        Raises PermanentError for a video that cannot be decoded.
        """
        video = request.media
        assert isinstance(video, VideoSpan)
        if self._timeout_seconds is None:
            read = read_frames(video, request.sampling)
        else:
            read = self._read_guarded(video, request.sampling, self._timeout_seconds)
        frames = Frames(*read)
        return replace(request, media=frames, prompt=f"{_introduction(frames)}\n\n{request.prompt}")

    def close(self) -> None:
        """End the child process, if there is one."""
        with self._lock:
            if self._guard is not None:
                self._guard.close()

    def _read_guarded(
        self, video: VideoSpan, sampling: Sampling, timeout_seconds: float
    ) -> tuple[list[FrameImage], list[float]]:
        from pfp.io.media import Guard  # brings the decoders along, which few clients need

        with self._lock:
            self._guard = self._guard or Guard(timeout_seconds)
            return self._guard.call(read_frames, video, sampling)


def read_frames(video: VideoSpan, sampling: Sampling) -> tuple[list[FrameImage], list[float]]:
    """Frames (uint8 RGB, HWC) at ``sampling.fps``, and their times on the span's own clock.

    At most 256, of as many pixels as ``sampling.media_resolution`` allows.
    """
    from pfp.io.media import iter_frames, probe, shown_name

    fps = min(sampling.fps, MAX_FRAMES / video.duration_seconds)
    stored = probe(video.path)
    height, width = size_within(stored.height, stored.width, PIXELS[sampling.media_resolution])
    frames_HWC = list(
        iter_frames(
            video.path,
            fps=fps,
            height=height,
            width=width,
            start_seconds=video.start_seconds,
            end_seconds=video.end_seconds,
        )
    )[:MAX_FRAMES]
    if not frames_HWC:
        raise PermanentError(
            f"{shown_name(video.path)} has no frame in [{video.start_seconds}, "
            f"{video.end_seconds}) s"
        )
    return frames_HWC, [index / fps for index in range(len(frames_HWC))]


def _introduction(frames: Frames) -> str:
    times = ", ".join(f"{seconds:.2f} s" for seconds in frames.timestamps_seconds)
    return f"The video is shown as {len(frames)} frames, taken at these times: {times}."
