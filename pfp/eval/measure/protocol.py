"""How a video is looked at: which decoder, which frames, one clip or many. Part of every score.

Scores of different protocols are different quantities: 2-second clips move the dynamics of one
model from 55 to 71 percent. So the fingerprint is stored with each score, and a leaderboard
refuses to put two into one column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from pfp.errors import ConfigError
from pfp.measures import cuts as cut_rule

ProtocolName: TypeAlias = Literal["whole", "vbench", "vbench-long"]
DecoderName: TypeAlias = Literal["pyav", "decord"]
AlignName: TypeAlias = Literal["error", "truncate", "resize", "time"]
CutsName: TypeAlias = Literal["none", "storyboard", "detected"]

PROTOCOLS: Final[tuple[ProtocolName, ...]] = get_args(ProtocolName)
DECODERS: Final[tuple[DecoderName, ...]] = get_args(DecoderName)
ALIGNS: Final[tuple[AlignName, ...]] = get_args(AlignName)
CUTS: Final[tuple[CutsName, ...]] = get_args(CutsName)
CLIP_SECONDS: Final = 2  # VBench-Long's custom mode
_CUTS_IN_WORDS: Final[dict[CutsName, str]] = {
    "none": "none",  # as in the paper: shots are not treated apart
    "storyboard": "storyboard",
    "detected": f"detected by layout {cut_rule.GRID}/{cut_rule.MIN_DIFFERENCE:g}/"
    f"{cut_rule.MAX_CORRELATION:g}/{cut_rule.OVER_NEIGHBOURS:g}",
}
BY_TIME: Final = "align by time"  # in the fingerprints of that alignment, and of no other
_ALIGNS_IN_WORDS: Final[dict[AlignName, str]] = {
    "truncate": "truncate",
    "resize": "resize by Pillow bicubic",
    "time": "by time, at the lower of both rates",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A way of looking at videos.

    ``whole``: every stored frame of the video as one clip, upright and in square pixels.
    ``vbench``: the same frames as VBench's readers give them, decord and OpenCV: turned by quarter
    turns but never mirrored, pixels as coded, and their colours bit for bit.
    ``vbench-long``: those frames in clips of 2 s, each measured alone, and the mean over clips.

    ``cuts`` says whether shots are measured each by itself, before any clips of 2 s within them:
    ``storyboard``, those of the sample's storyboard; ``detected``, those between detected cuts.
    ``align`` says what becomes of a reference that does not fit, for metrics that compare with
    one: an ``error``; ``truncate``, only as many frames are looked at as both have; ``resize``,
    its frames are resized to the video's size; ``time``, frames are compared that are shown at
    the same time, as often as the slower of the two has one. It never changes the video.
    """

    name: ProtocolName = "whole"
    decoder: DecoderName = "pyav"
    align: AlignName = "error"
    cuts: CutsName = "none"

    def __post_init__(self) -> None:
        """Refuse unknown names, and a decoder that cannot do what the protocol asks."""
        if self.name not in PROTOCOLS:
            raise ConfigError(f"no protocol is called {self.name!r}; use {', '.join(PROTOCOLS)}")
        if self.decoder not in DECODERS:
            raise ConfigError(f"no decoder is called {self.decoder!r}; use {', '.join(DECODERS)}")
        if self.align not in ALIGNS:
            raise ConfigError(f"no alignment is called {self.align!r}; use {', '.join(ALIGNS)}")
        if self.cuts not in CUTS:
            raise ConfigError(f"no policy of cuts is called {self.cuts!r}; use {', '.join(CUTS)}")
        if self.decoder == "decord" and self.is_upright:
            raise ConfigError(
                "decord neither mirrors frames nor makes pixels square, as players do; use it with "
                "--protocol vbench or vbench-long"
            )

    @property
    def is_upright(self) -> bool:
        """Whether frames are turned and stretched as players show them."""
        return self.name == "whole"

    @property
    def reading(self) -> Literal["player", "reference"]:
        """Whose frames they are: players' or those of the reference's readers."""
        return "player" if self.is_upright else "reference"

    @property
    def fingerprint(self) -> str:
        """Everything that tells two protocols apart, for people and for the score's key."""
        clips = f"{CLIP_SECONDS} s at int(fps)" if self.name == "vbench-long" else "none"
        parts = {
            "decoder": self.decoder,
            "fps": "stored",
            "size": "upright" if self.is_upright else "coded, turned",
            "clips": clips,
            "cuts": _CUTS_IN_WORDS[self.cuts],
            "prompt": "as given",
        }
        if not self.is_upright:
            parts["pixels"] = "of decord and OpenCV"
        if self.align != "error":  # the default stays out, so that earlier scores keep their key
            parts["align"] = _ALIGNS_IN_WORDS[self.align]
        return f"{self.name} ({', '.join(f'{name} {value}' for name, value in parts.items())})"

    @property
    def label(self) -> str:
        """The name and what else was asked for, for people."""
        cuts = "" if self.cuts == "none" else f", cuts {self.cuts}"
        align = "" if self.align == "error" else f", align {self.align}"
        return f"{self.name}{cuts}{align}"

    @property
    def without_reference(self) -> Protocol:
        """The same for a metric that compares with nothing."""
        return replace(self, align="error")

    def clips(self, num_frames: int, fps: float, shots: Sequence[range] = ()) -> list[range]:
        """The spans of frames that are measured each by itself, by their first frames.

        shots: the spans to begin with, where cuts are looked at; none is the whole video.

        VBench-Long: clips of ``2 * int(fps)`` frames within each; the last one begins as much
        earlier as it takes to be as long as the others; what is shorter is one clip.
        """
        spans = shots or [range(num_frames)]
        clips = [clip for span in spans for clip in self._within(span, fps)]
        return sorted(clips, key=lambda clip: (clip.start, clip.stop))

    def _within(self, span: range, fps: float) -> list[range]:
        length = CLIP_SECONDS * max(1, int(fps))
        if self.name != "vbench-long" or len(span) <= length:
            return [span]
        starts = list(range(span.start, span.stop - length + 1, length))
        if starts[-1] + length < span.stop:
            starts.append(span.stop - length)
        return [range(start, start + length) for start in starts]
