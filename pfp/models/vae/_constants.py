"""The per-channel constants that normalise latents, as VAE configs hold them."""

from __future__ import annotations

from collections.abc import Sequence

from pfp.errors import WeightsError


def normalisation(
    spec: str,
    z_channels: int,
    latents_mean: Sequence[float] | None,
    latents_std: Sequence[float] | None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The checked ``(mean, std)`` of a config: ``z_channels`` numbers each, every std positive.

    Guessing them would give latents that nobody else can decode, so a config without them is a
    ``WeightsError``. Despite their name in diffusers' pipelines, configs hold std, not 1 / std.
    """
    mean, std = tuple(latents_mean or ()), tuple(latents_std or ())
    if len(mean) != z_channels or len(std) != z_channels:
        raise WeightsError(
            f"{spec}: config.json has {len(mean)} latents_mean and {len(std)} latents_std for "
            f"{z_channels} latent channels; use the config.json published with the weights"
        )
    if min(std) <= 0:
        raise WeightsError(
            f"{spec}: config.json has a latents_std of {min(std)}; use the published config.json"
        )
    return mean, std
