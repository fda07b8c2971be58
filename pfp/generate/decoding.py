"""Decoding a video that grows: each section in the context of the latents before it.

Axes: T latent frames, F video frames, C channels, H rows, W columns.

The decoders of causal VAEs see a bounded time back. Decoding the new latents after that many of
the old ones, whose frames are thrown away, gives the frames of the whole video's decode, and takes
the same time and memory however long the video is. What the reach is was measured with real
decoders of true depth, narrow, with random weights, and is tested: see ``CONTEXT``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiles import TILING_SUFFIX


class Context(NamedTuple):
    """How many latents go before new ones, at least; the first one's index is such a multiple."""

    num_latents: int
    multiple: int = 1


# tiny: each of its three blocks sees one latent back. Wan 2.1 and 2.2: 37 leave an error of 2e-7
# and 38 none. HunyuanVideo decodes in tiles that begin every 3 latents and normalises over each
# tile's frames, so no context gives the whole decode's frames; whole tiles come closest.
CONTEXT: Final[Mapping[str, Context]] = {
    "tiny": Context(3),
    "wan21": Context(38),
    "wan22_5b": Context(38),
    "hunyuan": Context(12, multiple=3),
}


class GrowingDecode:
    """Frames of latents that come section by section; it keeps the context alone."""

    def __init__(self, vae: LatentVAE) -> None:
        self._vae = vae
        self._context = CONTEXT[vae.vae_id.removesuffix(TILING_SUFFIX)]
        self._tail_TCHW: NDArray[np.float32] | None = None
        self._num_latents = 0

    @property
    def is_exact(self) -> bool:
        """Whether frames are those that decoding the whole video at once would give."""
        return self._vae.append_exact

    def add_context(self, new_TCHW: NDArray[np.float32]) -> None:
        """Latents whose frames exist already become the context of those that follow."""
        window_TCHW = self._window(new_TCHW)
        self._num_latents += len(new_TCHW)
        wanted = self._num_latents - self._context.num_latents
        first = max(0, wanted // self._context.multiple * self._context.multiple)
        # A copy, so that a kept context does not keep its whole history alive.
        self._tail_TCHW = window_TCHW[-(self._num_latents - first) :].copy()

    def append(self, new_TCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The frames of new latents, uint8 RGB ``(F, H, W, 3)``: four each, of the first one one.

        Normalised float32 latents ``(T, C, H, W)``.
        """
        window_TCHW = self._window(new_TCHW)
        frames_FHWC = self._vae.decode(window_TCHW)
        num_before = len(window_TCHW) - len(new_TCHW)
        num_thrown = 1 + (num_before - 1) * self._vae.temporal_stride if num_before else 0
        self.add_context(new_TCHW)
        return frames_FHWC[num_thrown:]

    def _window(self, new_TCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._tail_TCHW is None:
            return new_TCHW
        return np.concatenate([self._tail_TCHW, new_TCHW])
