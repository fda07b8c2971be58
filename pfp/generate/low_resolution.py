"""The LR video of a video that grows: small, slow, and encoded as it comes (section 3.1).

Axes: T latent frames, F video frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pfp.errors import ConfigError
from pfp.models.rates import Rate
from pfp.models.vae.halo import HALO_LATENTS, halo_frames
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema.windows import num_frames_of, num_latents_of

# One frame, uint8 RGB ``(H, W, 3)``, made smaller by a whole factor, as the latents stage does it.
Shrink: TypeAlias = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


class LrChunk(NamedTuple):
    """A stretch of an LR video: its frames ``(F, H, W, 3)`` and the latents ``(T, C, H, W)``.

    No latents where the VAE's depend on what follows: they are then not the stretch's own.
    """

    frames_FHWC: NDArray[np.uint8]
    latents_TCHW: NDArray[np.float32] | None


class OpenEncode:
    """``vae.encode_stream`` that is kept open: frames are fed to it, latents come out in step."""

    def __init__(self, vae: LatentVAE) -> None:
        self._waiting: deque[NDArray[np.uint8]] = deque()
        self._stride = vae.temporal_stride
        self._group_size = 1  # a video's first latent stands for one frame
        self._latents = vae.encode_stream(self._feed())

    def append(self, frames_HWC: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """The latents ``(1, C, H, W)`` that new frames complete; up to three frames wait."""
        self._waiting.extend(frames_HWC)
        latents = []
        while len(self._waiting) >= self._group_size:
            latents.append(next(self._latents))
            self._group_size = self._stride
        return latents

    def _feed(self) -> Iterator[NDArray[np.uint8]]:
        while True:
            yield self._waiting.popleft()


class LowResolutionVideo:
    """Every ``rate.time``-th frame, ``rate.height`` times smaller, and its latents.

    With a VAE whose latents do not depend on what follows (``append_exact``) each latent is
    computed once. Otherwise all small frames are kept, and ``whole`` encodes them.
    """

    def __init__(self, vae: LatentVAE, rate: Rate, shrink: Shrink) -> None:
        if rate.height != rate.width:
            raise ConfigError(
                f"rate {rate} is not square, so its LR video is not either; use the same rate for "
                "rows and columns"
            )
        self._vae, self._rate, self._shrink = vae, rate, shrink
        self._stream: OpenEncode | None = None
        self._num_seen = 0  # frames of the full video
        self._num_small = 0  # of them, those taken
        self._new: list[NDArray[np.uint8]] = []
        self._kept: deque[NDArray[np.uint8]] = deque()  # the last of the past, or all of it
        self._shape: tuple[int, ...] = (0, 0, 3)

    def add_frame(self, frame_HWC: NDArray[np.uint8]) -> None:
        """The full video's next frame, uint8 RGB; it is not kept."""
        if self._num_seen % self._rate.time == 0:
            self._new.append(self._shrink(frame_HWC, self._rate.height))
            self._shape = self._new[-1].shape
        self._num_seen += 1

    def advance(self) -> LrChunk:
        """The stretch that was seen since the last call."""
        new, self._new = self._new, []
        frames_FHWC = np.stack(new) if new else np.empty((0, *self._shape), np.uint8)
        if not self._vae.append_exact:
            self._num_small += len(new)
            self._kept.extend(new)
            return LrChunk(frames_FHWC, None)
        if self._stream is None:
            self._stream = self._opened()
        latents = self._stream.append(new)
        self._num_small += len(new)
        cells = [side // self._vae.spatial_stride for side in self._shape[:2]]
        empty = np.empty((0, self._vae.z_channels, *cells), np.float32)
        return LrChunk(frames_FHWC, np.concatenate([empty, *latents]))

    def replay(self, chunk: LrChunk, num_frames: int) -> None:
        """Takes a stretch as seen whose ``advance`` was in an earlier run."""
        self._num_seen += num_frames
        self._num_small += len(chunk.frames_FHWC)
        self._shape = chunk.frames_FHWC.shape[1:]
        self._kept.extend(chunk.frames_FHWC)
        if self._vae.append_exact:
            while len(self._kept) > self._num_small - self._frames_before_halo():
                self._kept.popleft()

    def whole(self) -> NDArray[np.float32]:
        """All latents, encoded anew; only of a VAE that is not ``append_exact``."""
        num_frames = num_frames_of(num_latents_of(len(self._kept)))
        return self._vae.encode(np.stack([*self._kept][:num_frames]))

    def _opened(self) -> OpenEncode:
        """A stream that goes on from what was replayed, after a halo (``pfp.models.vae.halo``)."""
        stream = OpenEncode(self._vae)
        stream.append(self._kept)
        self._kept.clear()
        return stream

    def _frames_before_halo(self) -> int:
        """Small frames that the next latent does not depend on."""
        return halo_frames(num_latents_of(self._num_small), 1, halo_latents=HALO_LATENTS).start
