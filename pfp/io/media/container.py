"""Open a video file: look at its content, choose the stream, refuse what must not be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import av
import av.container
import av.stream
import av.video.stream

from pfp.errors import PermanentError, Rejected
from pfp.io.media.sniff import SNIFF_BYTES, is_media, is_partial_download, sniff
from pfp.io.media.source import Source, open_binary, shown_name

# 8K with some room (8192 x 4320): a frame above it costs over 50 MB decoded, and a 20 KB file can
# ask for it.
MAX_PIXELS: Final = 8192 * 4320

# What FFmpeg may take a file for. Left out on purpose: playlists (hls, dash, concat), which open
# other files; text renderers (tty) and picture readers, which make a video out of anything.
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
    ``no_frames`` or ``pixels_above_max``.
    """


@contextmanager
def open_video(
    source: Source,
) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
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
            yield container, stream


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
        message = f"{name} has no video stream; give a file with moving pictures"
        raise RejectedVideo("no_video_stream", message)
    chosen = max(streams, key=lambda stream: (stream.width * stream.height, -stream.index))
    if chosen.width * chosen.height > MAX_PIXELS:
        message = (
            f"{name} has {chosen.width}x{chosen.height} pixels per frame, more than the "
            f"{MAX_PIXELS} that are decoded; scale it down first"
        )
        raise RejectedVideo("pixels_above_max", message)
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


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
