"""How long a file says that its video is, which is not how long the file is.

A container's length is that of its longest stream: sound, subtitles and data outlast the video
stream. What the video stream says of itself counts; the container's length only where nothing else
explains it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av
import av.container
import av.stream
import av.video.stream

# Containers that give each stream its own length, by the file or (MPEG) by its last timestamps. In
# the others FFmpeg gives a stream that begins late the container's.
_TELL_STREAMS: Final = ("mov", "avi", "mpeg", "mxf", "ogg", "ivf", "dv")
_MEASURED: Final = ("mpeg", "mpegts")  # their length is read off the packets: no promise of more
_REACHED: Final = Fraction(49, 50)  # of the container's length: its end, but for rounding
_INDEX_EDGE: Final = 100_000  # samples that an edit list may hide at either end


class Reach:
    """How far the streams of a file go, from their packets as they stream by."""

    def __init__(self, stream: av.video.stream.VideoStream) -> None:
        self._index = stream.index
        # Of each stream, in its ticks: a fraction for each packet would cost too much.
        self._ends: dict[int, int] = {}
        self._time_bases: dict[int, Fraction] = {}

    def add(self, packet: av.Packet[Any]) -> None:
        """Look at a packet of any stream."""
        begin = packet.dts if packet.pts is None else packet.pts
        if begin is None or not packet.size:
            return
        index, end = packet.stream.index, begin + max(packet.duration or 0, 0)
        if end <= self._ends.get(index, 0):
            return
        if index not in self._time_bases and packet.time_base is not None:
            self._time_bases[index] = packet.time_base
        self._ends[index] = end

    @property
    def video_seconds(self) -> Fraction:
        """How far the video stream goes."""
        return self._end(is_video=True)

    @property
    def others_seconds(self) -> Fraction:
        """How far the longest other stream goes."""
        return self._end(is_video=False)

    def _end(self, *, is_video: bool) -> Fraction:
        ends = (
            self._ends[index] * time_base
            for index, time_base in self._time_bases.items()
            if (index == self._index) == is_video
        )
        return max(ends, default=Fraction(0))


def promised_seconds(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    reach: Reach | None = None,
) -> Fraction | None:
    """The length that the file promises for its video, in seconds; None when it does not tell.

    reach: of a file that was read to its end. With it the container's length counts as the video's
    when the file ends before that: then it is cut off, whatever was longest.
    """
    whole = _whole_seconds(container)
    own = _own_seconds(container, stream)
    if own is not None:
        return own
    if whole is None or container.format.name in _MEASURED:
        return None
    if reach is None:
        return whole if _is_alone(container, stream) else None
    if reach.others_seconds >= whole * _REACHED:
        return None
    # A length that was reached may be a time since zero, wherever the video began.
    is_reached = reach.video_seconds >= whole * _REACHED
    return whole - _start_seconds(stream) if is_reached else whole


def _whole_seconds(container: av.container.InputContainer) -> Fraction | None:
    microseconds = container.duration or 0
    return Fraction(microseconds, av.time_base) if microseconds > 0 else None


def _own_seconds(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Fraction | None:
    """What the file tells about the video stream itself."""
    if container.format.name.startswith("matroska"):
        return _tagged_seconds(container, stream)
    if not container.format.name.startswith(_TELL_STREAMS):
        return None
    if container.format.name == "avi":  # its duration FFmpeg scales by the size of a cut file
        return stream.frames * stream.time_base if stream.frames and stream.time_base else None
    if not stream.duration or stream.duration < 0 or not stream.time_base:
        return None
    told = stream.duration * stream.time_base
    indexed = _indexed_seconds(container, stream)
    return told if indexed is None else min(told, indexed)


def _tagged_seconds(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Fraction | None:
    """Matroska's tag DURATION, ``00:00:05.025000000``, also with a language behind its name."""
    texts = {key.upper(): text for key, text in stream.metadata.items()}
    named = sorted(key for key in texts if key == "DURATION" or key.startswith("DURATION-"))
    for key in named:
        try:
            hours, minutes, seconds = (Fraction(part) for part in texts[key].split(":"))
        except (ValueError, ZeroDivisionError):
            continue
        tagged = hours * 3600 + minutes * 60 + seconds
        # FFmpeg counts from zero, mkvmerge from the stream's first frame.
        if "Lavf" in {container.metadata.get(key, "")[:4] for key in ("encoder", "ENCODER")}:
            tagged -= _start_seconds(stream)
        whole = _whole_seconds(container)
        # A tag that was copied from a longer file is left over.
        is_stale = whole is not None and tagged * _REACHED > whole
        return tagged if tagged > 0 and not is_stale else None
    return None


def _indexed_seconds(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Fraction | None:
    """From the first to the last sample that MP4's tables list as shown, its own time included.

    The tables hold all samples, also of a file that is cut off; headers may copy another track's
    length. None for fragments, whose samples are listed as they are read.
    """
    entries = stream.index_entries
    if not container.format.name.startswith("mov") or stream.frames < 2 or not stream.time_base:
        return None
    edge = range(min(len(entries), _INDEX_EDGE))
    first = next((entries[i] for i in edge if not entries[i].is_discard), None)
    last = next((entries[-1 - i] for i in edge if not entries[-1 - i].is_discard), None)
    if first is None or last is None:
        return None
    span = (last.timestamp - first.timestamp) * stream.time_base
    rate = stream.average_rate
    return span + (1 / rate if rate else 0) if span > 0 else None


def _start_seconds(stream: av.video.stream.VideoStream) -> Fraction:
    return max(stream.start_time or 0, 0) * (stream.time_base or Fraction(1))


def _is_alone(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> bool:
    """Whether no other stream could be what is longest; cover images are not."""
    covers = av.stream.Disposition.attached_pic
    return all(
        other.index == stream.index or bool(other.disposition & covers)
        for other in container.streams
    )
