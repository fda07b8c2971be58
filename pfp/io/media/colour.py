"""What a video's colour codes mean, and who is believed when bitstream and container both speak.

Colour is told twice: in the bitstream, which arrives with every frame, and in the container (MP4's
``colr`` and ``vpcC``, Matroska's Colour element, a Dolby Vision configuration). Field by field, as
players do (Chromium, FFmpeg, mpv):

- The bitstream counts, and the container where the bitstream says nothing.
- VP8, VP9 and Motion JPEG cannot tell all of it, or their decoder makes it up: the container first.
- Full range counts wherever the decoder's "limited" may only mean that nothing was said.
- HDR counts whoever says it. HDR metadata (mastering display, light levels, Dolby Vision) without
  any transfer characteristic is PQ.

Code points are those of ITU-T H.273.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import av
import av.video.codeccontext
from av.sidedata.sidedata import Type as SideDataType

from pfp.io.media.side_data import side_data_of

TRANSFER_BT709: Final = 1
TRANSFER_PQ: Final = 16
TRANSFER_HLG: Final = 18
RANGE_UNSPECIFIED: Final = 0  # FFmpeg's own numbers, for ranges only
RANGE_FULL: Final = 2
UNSPECIFIED: Final = 2

_HDR: Final = {TRANSFER_PQ: "pq", TRANSFER_HLG: "hlg"}
# Neither display-referred SDR nor HDR: read as they are, they show wrong tones.
_OTHER: Final = {8: "linear", 9: "log", 10: "log", 17: "smpte428"}

# Unspecified and what H.273 reserves.
_UNTOLD: Final = frozenset({0, UNSPECIFIED, 3})
_UNTOLD_MATRICES: Final = frozenset({UNSPECIFIED, 3})  # 0 is RGB

_CONTAINER_FIRST: Final = frozenset({"vp8", "vp9", "mjpeg"})
# Their decoders say "limited" also where the bitstream says nothing.
_LIMITED_BY_DEFAULT: Final = frozenset(
    {"av1", "hevc", "mpeg1video", "mpeg2video", "prores", "vp8", "vp9", "vvc"}
)
_HDR_METADATA: Final = frozenset(
    {
        SideDataType.MASTERING_DISPLAY_METADATA,
        SideDataType.CONTENT_LIGHT_LEVEL,
        SideDataType.DYNAMIC_HDR_PLUS,
        SideDataType.DYNAMIC_HDR_VIVID,
        SideDataType.DOVI_RPU_BUFFER,
        SideDataType.DOVI_METADATA,
    }
)


def transfer_name(transfer: int) -> str:
    """``sdr``, ``pq``, ``hlg``, or another transfer characteristic that is not SDR's."""
    return _HDR.get(transfer) or _OTHER.get(transfer) or "sdr"


def is_hdr(transfer: int) -> bool:
    """Whether a transfer characteristic is PQ or HLG (ITU-R BT.2100)."""
    return transfer in _HDR


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerColour:
    """The colour that a container tells about a video stream."""

    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    range_: int = RANGE_UNSPECIFIED

    @classmethod
    def of(
        cls, context: av.video.codeccontext.VideoCodecContext, dolby_vision: int | None
    ) -> ContainerColour:
        """Of a stream that no frame was decoded from yet: a decoder overwrites its context.

        ``dolby_vision`` is the transfer of its base layer where there is a configuration of it.
        """
        told = context.color_trc
        is_told = told not in _UNTOLD and not is_hdr(dolby_vision or UNSPECIFIED)
        return cls(
            transfer=told if dolby_vision is None or is_told else dolby_vision,
            matrix=context.colorspace,
            primaries=context.color_primaries,
            range_=context.color_range,
        )


class Colourist:
    """Completes the frames of one stream with what its container tells."""

    def __init__(self, codec: str, container: ContainerColour) -> None:
        self._container = container
        self._container_first = codec in _CONTAINER_FIRST
        self._limited_by_default = codec in _LIMITED_BY_DEFAULT
        self._has_hdr_metadata = False

    def complete(self, frame: av.VideoFrame) -> None:
        """Write into a decoded frame what its colour codes leave open. Frames come in order."""
        told = self._container
        frame.colorspace = self._choose(frame.colorspace, told.matrix, _UNTOLD_MATRICES)
        frame.color_primaries = self._choose(frame.color_primaries, told.primaries, _UNTOLD)
        frame.color_trc = self._transfer(frame)
        frame.color_range = self._range(frame.color_range)

    def _choose(self, coded: int, told: int, untold: frozenset[int]) -> int:
        first, second = (told, coded) if self._container_first else (coded, told)
        return second if first in untold and second not in untold else first

    def _transfer(self, frame: av.VideoFrame) -> int:
        if is_hdr(self._container.transfer) and not is_hdr(frame.color_trc):
            return self._container.transfer
        chosen = self._choose(frame.color_trc, self._container.transfer, _UNTOLD)
        if chosen not in _UNTOLD:
            return chosen
        if frame.key_frame and not self._has_hdr_metadata:
            found = (one.type for one in side_data_of(frame) or ())
            self._has_hdr_metadata = not _HDR_METADATA.isdisjoint(found)
        return TRANSFER_PQ if self._has_hdr_metadata else chosen

    def _range(self, coded: int) -> int:
        told = self._container.range_
        if coded == RANGE_UNSPECIFIED or (self._limited_by_default and told == RANGE_FULL):
            return told
        return coded
