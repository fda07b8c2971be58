"""The luma of a frame: as it is coded, and small and upright."""

from __future__ import annotations

from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from pfp.io.media.convert import Converter

MAX_LINES: Final = 256  # of small luma: no more, and no fewer where the frame has as many
MAX_SMALL_COLUMNS: Final = 1024  # a strip may be thousands of times as wide as high


def coded_luma(
    frame: av.VideoFrame, reformatter: VideoReformatter
) -> tuple[npt.NDArray[np.unsignedinteger], int]:
    """The luma plane as it lies in memory, (H, W), and how many bits a sample has.

    Formats without one are converted to eight bits by the reformatter.
    """
    bits = frame.format.components[0].bits
    # Of these names the first plane is luma, in the low bits.
    is_plain = frame.format.name.startswith(("yuv", "nv", "gray"))
    is_packed = frame.format.name.startswith("yuv") and not frame.format.is_planar
    if not is_plain or is_packed or frame.format.is_big_endian:
        frame, bits = reformatter.reformat(frame, format="gray"), 8
    plane = frame.planes[0]
    kind: np.dtype[np.unsignedinteger] = np.dtype("u1" if bits == 8 else "<u2")
    stored = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return stored[:, : frame.width], bits


def middle_of(
    luma_HW: npt.NDArray[np.unsignedinteger], side: int, grid: int
) -> npt.NDArray[np.unsignedinteger]:
    """Up to ``side`` x ``side`` pixels from the middle, from a multiple of ``grid`` on."""
    top, left = (max(0, size - side) // 2 // grid * grid for size in luma_HW.shape)
    return luma_HW[top : top + side, left : left + side]


def small_luma(frame: av.VideoFrame, converter: Converter) -> npt.NDArray[np.uint8]:
    """The frame as it is shown, (H, W), of up to ``MAX_LINES`` lines, [0, 255] in full range.

    converter: to ``gray``.
    """
    width, height = converter.shown_size(frame)
    lines = min(height, MAX_LINES)
    columns = min(max(1, round(width * lines / height)), MAX_SMALL_COLUMNS)
    return converter.scale(frame, columns, lines)


def signed(luma_HW: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Samples whose differences of differences do not overflow; in int16 where that is enough."""
    kind: Any = np.int16 if luma_HW.itemsize == 1 else np.int32
    samples_HW: npt.NDArray[np.int32] = luma_HW.astype(kind)
    return samples_HW
