"""What a frame shows: one view of a scene, two packed into it, or all around it.

FFmpeg's side data holds what containers (``st3d``, ``sv3d``, StereoMode) and streams (the frame
packing arrangement of H.264 and HEVC, MPEG-2's user data) say.
"""

from __future__ import annotations

import struct
from typing import Final

import av
from av.sidedata.sidedata import Type as SideDataType

from pfp.io.media.side_data import side_data_piece

# AVStereo3DType. Left out are 0, one view, and 8, which says of spatial phone videos (MV-HEVC)
# that there is a second view somewhere: what is decoded is the first one, a plain frame.
_STEREO: Final = {
    1: "side_by_side",
    2: "top_bottom",
    3: "frame_sequence",
    4: "checkerboard",
    5: "side_by_side_quincunx",
    6: "lines",
    7: "columns",
}
# AVSphericalProjection; 4 is rectilinear, as cameras see.
_SPHERICAL: Final = {
    0: "equirectangular",
    1: "cubemap",
    2: "equirectangular_tile",
    3: "half_equirectangular",
    5: "fisheye",
    6: "parametric_immersive",
}


def stereo_layout_of(frame: av.VideoFrame) -> str | None:
    """How two views are packed into this frame; None where nothing says that they are."""
    return _STEREO.get(_first_int(frame, SideDataType.STEREO3D))


def projection_of(frame: av.VideoFrame) -> str | None:
    """How the surroundings are laid out in this frame; None for a plain frame."""
    return _SPHERICAL.get(_first_int(frame, SideDataType.SPHERICAL))


def _first_int(frame: av.VideoFrame, kind: SideDataType) -> int:
    """The type that both structures begin with; -1 where there is none."""
    piece = side_data_piece(frame, kind)
    return -1 if piece is None else int(struct.unpack("<i", piece[:4])[0])
