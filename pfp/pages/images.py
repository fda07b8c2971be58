"""Frames as small images inside the page."""

from __future__ import annotations

import base64
import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from pfp.pages.markup import Markup, tag

MAX_SIDE: Final = 240  # pixels: enough for the widths that pages show images at
QUALITY: Final = 82


def image_tag(frame_HWC: npt.NDArray[np.uint8], alt: str) -> Markup:
    """An ``img`` of the frame that needs no file beside the page."""
    address, width, height = inlined(frame_HWC)
    return tag("img", src=address, alt=alt, width=width, height=height)


def inlined(frame_HWC: npt.NDArray[np.uint8]) -> tuple[str, int, int]:
    """The frame as a WebP ``data:`` address, scaled down to ``MAX_SIDE``; its width and height."""
    image = Image.fromarray(frame_HWC)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=QUALITY, method=4)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/webp;base64,{data}", image.width, image.height
