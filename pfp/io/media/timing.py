"""When the frames of a video are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pfp.errors import PermanentError
from pfp.io.media.clock import Clock
from pfp.io.media.container import open_video
from pfp.io.media.decode import decode_frames
from pfp.io.media.extent import Extent
from pfp.io.media.source import Source, shown_name
from pfp.io.media.stored import is_image, refuse_damage


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds from a video's first frame on, float64: when each frame begins, when the last ends.

    ``begin_T`` never falls.
    """

    begin_T: npt.NDArray[np.float64]
    end: float

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        return len(self.begin_T) / self.end


def frame_times(source: Source, extent: Extent) -> Times:
    """The times of a source's stored frames, ``extent.num_frames`` of them where that is sure.

    extent: what ``extent_of`` said of it; images have its rate.

    By the packets' timestamps, and by a decode of all frames where those are not as many as frames.

    Raises ``PermanentError`` for timestamps that jump back and for what cannot be decoded.
    """
    if is_image(source):
        return _even(extent.num_frames, extent.fps)
    times = _by_packets(source, extent) if extent.is_agreed else None
    return times or _by_frames(source, extent.fps)


def _even(num_frames: int, fps: float) -> Times:
    return Times(begin_T=np.arange(num_frames) / fps, end=num_frames / fps)


def _by_packets(source: Source, extent: Extent) -> Times | None:
    """None unless each frame has one packet with a timestamp that the container wrote."""
    with open_video(source) as video:
        base = video.stream.time_base
        if base is None or not Clock(video).may_seek:
            return None
        stamps = [
            (packet.pts, packet.duration or 0)
            for packet in video.container.demux(video.stream)
            if packet.size and not packet.is_discard
        ]
    told = [(pts, duration) for pts, duration in stamps if pts is not None]
    if not len(told) == len(stamps) == extent.num_frames:
        return None
    begin_T = np.array(sorted(pts for pts, _ in told), np.float64) * float(base)
    shown = float(max(told)[1] * base) or 1 / extent.fps
    return Times(begin_T=begin_T - begin_T[0], end=float(begin_T[-1] - begin_T[0]) + shown)


def _by_frames(source: Source, fps: float) -> Times:
    name = shown_name(source)
    begins: list[float] = []
    shown = 1 / fps
    with open_video(source) as video:
        clock = Clock(video)
        for frame in decode_frames(video, refuse_damage(name), clock=clock):
            begins.append(float(clock.time_of(frame)))
            shown = float(clock.duration_of(frame)) or shown
    begin_T = np.array(begins, np.float64)
    if not begins or (np.diff(begin_T) < 0).any():
        message = f"{name} has no frames in order of time to be paired by; remux it"
        raise PermanentError(message)
    return Times(begin_T=begin_T, end=float(begin_T[-1]) + shown)
