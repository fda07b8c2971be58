"""What a decoder attaches to a frame beside its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
from av.sidedata.sidedata import SideData


def side_data_of(frame: av.VideoFrame) -> Sequence[SideData] | None:
    """The pieces; None where one is of a kind that PyAV has no name for, and gives none of them.

    Such are Exif (in Motion JPEG of cameras), and the views of spatial video.
    """
    try:
        pieces: Any = frame.side_data  # its stub says that it maps one name
    except ValueError:
        return None
    return list(pieces)
