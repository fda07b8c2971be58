"""Write frames as an H.264 file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Final

import av
import av.video.stream
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from pfp.errors import InputError
from pfp.io.filesystems import explain_write_errors

_EXACT: Final = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
_BT709: Final = 1  # ITU-T H.273: primaries, transfer and matrix
_LIMITED: Final = 1

# x264's macroblock tree gives equal frames other bytes: nearly always with B-frames, once in some
# hundred files without them, by what lies beside its memory (seen with its AVX-512 code alone).
_LOSSY: Final = {"crf": "18", "preset": "veryfast", "bf": "0", "mbtree": "0"}


def write_video(
    path: str | os.PathLike[str],
    frames_THWC: Iterable[npt.NDArray[np.uint8]],
    fps: float,
    *,
    lossless: bool = False,
) -> None:
    """Write uint8 RGB frames ``(T, H, W, 3)`` in [0, 255] as MP4 (H.264).

    ``frames_THWC`` may be an array or any iterable of ``(H, W, 3)`` frames. By default 4:2:0 BT.709
    at crf 18 (x264 veryfast: half the time of medium), which every player shows; H and W must be
    even. ``lossless`` stores RGB with qp 0, so that ``read_video`` gives back the same bytes, for
    sizes even or odd; few players show that.

    The file is written beside its place and renamed. Equal frames give equal bytes. Raises
    ``InputError`` for no frames, frames that are not uint8 RGB of one size, odd sizes, a full disk
    and a folder that cannot be written.
    """
    target = Path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    rate = Fraction(fps).limit_denominator(1_000_000)
    with explain_write_errors(str(target)):
        try:
            with aside.open("wb", buffering=0) as file:
                sink = _Sink(file)
                _encode(sink, frames_THWC, rate, lossless=lossless)
                sink.check()
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)


class _Sink:
    """A file for PyAV, which prints what its callbacks raise: a failure is kept, not raised."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.name = file.name  # faststart opens the file a second time, to read what was written
        self.error: OSError | None = None
        self.seek, self.tell = file.seek, file.tell

    def write(self, content: bytes) -> int:
        """Write all of it, unless an earlier write failed."""
        rest = memoryview(content)
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(content)

    def check(self) -> None:
        """Raise what a write has failed with."""
        if self.error is not None:
            raise self.error


def _encode(
    sink: _Sink, frames_THWC: Iterable[npt.NDArray[np.uint8]], rate: Fraction, *, lossless: bool
) -> None:
    stream: av.video.stream.VideoStream | None = None
    size = (0, 0)
    with av.open(
        sink,
        "w",
        format="mp4",
        container_options={"movflags": "+faststart", "fflags": "+bitexact"},
    ) as container:
        for index, frame_HWC in enumerate(frames_THWC):
            if stream is None:
                size = _check(frame_HWC, lossless=lossless)
                stream = _add_stream(container, rate, size, lossless=lossless)
            if frame_HWC.dtype != np.uint8 or frame_HWC.shape != (*size, 3):
                message = (
                    f"frame {index} is {frame_HWC.dtype} {frame_HWC.shape}; "
                    f"give uint8 {(*size, 3)} like the first one"
                )
                raise InputError(message)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            frame = frame if lossless else _to_bt709(frame)
            frame.pts = index
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
            sink.check()
        if stream is None:
            message = "there are no frames to write; give at least one"
            raise InputError(message)
        container.mux(stream.encode(None))


def _add_stream(
    container: av.container.OutputContainer,
    rate: Fraction,
    size: tuple[int, int],
    *,
    lossless: bool,
) -> av.video.stream.VideoStream:
    stream = container.add_stream("libx264rgb" if lossless else "libx264", rate=rate)
    stream.height, stream.width = size
    stream.pix_fmt = "rgb24" if lossless else "yuv420p"
    context = stream.codec_context
    context.options = {"qp": "0"} if lossless else _LOSSY
    context.time_base = 1 / rate
    # One thread: the same bytes whatever the number of cores.
    context.thread_count = 1
    if not lossless:
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
    return stream


def _to_bt709(frame: av.VideoFrame) -> av.VideoFrame:
    return frame.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC | _EXACT,
        threads=1,
    )


def _check(frame_HWC: npt.NDArray[np.uint8], *, lossless: bool) -> tuple[int, int]:
    if frame_HWC.ndim != 3 or frame_HWC.shape[2] != 3 or frame_HWC.dtype != np.uint8:
        message = f"frames are {frame_HWC.dtype} {frame_HWC.shape}; give uint8 RGB (T, H, W, 3)"
        raise InputError(message)
    height, width = frame_HWC.shape[:2]
    if not lossless and (height % 2 or width % 2):
        message = f"{width}x{height} is odd, which 4:2:0 cannot hold; crop it or use lossless=True"
        raise InputError(message)
    return height, width
