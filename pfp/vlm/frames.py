"""Frames as models are shown them: no larger than a limit, digested, written as JPEG.

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

FrameImage = npt.NDArray[np.uint8]
# The limit per frame that the Qwen-VL judges of VBench-2.0 run with (28 x 28 x 768).
MAX_PIXELS: Final = 602_112
JPEG_QUALITY: Final = 90


class Frames:
    """Frames of one size in order of time, and when they were taken."""

    def __init__(
        self, frames_HWC: Sequence[FrameImage], timestamps_seconds: Sequence[float]
    ) -> None:
        """timestamps_seconds: one per frame, counted from the start of what is shown."""
        if not frames_HWC or len(frames_HWC) != len(timestamps_seconds):
            raise ValueError(
                f"{len(frames_HWC)} frames and {len(timestamps_seconds)} timestamps; "
                "give at least one frame and a timestamp for each"
            )
        self.frames_HWC = tuple(frames_HWC)
        self.timestamps_seconds = tuple(float(seconds) for seconds in timestamps_seconds)

    def __len__(self) -> int:
        return len(self.frames_HWC)

    @cached_property
    def sha256(self) -> str:
        """Digest of the pixels, the sizes and the times to the millisecond."""
        digest = hashlib.sha256()
        for frame_HWC, seconds in zip(self.frames_HWC, self.timestamps_seconds, strict=True):
            digest.update(f"{frame_HWC.shape} {seconds:.3f}\n".encode())
            digest.update(np.ascontiguousarray(frame_HWC).data)
        return digest.hexdigest()

    @cached_property
    def jpegs(self) -> tuple[bytes, ...]:
        """Every frame as a JPEG file of quality 90."""
        return tuple(to_jpeg(frame_HWC) for frame_HWC in self.frames_HWC)


def size_within(height: int, width: int, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width in the same shape, made smaller where they come to more pixels."""
    scale = min(1.0, math.sqrt(max_pixels / (height * width)))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def limited(frame_HWC: FrameImage) -> FrameImage:
    """The frame, made smaller (bicubic, antialiased) if it has more than ``MAX_PIXELS`` pixels."""
    before = frame_HWC.shape[:2]
    height, width = size_within(*before)
    if (height, width) == before:
        return frame_HWC
    image = Image.fromarray(frame_HWC)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def to_jpeg(frame_HWC: FrameImage) -> bytes:
    """A JPEG file of the frame, quality 90, colour at half resolution as in nearly all video."""
    content = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(frame_HWC))
    image.save(content, format="JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    return content.getvalue()
