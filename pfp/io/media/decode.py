"""The one decoding loop: packets in, frames out, damage reported instead of hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import av

from pfp.errors import PermanentError
from pfp.io.media.alpha import alpha_decoder
from pfp.io.media.clock import HEAD_PACKETS, Clock
from pfp.io.media.container import OpenVideo
from pfp.io.media.length import Reach

# Part of the name of what decoded a score's frames: raise it when the same file gives other frames.
READER_VERSION: Final = 2


def decode_frames(
    video: OpenVideo,
    on_damage: Callable[[str], None],
    *,
    clock: Clock | None = None,
    reach: Reach | None = None,
) -> Iterator[av.VideoFrame]:
    """Every frame that the decoder gives, in order of display, with the colour that it is shown in.

    FFmpeg conceals damage: it skips packets, or paints over what is missing. Each packet that it
    refuses and each frame that it marks as corrupt is told to ``on_damage``, which may raise; the
    frame itself is yielded after that. A ``clock`` sees the first packets, ``reach`` all of the
    file's.
    """
    decoder = alpha_decoder(video.stream) or video.stream.codec_context
    packets = _packets(video, on_damage, reach)
    if clock is not None and clock.wants_head:
        packets = _shown_to(clock, packets)
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.error.EOFError:
            return
        except MemoryError:
            raise  # it says nothing about the file
        except av.error.FFmpegError as error:
            on_damage(f"a packet cannot be decoded ({error.strerror})")
            continue
        for frame in frames:
            if frame.is_corrupt:
                on_damage("a frame is corrupt")
            video.colourist.complete(frame)
            yield frame


def _shown_to(clock: Clock, packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    """The packets, the first of them looked at by the clock; damage is told where it lies."""
    head: list[av.Packet[Any]] = []
    refusal: PermanentError | None = None
    try:
        head.extend(islice(packets, HEAD_PACKETS))
    except PermanentError as error:
        refusal = error
    clock.look_at(head)
    yield from head
    if refusal is not None:
        raise refusal
    yield from packets


def _packets(
    video: OpenVideo, on_damage: Callable[[str], None], reach: Reach | None
) -> Iterator[av.Packet[Any]]:
    """The stream's packets; damage of the container ends them."""
    wanted = video.stream.index
    streams = (video.stream,) if reach is None else tuple(video.container.streams)
    packets: Iterator[av.Packet[Any]] = video.container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            on_damage(f"the container is damaged ({error.strerror})")
            packet = None
        if packet is None:
            return
        if reach is not None:
            reach.add(packet)
        if packet.stream.index == wanted:  # the last packet, which is empty, has no index
            yield packet
