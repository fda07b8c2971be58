"""What is done to a clip's frames before they are encoded. No torch here."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.schema.windows import TIME_STRIDE, check_time_stride

VERSION: Final = 2  # raise it when equal settings come to mean other pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSettings:
    """Rate and size of the encoded frames. Portrait clips take the size with its sides swapped.

    LR video is ``lr_factor`` times smaller in height and width and takes every
    ``lr_frame_stride``-th frame: the copy that an encoder of the rate ``lr_rate`` needs (section
    3.1). A clip with fewer than ``min_num_frames`` resampled frames is dropped.
    """

    fps: float
    long_side: int  # pixels
    short_side: int
    lr_factor: int = 4
    lr_frame_stride: int = TIME_STRIDE
    min_num_frames: int = 1

    def __post_init__(self) -> None:
        """Refuses what cannot be encoded."""
        if self.fps <= 0:
            raise ConfigError(f"fps is {self.fps}; give a positive rate")
        if self.long_side < self.short_side or self.short_side < 1:
            raise ConfigError(
                f"long_side {self.long_side} and short_side {self.short_side} are no frame size; "
                "give a long side of at least the short side"
            )
        if (
            self.lr_factor < 1
            or self.short_side % self.lr_factor
            or self.long_side % self.lr_factor
        ):
            raise ConfigError(
                f"lr_factor {self.lr_factor} does not divide {self.long_side} x "
                f"{self.short_side}; give one that does"
            )
        check_time_stride("lr_frame_stride", self.lr_frame_stride)
        if self.min_num_frames < 1:
            raise ConfigError(f"min_num_frames is {self.min_num_frames}; give 1 or more")

    @property
    def lr_fps(self) -> float:
        """The rate of LR video."""
        return self.fps / self.lr_frame_stride

    @property
    def lr_rate(self) -> str:
        """The rate whose LR video it is, as the paper writes it: ``4x4x2``."""
        return rate_text(self.lr_factor, self.lr_frame_stride)

    def with_lr_rate(self, rate: str) -> Self:
        """The same clips with the LR video of another rate, given as the paper writes it."""
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", rate)
        if match is None or match[1] != match[2]:
            raise ConfigError(
                f"there is no LR video of rate {rate!r}; give NxNxT, for example 2x2x8"
            )
        return replace(self, lr_factor=int(match[1]), lr_frame_stride=int(match[3]))

    @property
    def sha256(self) -> str:
        """The digest of all that decides the pixels (``min_num_frames`` decides only verdicts)."""
        pixels = {key: value for key, value in asdict(self).items() if key != "min_num_frames"}
        return sha256_json({"version": VERSION, **pixels})

    def size_for(self, clip_width: int, clip_height: int) -> tuple[int, int]:
        """``(height, width)`` of the encoded frames; a square clip counts as landscape."""
        if clip_height > clip_width:
            return self.long_side, self.short_side
        return self.short_side, self.long_side

    def check_stride(self, spatial_stride: int) -> None:
        """A ``ConfigError`` if HR or LR frames do not fill a VAE's cells of that many pixels."""
        for factor in (1, self.lr_factor):
            long_side, short_side = self.long_side // factor, self.short_side // factor
            if long_side % spatial_stride or short_side % spatial_stride:
                what = "HR" if factor == 1 else f"LR (lr_factor {factor})"
                raise ConfigError(
                    f"{what} frames of {long_side} x {short_side} are not multiples of the VAE's "
                    f"stride {spatial_stride}; choose other sides or another lr_factor"
                )


def rate_text(lr_factor: int, lr_frame_stride: int) -> str:
    """``4x4x2``: the paper's notation of the rate that an LR copy is for."""
    return f"{lr_factor}x{lr_factor}x{lr_frame_stride}"


def downscale(frame_HWC: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """The mean of each ``factor`` x ``factor`` block, rounded to 8-bit code values (halves up)."""
    height, width, channels = frame_HWC.shape
    blocks = frame_HWC.reshape(height // factor, factor, width // factor, factor, channels)
    area = factor * factor
    sums: NDArray[np.uint32] = blocks.sum(axis=(1, 3), dtype=np.uint32)
    return ((sums + area // 2) // area).astype(np.uint8)
