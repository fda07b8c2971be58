"""TinyCausalVAE: a 4x4x4 video autoencoder small enough for two CPU cores, trained by this project.

Axes: B batch, C channels, T latent frames, F video frames (``F = 4 (T - 1) + 1``), H and W rows and
columns. Latent 0 covers video frame 0, latent j the frames ``4j-3 .. 4j``, as in Wan's causal VAE.

Every group of four frames is folded into channels (4 x 4 x 4 x 3 = 192) and all the work is done
at the latents' resolution, which is why it is cheap. A linear map, which starts as the principal
components, carries most of the image; a few convolutions add what is not linear. Time is seen
only backwards, through each block's previous latent frame, so encoding and decoding can go on
from a cache, and a latent frame can also be decoded alone (the decoder is trained on windows that
begin anywhere).
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

import pfp.models.precision  # noqa: F401 - bf16 convolutions on CPUs are right from here on

TEMPORAL_STRIDE = 4
SPATIAL_STRIDE = 4
FOLDED_CHANNELS = 3 * TEMPORAL_STRIDE * SPATIAL_STRIDE**2


def fold(frames_BCFHW: Tensor) -> Tensor:
    """Four-frame groups into channels: ``(B, 3, 4T, H, W) -> (B, T, 192, H/4, W/4)``."""
    batch, channels, num_frames, height, width = frames_BCFHW.shape
    grouped = frames_BCFHW.reshape(
        batch, channels, num_frames // 4, 4, height // 4, 4, width // 4, 4
    )
    return grouped.permute(0, 2, 1, 3, 5, 7, 4, 6).reshape(
        batch, num_frames // 4, FOLDED_CHANNELS, height // 4, width // 4
    )


def unfold(folded_BTCHW: Tensor) -> Tensor:
    """The inverse of ``fold``."""
    batch, num_groups, _, height, width = folded_BTCHW.shape
    grouped = folded_BTCHW.reshape(batch, num_groups, 3, 4, 4, 4, height, width)
    return grouped.permute(0, 2, 1, 3, 6, 4, 7, 5).reshape(
        batch, 3, num_groups * 4, height * 4, width * 4
    )


class CausalBlock(nn.Module):
    """A residual block that sees its own and the previous latent frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast("Tensor", self.conv2.bias))

    def forward(self, x_BTCHW: Tensor, previous_BCHW: Tensor | None = None) -> Tensor:
        """``previous_BCHW`` is the last frame of the block's earlier input; zeros at a start."""
        if previous_BCHW is None:
            previous_BCHW = torch.zeros_like(x_BTCHW[:, 0])
        past_BTCHW = torch.cat([previous_BCHW[:, None], x_BTCHW[:, :-1]], dim=1)
        h = torch.cat([x_BTCHW, past_BTCHW], dim=2).flatten(0, 1)
        h = self.conv1(F.silu(self.mix(F.silu(h))))
        h = self.conv2(F.silu(h))
        bent: Tensor = h.reshape(x_BTCHW.shape)
        return x_BTCHW + bent


class CausalStack(nn.Module):
    """A linear map from channels to channels, plus blocks for what is not linear."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(in_channels, out_channels, 1)
        self.into = nn.Conv2d(in_channels, hidden, 1)
        self.blocks = nn.ModuleList(CausalBlock(hidden) for _ in range(num_blocks))
        self.out = nn.Conv2d(hidden, out_channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast("Tensor", self.out.bias))

    def forward(self, x_BTCHW: Tensor, cache: list[Tensor] | None = None) -> Tensor:
        """Maps ``(B, T, in, H, W)`` to ``(B, T, out, H, W)``; a cache is read and renewed."""
        batch_and_time = x_BTCHW.shape[:2]
        flat = x_BTCHW.flatten(0, 1)
        h_BTCHW = self.into(flat).unflatten(0, batch_and_time)
        for index, block in enumerate(self.blocks):
            previous = cache[index] if cache is not None and len(cache) > index else None
            last = h_BTCHW[:, -1]
            h_BTCHW = block(h_BTCHW, previous)
            if cache is not None:
                cache[index : index + 1] = [last]
        bent = self.out(F.silu(h_BTCHW.flatten(0, 1)))
        mapped: Tensor = (self.linear(flat) + bent).unflatten(0, batch_and_time)
        return mapped


class TinyCausalVAE(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A deterministic encoder (the posterior mean of a fixed-variance VAE) and its decoder.

    ``latents_mean`` and ``latents_std`` (16 numbers each, measured over the training set) are kept
    in the config as Wan's VAE keeps its own: ``encode`` returns raw latents, callers normalise.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        *,
        z_dim: int = 16,
        hidden_channels: int = 96,
        num_encoder_blocks: int = 2,
        num_decoder_blocks: int = 3,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        del latents_mean, latents_std  # they live in the config
        self.encoder = CausalStack(FOLDED_CHANNELS, hidden_channels, z_dim, num_encoder_blocks)
        self.decoder = CausalStack(z_dim, hidden_channels, FOLDED_CHANNELS, num_decoder_blocks)

    def encode(self, frames_BCFHW: Tensor, cache: list[Tensor] | None = None) -> Tensor:
        """RGB in [-1, 1], ``(B, 3, F, H, W)``, H and W multiples of 4, to ``(B, z, T, H/4, W/4)``.

        Without a cache, ``F = 4k + 1`` and frame 0 stands for the three frames before it. With a
        list as cache the first call is the same, and each further call takes the next 4k frames.
        """
        is_start = not cache
        if is_start:
            frames_BCFHW = torch.cat([frames_BCFHW[:, :, :1]] * 3 + [frames_BCFHW], dim=2)
        if frames_BCFHW.shape[2] % 4:
            message = (
                f"{frames_BCFHW.shape[2] - 3 * is_start} frames do not fill groups of four; give "
                "4k + 1 frames at the start and 4k later"
            )
            raise ValueError(message)
        return cast("Tensor", self.encoder(fold(frames_BCFHW), cache)).transpose(1, 2)

    def decode(
        self, latents_BCTHW: Tensor, cache: list[Tensor] | None = None, *, is_start: bool = True
    ) -> Tensor:
        """``(B, z, T, H, W)`` raw latents to RGB near [-1, 1].

        ``is_start`` says that latent 0 is the clip's first, which stands for one frame: the result
        has ``4T - 3`` frames; otherwise it has ``4T`` (a window, or a frame retrieved from the
        middle).
        """
        frames = unfold(cast("Tensor", self.decoder(latents_BCTHW.transpose(1, 2), cache)))
        return frames[:, :, 3:] if is_start else frames
