"""Open a video file: look at its content, choose the stream, refuse what must not be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import av
import av.container
import av.stream
import av.video.stream
from av.video.codeccontext import VideoCodecContext

from pfp.errors import PermanentError, Rejected
from pfp.io.media.aperture import hidden_fraction
from pfp.io.media.boxes import Blocks
from pfp.io.media.colour import Colourist, ContainerColour
from pfp.io.media.dolby_vision import base_transfer
from pfp.io.media.sniff import SNIFF_BYTES, is_media, is_partial_download, sniff
from pfp.io.media.source import Source, open_binary, shown_name

# 8K with some room (8192 x 4320): a frame above it costs over 50 MB decoded, and a 20 KB file can
# ask for it.
MAX_PIXELS: Final = 8192 * 4320

# Anamorphic film stores pixels up to twice as wide as high, old video formats somewhat narrower.
# Beyond this the frame as shown is one that nobody meant, and no memory may hold it.
MAX_SAMPLE_ASPECT: Final = 16

# What FFmpeg may take a file for. Left out on purpose: playlists (hls, dash, concat), which open
# other files; text renderers (tty) and image readers, which make a video out of anything.
_FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,m4v,avi,flv,live_flv,asf,ogg,"
    "h264,hevc,vvc,ivf,obu,av1,mxf,nut,dv,rm,wtv,yuv4mpegpipe,vc1,nsv,gxf,h263,h261,cavsvideo,"
    "wav,mp3,aac,flac"
)

# The stream's header is decoded already while the file is opened: the limits hold from there on.
_OPTIONS: Final = {
    "format_whitelist": _FORMATS,
    "protocol_whitelist": "file",
    "max_pixels": str(MAX_PIXELS),
    "threads": "1",
}


class RejectedVideo(Rejected):
    """The file was understood and it is not a video that pfp decodes.

    ``reason`` is ``empty_file``, ``not_a_video``, ``still_image``, ``no_video_stream``,
    ``no_frames``, ``pixels_above_max`` or ``sample_aspect_out_of_range``.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVideo:
    """An open file, its chosen stream, and who completes the colour of that stream's frames."""

    name: str
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    colourist: Colourist
    hidden_fraction: float  # of the coded area, outside the clean aperture, [0, 1]


@contextmanager
def open_video(source: Source) -> Iterator[OpenVideo]:
    """The open container and its chosen video stream, set to decode on one thread.

    The container's format is told from the content alone; the file's name plays no part. Raises
    ``RejectedVideo``, ``PermanentError`` for bytes that FFmpeg cannot read, and ``InputError``.
    """
    name = shown_name(source)
    with open_binary(source) as file:
        head = file.read(SNIFF_BYTES)
        found = sniff(head)
        if found is not None:
            reason, what = found
            raise RejectedVideo(reason, f"{name} is {_no_video(what)}")
        file.seek(0)
        try:
            container = av.open(
                file,
                "r",
                options=_OPTIONS,
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            unknown = _unknown_kind(name, head)
            if unknown is not None:
                raise RejectedVideo("not_a_video", f"{name} is {unknown}") from error
            message = f"{name} cannot be read as a video ({_reason(error)}); the file is damaged"
            raise PermanentError(message) from error
        with container:
            stream = choose_stream(container, name)
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            context = stream.codec_context
            with _read_apart(file) as blocks:
                dolby_vision = base_transfer(blocks, stream.id, _tag_of(context))
                hidden = hidden_fraction(blocks, container, stream)
            told = ContainerColour.of(context, dolby_vision)
            yield OpenVideo(
                name=name,
                container=container,
                stream=stream,
                colourist=Colourist(context.codec.canonical_name, told),
                hidden_fraction=hidden,
            )


@contextmanager
def _read_apart(file: BinaryIO) -> Iterator[Blocks]:
    """Read what PyAV does not pass on; the file stays where FFmpeg left it."""
    position = file.tell()
    try:
        yield Blocks(file)
    finally:
        file.seek(position)


def choose_stream(container: av.container.InputContainer, name: str) -> av.video.stream.VideoStream:
    """The video stream with the most pixels, the first of equals; cover art does not count."""
    streams = [
        stream
        for stream in container.streams.video
        # A stream of an unknown codec has none, whatever PyAV's stubs say.
        if cast("object", stream.codec_context) is not None
        and not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        message = f"{name} has no video stream; give a file that has one"
        raise RejectedVideo("no_video_stream", message)
    chosen = max(streams, key=lambda stream: (stream.width * stream.height, -stream.index))
    if chosen.width * chosen.height > MAX_PIXELS:
        message = (
            f"{name} has {chosen.width}x{chosen.height} pixels per frame, more than the "
            f"{MAX_PIXELS} that are decoded; scale it down first"
        )
        raise RejectedVideo("pixels_above_max", message)
    _check_shown(chosen, name)
    return chosen


def _no_video(what: str) -> str:
    """``an HTML page, not a video``, or ``no video but a tar archive: unpack it``."""
    return f"no video but {what}" if ": " in what else f"{what}, not a video"


def _unknown_kind(name: str, head: bytes) -> str | None:
    """What a file is that FFmpeg does not read, if it is no damaged video."""
    if is_partial_download(name):
        return "a part of a download: let it finish, or fetch the file again"
    if not is_media(head):
        return "in no format that pfp knows, so it is not a video, or its beginning is lost"
    return None


def _check_shown(stream: av.video.stream.VideoStream, name: str) -> None:
    """Refuse pixels of a shape, or a frame in square pixels of a size, that is not to be shown.

    A file of 5 KB can ask for a frame two thousand million times as wide as it is stored.
    """
    aspect = stream.sample_aspect_ratio or 1
    if not 1 <= aspect * MAX_SAMPLE_ASPECT <= MAX_SAMPLE_ASPECT**2:
        message = (
            f"{name} says that its pixels are {aspect} times as wide as high, not within "
            f"1/{MAX_SAMPLE_ASPECT} to {MAX_SAMPLE_ASPECT}; correct its sample aspect ratio"
        )
        raise RejectedVideo("sample_aspect_out_of_range", message)
    num_pixels = round(stream.width * aspect) * stream.height
    if num_pixels > MAX_PIXELS:
        message = (
            f"{name} is shown with {num_pixels} square pixels per frame, more than the "
            f"{MAX_PIXELS} that are decoded; scale it down first"
        )
        raise RejectedVideo("pixels_above_max", message)


def _tag_of(context: VideoCodecContext) -> str:
    """The codec's tag; empty where it is a number that PyAV cannot say (VC-1 in MPEG-TS, 0xEA)."""
    try:
        return context.codec_tag
    except UnicodeDecodeError:
        return ""


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
