"""Frames as decord 0.6.0 and OpenCV give them, for protocols whose numbers rest on those readers.

Both turn a frame by the quarter turns of its display matrix, leave mirror images and pixels that
are not square as they are, and convert by swscale without accurate rounding: colour is then not
interpolated and every product is cut off, so that their frames are darker than the standard's own
arithmetic by 0.8 (red), 1.3 (green) and 0.9 (blue) code values, where ``Converter`` is within 0.02.

Bit for bit theirs on x86 for every 8-bit format of even height (docs/parity.md says what remains
of the others, in which the two readers differ from one another, too).

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

import math
import struct
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from pfp.io.media.convert import MATRICES, refuse_foreign_colour
from pfp.io.media.side_data import side_data_of, side_data_piece

_TOLERANCE_DEGREES: Final = 0.5  # further off a quarter turn, neither reader turns at all


def quarter_turns_of(frame: av.VideoFrame) -> int:
    """How many quarter turns, clockwise, the readers give a frame: 0 to 3, by its display matrix.

    The angle is that of the matrix's first column alone, so a mirror image counts as its turn.
    """
    if side_data_of(frame) is None:  # PyAV still tells the turn, counter-clockwise
        return round(-frame.rotation / 90) % 4
    matrix = side_data_piece(frame, SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return 0
    a, b, _, c, d = struct.unpack("<5i", matrix[:20])
    across, down = math.hypot(a, c) or 1.0, math.hypot(b, d) or 1.0
    degrees = math.degrees(math.atan2(b / down, a / across))
    turns = round(degrees / 90)
    return turns % 4 if abs(degrees - 90 * turns) < _TOLERANCE_DEGREES else 0


def turned(frame_HWC: npt.NDArray[np.uint8], quarter_turns: int) -> npt.NDArray[np.uint8]:
    """The frame turned clockwise, a view; ``(W, H, C)`` after an odd number of quarter turns."""
    return np.rot90(frame_HWC, -quarter_turns)


class ReferenceConverter:
    """Turns frames of one video into ``rgb24`` arrays as those readers do."""

    def __init__(self, quarter_turns: int) -> None:
        """quarter_turns: those of the first frame, which the readers give to all."""
        self._quarter_turns = quarter_turns
        self._reformatter = VideoReformatter()

    def to_rgb(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """The frame in its own size, uint8 RGB ``(H, W, 3)``.

        Raises ``PermanentError`` for HDR.
        """
        refuse_foreign_colour(frame)
        converted = self._reformatter.reformat(
            frame,
            format="rgb24",
            # Where nobody tells the matrix it is BT.601's for them, however large the frame.
            src_colorspace=MATRICES.get(frame.colorspace, Colorspace.ITU601),
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        frame_HWC = converted.to_ndarray().astype(np.uint8, copy=False)
        return turned(frame_HWC, self._quarter_turns)
