"""Videos drawn for tests: frames that carry their number, with sound or subtitles, or recoloured.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]

RATE: Final = 24
HEIGHT, WIDTH = 48, 64
PATCHES: Final = ((200, 40, 40), (40, 180, 60), (50, 60, 200), (200, 190, 60))
_BITS: Final = 12
_QUIET: Final = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12"}}
_SOUND_RATE: Final = 48_000


def numbered(number: int) -> Frames:
    """A frame ``(HEIGHT, WIDTH, 3)`` with its number in twelve squares, the lowest bit first."""
    bits = [(number >> place & 1) * 200 + 20 for place in range(_BITS)]
    squares_HW = np.array(bits, np.uint8).reshape(3, 4).repeat(HEIGHT // 3, 0).repeat(WIDTH // 4, 1)
    return np.repeat(squares_HW[:, :, None], 3, axis=2)


def number_in(frame_HWC: Frames) -> int:
    """The number that a frame carries."""
    middles = frame_HWC[HEIGHT // 6 :: HEIGHT // 3, WIDTH // 8 :: WIDTH // 4].mean(axis=2)
    return sum(int(level > 128) << place for place, level in enumerate(middles.ravel()[:_BITS]))


def patches(height: int = HEIGHT, width: int = WIDTH) -> Frames:
    """A frame of four upright patches, ``PATCHES`` from left to right."""
    row_WC = np.array(PATCHES, np.uint8).repeat(width // 4, axis=0)
    return np.broadcast_to(row_WC, (height, width, 3)).copy()


def shown_patches(frame_HWC: Frames) -> npt.NDArray[np.int64]:
    """The colours at the middles of the four patches, ``(4, 3)``."""
    height, width = frame_HWC.shape[:2]
    return frame_HWC[height // 2, width // 8 :: width // 4].astype(np.int64)


def video_packets(
    container: av.container.OutputContainer,
    frames: Iterable[Frames],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = RATE,
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    matrix: int = 5,
    full_range: bool = False,
    **context: Any,
) -> list[av.Packet[Any]]:
    """Encoded frames of a new stream; its bitstream tells nothing about colour.

    rate: frames a second. pts: in seconds / rate. matrix: how RGB becomes YUV, by swscale's
    numbers. context: of the codec.
    """
    drawn = list(frames)
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = drawn[0].shape[:2]
    stream.pix_fmt = pixel_format
    stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
    stream.codec_context.options = {**_QUIET.get(codec, {}), **(options or {})}
    for name, value in context.items():
        setattr(stream.codec_context, name, value)
    packets: list[av.Packet[Any]] = []
    with usual_scheduling():
        for index, frame_HWC in enumerate(drawn):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24").reformat(
                format=pixel_format, dst_colorspace=matrix, dst_color_range=2 if full_range else 1
            )
            frame.colorspace, frame.color_range = 2, context.get("color_range", 0)
            frame.pts, frame.time_base = index if pts is None else pts[index], Fraction(1, rate)
            packets += stream.encode(frame)
        packets += stream.encode(None)
    return packets


@contextmanager
def usual_scheduling() -> Iterator[None]:
    """Leave the calling thread as it was: run by root, SVT-AV1 raises it to real time, for good.

    A thread at real time that waits for another by spinning, as OpenBLAS does, keeps it from ever
    running, and with it whatever else wants that core.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def sound_packets(
    container: av.container.OutputContainer, seconds: float, codec: str = "aac"
) -> list[av.Packet[Any]]:
    """Silence of a new stream."""
    stream = container.add_stream(codec, rate=_SOUND_RATE)
    stream.layout = "mono"
    packets: list[av.Packet[Any]] = []
    size = 1152 if codec == "mp2" else 960 if codec == "libopus" else 1024
    is_float = codec == "aac"
    for start in range(0, round(seconds * _SOUND_RATE), size):
        silence = np.zeros((1, size), np.float32 if is_float else np.int16)
        frame = av.AudioFrame.from_ndarray(silence, "fltp" if is_float else "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, start, Fraction(1, _SOUND_RATE)
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def write(
    path: Path,
    frames: Iterable[Frames],
    *,
    container: str = "mp4",
    sound_seconds: float = 0,
    sound_codec: str = "aac",
    container_options: dict[str, str] | None = None,
    **video: Any,
) -> Path:
    """Write frames, and silence of that length if any, interleaved; see ``video_packets``."""
    with av.open(str(path), "w", format=container, container_options=container_options or {}) as to:
        packets = video_packets(to, frames, **video)
        if sound_seconds:
            packets += sound_packets(to, sound_seconds, sound_codec)
        for packet in sorted(packets, key=_decoded_at):
            to.mux(packet)
    return path


def copy(
    source: Path,
    path: Path,
    container: str,
    *,
    change: Callable[[av.Packet[Any]], None] = lambda _: None,
    container_options: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """The packets of a file's video in another container, which tells ``context`` about it."""
    with (
        av.open(str(source)) as one,
        av.open(str(path), "w", format=container, container_options=container_options or {}) as to,
    ):
        stream = to.add_stream_from_template(one.streams.video[0], opaque=True)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for packet in one.demux(one.streams.video[0]):
            if packet.size:
                change(packet)
                packet.stream = stream
                to.mux(packet)
    return path


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of MP4."""
    body = b"".join(content)
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def add_to_sample_entry(path: Path, entry: bytes, added: bytes) -> None:
    """Append a box to the sample entry of an MP4 file whose ``moov`` comes last."""
    content = bytearray(path.read_bytes())
    at = content.index(entry, content.index(b"stsd")) - 4
    outer = [at, *(content.rindex(kind, 0, at) - 4 for kind in _OUTER)]
    end = at + int.from_bytes(content[at : at + 4], "big")
    content[end:end] = added
    for start in outer:
        size = int.from_bytes(content[start : start + 4], "big") + len(added)
        content[start : start + 4] = size.to_bytes(4, "big")
    path.write_bytes(content)


_OUTER: Final = (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov")


def change(path: Path, before: bytes, after: bytes) -> None:
    """Replace bytes of a file, which must be there, by as many others."""
    content = path.read_bytes()
    assert before in content
    assert len(before) == len(after)
    path.write_bytes(content.replace(before, after))


def cut(path: Path, fraction: float) -> None:
    """Keep only the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * fraction)])


def _decoded_at(packet: av.Packet[Any]) -> Fraction:
    stamp = packet.pts if packet.dts is None else packet.dts
    return (stamp or 0) * (packet.time_base or Fraction(1))
