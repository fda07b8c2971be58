"""What a decoder attaches to a frame beside its pixels: its turn, its views, its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
from av.sidedata.sidedata import SideData, SideDataContainer
from av.sidedata.sidedata import Type as SideDataType


def side_data_of(frame: av.VideoFrame) -> Sequence[SideData] | None:
    """The pieces; None where one is of a kind that PyAV has no name for, and gives none of them.

    Such are Exif (in Motion JPEG of cameras), and the views of spatial video.

    ``frame.side_data`` is kept by the frame and keeps it, so that megabytes wait for the garbage
    collector, which counts objects and not bytes. What is made here goes with the last look at it.
    """
    try:
        pieces: Any = SideDataContainer(frame)  # type: ignore[call-arg]
    except ValueError:
        return None
    return list(pieces)


def side_data_piece(frame: av.VideoFrame, kind: SideDataType) -> bytes | None:
    """The bytes of the first piece of a kind; None where there is none, or none can be read."""
    pieces = side_data_of(frame) or ()
    return next((bytes(one) for one in pieces if one.type == kind), None)
