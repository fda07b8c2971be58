"""Transparency: what lies under transparent parts of a frame was never meant to be seen.

Frames are put over black, as images are (``pfp.io.media.still``). Most codecs with transparency
give it to the frame itself: PNG, QuickTime RLE, ProRes 4444, FFV1, UT Video. VP8 and VP9 have none;
Matroska carries a second stream of alpha beside each frame (tag ``alpha_mode``), which FFmpeg's own
decoders pass over and libvpx decodes.

Axes: H height, W width, C colour (R, G, B, and A where said).
"""

from __future__ import annotations

from typing import Final

import av
import av.video.stream
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

_WITH_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_PALETTE: Final = "pal8"  # whose colours may be transparent


def has_alpha(pixel_format: av.VideoFormat) -> bool:
    """Whether frames of this format can be transparent."""
    is_alpha = any(component.is_alpha for component in pixel_format.components)
    return is_alpha or pixel_format.name == _PALETTE


def over_black(
    frame: av.VideoFrame,
    reformatter: VideoReformatter,
    matrix: Colorspace,
    color_range: ColorRange,
) -> av.VideoFrame:
    """The ``rgb24`` frame, full range, that a frame with straight alpha makes over black.

    matrix, color_range: of ``frame``.
    """
    rgba = reformatter.reformat(
        frame,
        format="rgba",
        src_colorspace=matrix,
        src_color_range=color_range,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    rgba_HWC: npt.NDArray[np.uint8] = rgba.to_ndarray().astype(np.uint8, copy=False)
    alpha_HW1 = rgba_HWC[:, :, 3:].astype(np.uint32)
    # Division by 255, rounded, as PIL's alpha_composite does it.
    product_HWC = rgba_HWC[:, :, :3] * alpha_HW1 + 128
    shown_HWC = ((product_HWC >> 8) + product_HWC >> 8).astype(np.uint8)
    return av.VideoFrame.from_ndarray(shown_HWC, format="rgb24")


def alpha_decoder(stream: av.video.stream.VideoStream) -> av.VideoCodecContext | None:
    """A decoder that gives a stream's frames with the alpha beside them; None where none is."""
    name = _WITH_ALPHA.get(stream.codec_context.codec.canonical_name)
    # A tag of that name, which some writers add in capitals, replaces FFmpeg's own.
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1":
        return None
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.options = stream.codec_context.options
    decoder.thread_count = 1
    return decoder
