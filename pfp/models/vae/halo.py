"""Latents from the middle of a long video, without encoding all that came before.

Axes: T latent frames, F video frames, C channels, H and W rows and columns.

A streaming encoder goes on from its feature cache. Where that cannot be kept (it is larger than
the latents), the encoder can start a little earlier, with a halo whose latents are thrown away.
The first latent of any encode stands for one frame and latent j for the frames ``4j-3 .. 4j``: so
an encode that is to stay in step begins with the last frame of a latent, ``4 first``, and its
latent k is the video's latent ``first + k``.

A latent of a causal encoder sees a bounded time back. Once the halo covers that, the latents are
those of the whole video, to the bit (float32, CPU; tested). Wan 2.1 and 2.2 (real encoders, narrow,
random weights) need 28 latents, 27 leave an error of 2e-7 to 3e-7 of the largest latent; hence
also LongLive's ``vae_halo_latents: 28``. ``tiny`` needs 3: its two blocks see one latent back each,
and the first latent is the one made of a single frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pfp.errors import ConfigError, InputError
from pfp.models.vae.latent_vae import TEMPORAL_STRIDE, LatentVAE

HALO_LATENTS: Final = 28  # enough for every VAE here that streams


def halo_frames(first_latent: int, num_latents: int, *, halo_latents: int = HALO_LATENTS) -> range:
    """The video frames that ``encode_with_halo`` needs for ``num_latents`` latents.

    ``4k + 1`` frames; from the very first one when the halo would begin before it.
    """
    if first_latent < 0 or num_latents < 1 or halo_latents < 1:
        raise ConfigError(
            f"{num_latents} latents from latent {first_latent} on, after a halo of {halo_latents}, "
            "cannot be encoded; give 1 or more latents, from 0 on, and a halo of at least 1"
        )
    start = _first_encoded(first_latent, halo_latents)
    return range(start * TEMPORAL_STRIDE, (first_latent + num_latents - 1) * TEMPORAL_STRIDE + 1)


def encode_with_halo(
    vae: LatentVAE,
    frames_FHWC: NDArray[np.uint8],
    *,
    first_latent: int,
    halo_latents: int = HALO_LATENTS,
) -> NDArray[np.float32]:
    """The video's normalised latents from ``first_latent`` on, float32 ``(T, z, h, w)``.

    ``frames_FHWC`` are the frames ``halo_frames(first_latent, T, halo_latents=...)`` of the video,
    uint8 RGB. A number of frames that ends inside the halo, or is not ``4k + 1``, is an
    ``InputError``; a VAE whose latents depend on what follows (``append_exact`` is False) a
    ``ConfigError``, because its tiles would lie elsewhere than in the whole video.
    """
    if not vae.append_exact:
        raise ConfigError(
            f"{vae.vae_id} encodes in tiles whose place decides the latents, so a halo would not "
            "give the whole video's; encode the whole video"
        )
    needed = halo_frames(first_latent, 1, halo_latents=halo_latents)
    if len(frames_FHWC) < len(needed):
        raise InputError(
            f"{len(frames_FHWC)} frames end before latent {first_latent}; give the video's frames "
            f"from {needed.start} to at least {needed[-1]}"
        )
    num_thrown = first_latent - _first_encoded(first_latent, halo_latents)
    return vae.encode(frames_FHWC)[num_thrown:]


def _first_encoded(first_latent: int, halo_latents: int) -> int:
    return max(0, first_latent - halo_latents)
