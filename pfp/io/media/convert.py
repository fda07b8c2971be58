"""From a decoded frame to upright 8-bit RGB: alpha, turn, sample aspect, matrix, range, size.

Axes: T time, H height, W width, C colour (R, G, B).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from pfp.errors import PermanentError
from pfp.io.media.alpha import has_alpha, over_black
from pfp.io.media.colour import RANGE_FULL, is_hdr, transfer_name
from pfp.io.media.container import RejectedVideo
from pfp.io.media.side_data import side_data_of

MATRICES: Final = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
# What the scaler cannot turn into RGB.
_FOREIGN_MATRICES: Final = {
    8: "YCgCo",
    11: "YDzDx",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_CHROMATICITY_DERIVED: Final = 12  # the matrix that belongs to the primaries

# Bit-exact: the same pixels on every CPU, so digests of what follows agree between machines.
_EXACT: Final = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How a coded frame is turned to be shown: transpose first, then mirror its new axes."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation_degrees(self) -> int:
        """The clockwise turn, 0, 90, 180 or 270; a mirror image counts as its turn before it."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The frame as it is shown, a view; ``(W, H, ...)`` when transposed."""
        turned = frame_HWC.swapaxes(0, 1) if self.transpose else frame_HWC
        return turned[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


_TURNS: Final = (
    Orientation(),
    Orientation(transpose=True, flip_y=True),
    Orientation(flip_x=True, flip_y=True),
    Orientation(transpose=True, flip_x=True),
)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation in a frame's display matrix (ISO/IEC 14496-12, 8.3.2), by quarter turns.

    The matrix takes coded (x, y) to shown (a x + c y, b x + d y).
    """
    pieces = side_data_of(frame)
    if pieces is None:  # PyAV still tells the turn, counter-clockwise, though not a mirror image
        return _TURNS[round(frame.rotation / 90) % 4]
    matrix = next((one for one in pieces if one.type == SideDataType.DISPLAYMATRIX), None)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("<5i", bytes(matrix)[:20])
    if abs(a) >= abs(b):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def shown_size(
    width: int, height: int, sample_aspect: Fraction | None, orientation: Orientation
) -> tuple[int, int]:
    """``(width, height)`` in square pixels of the upright frame; the coded height is kept."""
    shown_width = max(1, round(width * (sample_aspect or 1)))
    return (height, shown_width) if orientation.transpose else (shown_width, height)


def cover_size(shown: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """The smallest ``(width, height)`` with the shown shape that covers the wanted one."""
    factor = max(Fraction(wanted[0], shown[0]), Fraction(wanted[1], shown[1]))
    return max(wanted[0], round(shown[0] * factor)), max(wanted[1], round(shown[1] * factor))


def matrix_of(frame: av.VideoFrame) -> Colorspace:
    """The YUV matrix of a frame; when it is not told, BT.709 for HD sizes and BT.601 below.

    That is the players' convention (over 576 lines or at least 1280 columns is HD).
    """
    derived = frame.colorspace == _CHROMATICITY_DERIVED
    told = frame.color_primaries if derived else frame.colorspace
    if told in MATRICES:
        return MATRICES[told]
    is_hd = frame.height > 576 or frame.width >= 1280
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601


class Converter:
    """Turns frames of one video into upright ``rgb24`` or ``gray`` arrays of a given size."""

    def __init__(
        self,
        orientation: Orientation,
        sample_aspect: Fraction | None,
        *,
        pixel_format: str = "rgb24",
        exact: bool = True,
    ) -> None:
        self._orientation = orientation
        self._sample_aspect = sample_aspect
        self._pixel_format = pixel_format
        # Joined here once: enumerations are slow to join.
        self._shrinking = Interpolation.AREA | _EXACT if exact else Interpolation.AREA
        self._growing = Interpolation.BICUBIC | _EXACT if exact else Interpolation.BICUBIC
        self._reformatter = VideoReformatter()

    def shown_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """``(width, height)`` of this frame shown upright, in square pixels."""
        return shown_size(frame.width, frame.height, self._sample_aspect, self._orientation)

    def shown(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """The upright frame in its own size, square pixels."""
        return self.scale(frame, *self.shown_size(frame))

    def scale(self, frame: av.VideoFrame, width: int, height: int) -> npt.NDArray[np.uint8]:
        """The upright frame at exactly ``width`` x ``height``: uint8 ``(H, W, 3)`` or ``(H, W)``.

        Area averaging where the frame shrinks, bicubic where a side grows. Transparent parts are
        black.
        """
        refuse_foreign_colour(frame)
        matrix, color_range = matrix_of(frame), _range_of(frame)
        if has_alpha(frame.format):
            frame = over_black(frame, self._reformatter, matrix, color_range)
            color_range = ColorRange.JPEG
        coded = (height, width) if self._orientation.transpose else (width, height)
        shrinks = coded[0] <= frame.width and coded[1] <= frame.height
        converted = self._reformatter.reformat(
            frame,
            width=coded[0],
            height=coded[1],
            format=self._pixel_format,
            src_colorspace=matrix,
            src_color_range=color_range,
            dst_color_range=ColorRange.JPEG,
            interpolation=self._shrinking if shrinks else self._growing,
            threads=1,
        )
        return self._orientation.apply(converted.to_ndarray().astype(np.uint8, copy=False))

    def cover(self, frame: av.VideoFrame, width: int, height: int) -> npt.NDArray[np.uint8]:
        """The upright frame scaled to cover ``width`` x ``height``, cropped around its centre."""
        scaled_width, scaled_height = cover_size(self.shown_size(frame), (width, height))
        scaled = self.scale(frame, scaled_width, scaled_height)
        top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
        return scaled[top : top + height, left : left + width]


def refuse_foreign_colour(frame: av.VideoFrame) -> None:
    """Raise for what would come out in wrong colours. Primaries are taken as they are."""
    if is_hdr(frame.color_trc):
        message = (
            "the video is HDR (PQ or HLG), which must not be read as SDR; tone-map it to BT.709"
        )
        raise PermanentError(message)
    if (name := transfer_name(frame.color_trc)) != "sdr":
        message = f"the video's code values are {name}, which must not be read as SDR"
        raise PermanentError(f"{message}; convert it to BT.709")
    if frame.colorspace in _FOREIGN_MATRICES and not frame.format.is_rgb:
        name = _FOREIGN_MATRICES[frame.colorspace]
        message = f"the video's colours are coded as {name}, which pfp does not convert"
        raise RejectedVideo("colour_matrix", f"{message}; convert it to BT.709")


def _range_of(frame: av.VideoFrame) -> ColorRange:
    """Full range when the frame or its format says so; YUV that says nothing is limited."""
    is_rgb = frame.format.is_rgb
    if frame.color_range == RANGE_FULL or is_rgb or frame.format.name.startswith("yuvj"):
        return ColorRange.JPEG
    return ColorRange.MPEG
