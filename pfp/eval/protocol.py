"""How a video is looked at: which decoder, which frames, one clip or many. Part of every score.

Scores of different protocols are different quantities: 2-second clips move the dynamics of one
model from 55 to 71 percent. So the fingerprint is stored with each score, and a leaderboard
refuses to put two into one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from pfp.errors import ConfigError

ProtocolName: TypeAlias = Literal["whole", "vbench", "vbench-long"]
DecoderName: TypeAlias = Literal["pyav", "decord"]

PROTOCOLS: Final[tuple[ProtocolName, ...]] = get_args(ProtocolName)
DECODERS: Final[tuple[DecoderName, ...]] = get_args(DecoderName)
CLIP_SECONDS: Final = 2  # VBench-Long's custom mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A way of looking at videos.

    ``whole``: every stored frame of the video as one clip, upright and in square pixels.
    ``vbench``: the same, but frames as they are coded, for VBench's readers know no rotation.
    ``vbench-long``: those frames in clips of 2 s, each measured alone, and the mean over clips.
    """

    name: ProtocolName = "whole"
    decoder: DecoderName = "pyav"

    def __post_init__(self) -> None:
        """Refuse unknown names, and a decoder that cannot do what the protocol asks."""
        if self.name not in PROTOCOLS:
            raise ConfigError(f"no protocol is called {self.name!r}; use {', '.join(PROTOCOLS)}")
        if self.decoder not in DECODERS:
            raise ConfigError(f"no decoder is called {self.decoder!r}; use {', '.join(DECODERS)}")
        if self.decoder == "decord" and self.is_upright:
            raise ConfigError(
                "decord gives frames as they are coded; use it with --protocol vbench or "
                "vbench-long"
            )

    @property
    def is_upright(self) -> bool:
        """Whether frames are turned and stretched as players show them."""
        return self.name == "whole"

    @property
    def fingerprint(self) -> str:
        """Everything that tells two protocols apart, for people and for the score's key."""
        clips = f"{CLIP_SECONDS} s at int(fps)" if self.name == "vbench-long" else "none"
        parts = {
            "decoder": self.decoder,
            "fps": "stored",
            "size": "upright" if self.is_upright else "coded",
            "clips": clips,
            "cuts": "none",  # as in the paper: shots are not treated apart
            "prompt": "as given",
        }
        return f"{self.name} ({', '.join(f'{name} {value}' for name, value in parts.items())})"

    def clips(self, num_frames: int, fps: float) -> list[range]:
        """The spans of frames that are measured each by itself, in order of their ends.

        VBench-Long: clips of ``2 * int(fps)`` frames; the last one begins as much earlier as it
        takes to be as long as the others; a shorter video is one clip.
        """
        if self.name != "vbench-long":
            return [range(num_frames)]
        length = CLIP_SECONDS * max(1, int(fps))
        if num_frames <= length:
            return [range(num_frames)]
        starts = list(range(0, num_frames - length + 1, length))
        if starts[-1] + length < num_frames:
            starts.append(num_frames - length)
        return [range(start, start + length) for start in starts]
