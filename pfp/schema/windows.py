"""Which source frames a latent, a memory token and a window stand for.

Source frames are those of the clip resampled to ``fps``: frame i is shown at
``start_seconds + i / fps``. With T the last number of the rate HxWxT, ``time_stride`` here, three
causal strides make everything else:

    HR latent 0    source frame 0      HR latent j    frames 4j-3 .. 4j
    LR latent 0    source frame 0      LR latent j    frames T(4j-3), T(4j-2), T(4j-1), 4Tj
    token 0        HR latent 0         token j        HR latents T(j-1)+1 .. Tj

LR video has every T-th source frame. A token is a step of the memory's time axis: HR latents with
causal strides of T altogether (kernels of 2, padded on the left), to which LR latent j is added.
So HR token j ends with frame 4Tj, as LR latent j does. (Symmetric strides would pair HR latents Tj
to Tj+T-1 and end 4(T-1) frames later; the paper is silent, we infer the causal form.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pfp.errors import ConfigError, InputError

TEMPORAL_STRIDE: Final = 4  # source frames per HR latent: the stride of every VAE here
TIME_STRIDE: Final = 2  # T of the paper's 4x4x2


def check_time_stride(name: str, time_stride: int) -> None:
    """A ``ConfigError`` that begins with ``name`` unless the strides of an encoder can make T."""
    if time_stride < 1 or time_stride & (time_stride - 1):
        raise ConfigError(f"{name} is {time_stride}; give a power of two: 1, 2, 4, 8 ...")


def num_latents_of(num_frames: int) -> int:
    """The HR latents of so many source frames; up to three frames at the end make none."""
    return 0 if num_frames < 1 else 1 + (num_frames - 1) // TEMPORAL_STRIDE


def num_frames_of(num_latents: int) -> int:
    """The source frames, 4k + 1, that so many HR latents are made of."""
    return 0 if num_latents < 1 else 1 + (num_latents - 1) * TEMPORAL_STRIDE


def num_lr_latents_of(num_latents: int, *, time_stride: int = TIME_STRIDE) -> int:
    """The LR latents, and the memory tokens in time, beside so many HR latents."""
    return -(-num_latents // time_stride)


def latent_frames(latent: int) -> range:
    """The source frames of an HR latent."""
    _check_index("latent", latent)
    last = latent * TEMPORAL_STRIDE
    return range(max(0, last - TEMPORAL_STRIDE + 1), last + 1)


def lr_latent_frames(latent: int, *, time_stride: int = TIME_STRIDE) -> range:
    """The source frames of an LR latent, every T-th one."""
    frames = latent_frames(latent)
    return range(frames.start * time_stride, frames[-1] * time_stride + 1, time_stride)


def lr_source_frames(num_latents: int, *, time_stride: int = TIME_STRIDE) -> range:
    """The source frames that the LR video beside so many HR latents takes, in order."""
    num_lr_frames = num_frames_of(num_lr_latents_of(num_latents, time_stride=time_stride))
    return range(0, num_lr_frames * time_stride, time_stride)


def token_latents(token: int, *, time_stride: int = TIME_STRIDE) -> range:
    """The HR latents that a memory token sees first hand (its causal strides)."""
    _check_index("token", token)
    last = token * time_stride
    return range(max(0, last - time_stride + 1), last + 1)


def token_frames(token: int, *, time_stride: int = TIME_STRIDE) -> range:
    """The source frames of a memory token's HR latents."""
    latents = token_latents(token, time_stride=time_stride)
    return range(latent_frames(latents[0]).start, latent_frames(latents[-1]).stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """HR latents ``[first_latent, first_latent + num_latents)`` of a clip, and the LR ones beside.

    ``first_latent`` is a multiple of ``time_stride``, so that the window's token j ends where its
    LR latent j ends. Latent indices given to its methods count from the window's first.
    """

    first_latent: int
    num_latents: int
    time_stride: int = TIME_STRIDE

    def __post_init__(self) -> None:
        """Refuses what cannot be sliced in step."""
        check_time_stride("a window's time_stride", self.time_stride)
        if self.first_latent < 0 or self.first_latent % self.time_stride:
            raise ConfigError(
                f"a window cannot begin at latent {self.first_latent}; "
                f"give a multiple of {self.time_stride}, 0 or more"
            )
        if self.num_latents < 1:
            raise ConfigError(f"a window of {self.num_latents} latents is empty; give 1 or more")

    @property
    def hr_slice(self) -> slice:
        """The window along T of the clip's HR latents."""
        return slice(self.first_latent, self.first_latent + self.num_latents)

    @property
    def lr_slice(self) -> slice:
        """The window along T of the clip's LR latents."""
        first = self.first_latent // self.time_stride
        num_lr_latents = num_lr_latents_of(self.num_latents, time_stride=self.time_stride)
        return slice(first, first + num_lr_latents)

    @property
    def frames(self) -> range:
        """All source frames of the window's HR latents."""
        return range(self.latent_frames(0).start, self.latent_frames(self.num_latents - 1).stop)

    def latent_frames(self, latent: int) -> range:
        """The source frames of one of the window's HR latents."""
        if not 0 <= latent < self.num_latents:
            raise InputError(f"the window has no latent {latent}; give 0 to {self.num_latents - 1}")
        return latent_frames(self.first_latent + latent)

    def latent_seconds(
        self, latent: int, *, fps: float, start_seconds: float
    ) -> tuple[float, float]:
        """When in the clip one of the window's HR latents is shown: ``[start, end)``.

        ``fps`` and ``start_seconds`` are the LatentRecord's.
        """
        frames = self.latent_frames(latent)
        return start_seconds + frames.start / fps, start_seconds + frames.stop / fps


def _check_index(what: str, index: int) -> None:
    if index < 0:
        raise InputError(f"there is no {what} {index}; give 0 or more")
