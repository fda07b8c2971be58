"""The frames of a video as they are stored, one by one, and how many there are.

Axes: T time, H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import av
import av.container
import av.video.stream
import numpy as np
import numpy.typing as npt

from pfp.errors import PermanentError
from pfp.io.media.animation import extent_of_image, is_animated, iter_image
from pfp.io.media.clock import mean_rate
from pfp.io.media.container import RejectedVideo, open_video
from pfp.io.media.convert import Converter, orientation_of
from pfp.io.media.decode import decode_frames
from pfp.io.media.extent import Extent
from pfp.io.media.frame_folder import extent_of_folder, is_folder, iter_folder
from pfp.io.media.probe import probe
from pfp.io.media.reference import ReferenceConverter, quarter_turns_of
from pfp.io.media.sniff import SNIFF_BYTES
from pfp.io.media.source import Source, open_binary, shown_name
from pfp.io.media.still import image_format

DEFAULT_IMAGE_FPS: Final = 24.0
_FPS_UNKNOWN: Final = 25.0  # what FFmpeg's raw demuxers assume
_Kind: TypeAlias = Literal["folder", "image", "video"]
Reading: TypeAlias = Literal["player", "reference"]
"""As players show a video, upright and in square pixels, or as decord and OpenCV read it: turned by
quarter turns only, pixels as coded, in their rougher arithmetic (``pfp.io.media.reference``)."""


def extent_of(
    source: Source, *, reading: Reading = "player", image_fps: float | None = None
) -> Extent:
    """The extent of a video's stored frames, without decoding more than the first.

    source: a video, a folder of images, an animated image (which is decoded), or a still image.
    reading: whose size; images are turned by their EXIF for players alone.
    image_fps: the rate of what has none of its own, folders and still images; None is 24.

    Raises ``PermanentError`` for what cannot be decoded, ``RejectedVideo`` for what is no video.
    """
    rate_of_images = DEFAULT_IMAGE_FPS if image_fps is None else image_fps
    upright = reading == "player"
    match _kind_of(source):
        case "folder":
            return extent_of_folder(source, upright=upright, image_fps=rate_of_images)
        case "image":
            return extent_of_image(source, upright=upright, image_fps=rate_of_images)
        case "video":
            return _extent_of_video(source, reading)


def has_rate(source: Source) -> bool:
    """Whether a source tells its own frame rate: videos and animated images do.

    Raises ``PermanentError`` for a damaged image and ``InputError`` where there is no file.
    """
    kind = _kind_of(source)
    return is_animated(source) if kind == "image" else kind == "video"


def is_image(source: Source) -> bool:
    """Whether a source is a folder of images or an image file, moving or not, and no video."""
    return _kind_of(source) != "video"


def _kind_of(source: Source) -> _Kind:
    """By the content, as for videos; what is neither folder nor image is left to FFmpeg."""
    if is_folder(source):
        return "folder"
    with open_binary(source) as file:
        return "video" if image_format(file.read(SNIFF_BYTES)) is None else "image"


def _extent_of_video(source: Source, reading: Reading) -> Extent:
    header = probe(source)
    width, height = header.width, header.height
    if reading == "reference":
        width, height = header.coded_width, header.coded_height
        if header.reference_turns % 2:
            width, height = height, width
    with open_video(source) as video:
        num_frames = _count_packets(video.container, video.stream)
        told = video.stream.frames
        rate = mean_rate(video)
    return Extent(
        num_frames=num_frames,
        is_agreed=num_frames == told,
        fps=float(rate) if rate else _FPS_UNKNOWN,
        height=height,
        width=width,
    )


def _count_packets(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> int:
    """Packets that give a frame; damage of the container ends the count, as it ends decoding."""
    count = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return count
        if packet is None:
            return count
        count += bool(packet.size) and not packet.is_discard


def iter_stored(
    source: Source, *, reading: Reading = "player"
) -> Generator[npt.NDArray[np.uint8], None, None]:
    """Every stored frame, uint8 RGB ``(H, W, 3)``; memory does not grow with the video's length.

    source: as for ``extent_of``.
    reading: as players show it, or as the readers of reference implementations give it.

    Raises ``PermanentError`` for what cannot be decoded, is damaged or HDR, holds no frame, or
    changes its size on the way.
    """
    match _kind_of(source):
        case "folder":
            yield from iter_folder(source, upright=reading == "player")
        case "image":
            yield from iter_image(source, upright=reading == "player")
        case "video":
            yield from _iter_video(source, reading)


def _iter_video(source: Source, reading: Reading) -> Generator[npt.NDArray[np.uint8], None, None]:
    name = shown_name(source)
    shape: tuple[int, ...] | None = None
    with open_video(source) as video:
        convert: Callable[[av.VideoFrame], npt.NDArray[np.uint8]] | None = None
        aspect = SteadyAspect(video.stream, name)
        for frame in decode_frames(video, refuse_damage(name)):
            if convert is None:
                convert = (
                    upright_converter(frame, video.stream).shown
                    if reading == "player"
                    else ReferenceConverter(quarter_turns_of(frame)).to_rgb
                )
            if reading == "player":
                aspect.check()
            frame_HWC = convert(frame)
            if shape is not None and frame_HWC.shape != shape:
                message = f"{name} changes its size on the way; split it where it changes"
                raise PermanentError(message)
            shape = frame_HWC.shape
            yield frame_HWC
    if shape is None:
        raise no_frames(name)


def read_video(source: Source) -> npt.NDArray[np.uint8]:
    """Every stored frame at its shown size: uint8 RGB ``(T, H, W, 3)``, upright, square pixels.

    Raises ``PermanentError`` as ``iter_stored`` does.
    """
    return np.stack(list(iter_stored(source)))


def upright_converter(frame: av.VideoFrame, stream: av.video.stream.VideoStream) -> Converter:
    """What turns this stream's frames as players do."""
    return Converter(orientation_of(frame), stream.sample_aspect_ratio)


class SteadyAspect:
    """Refuses a stream whose pixels change their shape on the way; frames are converted by one."""

    def __init__(self, stream: av.video.stream.VideoStream, name: str) -> None:
        self._stream, self._name = stream, name
        self._first: Fraction | None = None

    def check(self) -> None:
        """To be called after each frame: the decoder tells the shape of the newest one."""
        aspect = self._stream.codec_context.sample_aspect_ratio or Fraction(1)
        self._first = self._first or aspect
        if aspect != self._first:
            message = (
                f"{self._name} changes its pixels' aspect from {self._first} to {aspect} on the "
                "way; split it where it changes"
            )
            raise PermanentError(message)


def refuse_damage(name: str) -> Callable[[str], None]:
    """For ``decode_frames``: damage is a ``PermanentError``."""

    def refuse(what: str) -> None:
        message = f"{name}: {what}; replace the file, or use a span before the damage"
        raise PermanentError(message)

    return refuse


def no_frames(name: str) -> RejectedVideo:
    """The error of a video without a single frame."""
    return RejectedVideo("no_frames", f"{name} holds no frame that can be decoded")
