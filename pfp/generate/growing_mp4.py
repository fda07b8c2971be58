"""An MP4 file that is playable while it grows: one fragment a section, appended in place.

Each section is an H.264 file of its own, which begins with a keyframe and refers to nothing outside
it. Its packets are copied, not encoded again, into a fragment (``moof`` and ``mdat``) that is
appended to the video. Remuxing everything after each section would also do, but then an hour
of video would be copied thousands of times. A reader that comes while a fragment is written finds
all the fragments before it. When the video is complete, the fragments are joined into an ordinary
MP4 with its index at the front, which every player can seek in.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import av

from pfp.errors import InvariantError
from pfp.io.filesystems import explain_write_errors

_FRAGMENT_FLAGS: Final = (
    "+empty_moov+default_base_moof+frag_custom+frag_discont+negative_cts_offsets+skip_trailer"
)
_BITEXACT: Final = {"fflags": "+bitexact"}  # no date and no version inside: equal bytes


class Segment(NamedTuple):
    """A section's own file, and the number of its first frame in the whole video."""

    path: Path
    first_frame: int


class GrowingMp4:
    """``begin``, ``append`` for each further section, ``finish``."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._frame_seconds = 1 / Fraction(fps).limit_denominator(1_000_000)
        self._segments: list[Segment] = []

    def begin(self, segments: Sequence[Segment]) -> None:
        """Replaces the file by one of these sections; with none, there is no file yet."""
        self._segments = []
        if segments:
            self._replace(b"".join(map(self._next_fragment, segments)))

    def append(self, segment: Segment) -> None:
        """Makes the file longer by a section."""
        content = self._next_fragment(segment)
        if len(self._segments) == 1:
            self._replace(content)
            return
        size_bytes = self._path.stat().st_size
        with explain_write_errors(str(self._path)):
            try:
                with self._path.open("ab", buffering=0) as file:
                    _write_all(file, content)
            except OSError:
                os.truncate(self._path, size_bytes)  # half a fragment would end the file for good
                raise

    def finish(self) -> None:
        """Replaces the file by an ordinary MP4 of all sections."""
        aside = self._aside()
        with explain_write_errors(str(self._path)):
            try:
                options = {"movflags": "+faststart", **_BITEXACT}
                self._mux(str(aside), self._segments, options)
                with aside.open("rb") as file:
                    os.fsync(file.fileno())
                aside.replace(self._path)
            finally:
                aside.unlink(missing_ok=True)

    def _next_fragment(self, segment: Segment) -> bytes:
        """The bytes that the file grows by; those of the first section begin with its header."""
        self._segments.append(segment)
        number = len(self._segments)
        options = {"movflags": _FRAGMENT_FLAGS, "fragment_index": str(number), **_BITEXACT}
        sink = io.BytesIO()
        self._mux(sink, [segment], options)
        content = sink.getvalue()
        return content if number == 1 else content[_box_offset(content, b"moof") :]

    def _mux(self, sink: Any, segments: Sequence[Segment], options: dict[str, str]) -> None:
        with av.open(sink, "w", format="mp4", container_options=options) as out:
            stream: Any = None
            last_dts: int | None = None
            for segment in segments:
                with av.open(str(segment.path)) as source:
                    given = source.streams.video[0]
                    stream = stream or out.add_stream_from_template(given)
                    assert given.time_base
                    shift = int(segment.first_frame * self._frame_seconds / given.time_base)
                    for packet in source.demux(given):
                        if packet.dts is None or packet.pts is None:  # the end
                            continue
                        packet.pts += shift
                        # A section of a frame or two is decoded without the delay of longer ones,
                        # so the next one's first packets would have to be decoded before it.
                        early = packet.dts + shift
                        packet.dts = early if last_dts is None else max(early, last_dts + 1)
                        last_dts = packet.dts
                        packet.stream = stream
                        out.mux(packet)

    def _replace(self, content: bytes) -> None:
        aside = self._aside()
        with explain_write_errors(str(self._path)):
            try:
                with aside.open("wb", buffering=0) as file:
                    _write_all(file, content)
                aside.replace(self._path)
            finally:
                aside.unlink(missing_ok=True)

    def _aside(self) -> Path:
        return self._path.with_name(f".{self._path.name}.{os.getpid()}.part")


def _write_all(file: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _box_offset(content: bytes, kind: bytes) -> int:
    """Where the first box of a kind begins among the file's outermost ones."""
    offset = 0
    while offset + 8 <= len(content):
        size, found = struct.unpack_from(">I4s", content, offset)
        if found == kind:
            return offset
        offset += max(size, 8)
    raise InvariantError(f"an MP4 fragment of {len(content)} bytes has no {kind.decode()} box")
