"""The memory encoder phi: a long latent history becomes a short run of DiT tokens (section 3.1).

Axes: B batch, C latent channels, D the DiT's inner width, T latent frames, H rows, W columns,
N memory tokens (time first, then rows, then columns), 3 the (time, row, column) of a token.

A high-resolution (HR) branch of strided 3D convolutions is added to the low-resolution (LR)
branch, which is the backbone's own patchify and first projection over a small, slow copy of the
video. The addition happens after that projection, so the HR branch does not pass through the
VAE's 16 channels.
"""

from __future__ import annotations

import math
from typing import Final, Protocol, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.rates import Rate

CHANNELS: Final = (64, 128, 256, 512)  # section 4.1; then 512 for every further stage


class MemoryEncoder(Protocol):
    """What turns a history into memory tokens: a module of one of the arms below."""

    def __call__(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor, patch_embedding: nn.Conv3d) -> Tensor:
        """HR and LR latents to ``(B, D, T', H', W')``, the token grid of the rate."""
        ...


class CausalStride(nn.Module):
    """One strided stage: halves time (seeing only backwards) or rows and columns, then SiLU.

    In time the kernel is 2 and the left is padded by one, so token j ends with latent frame 2j:
    aligned with the LR branch's latent j within half a frame, and unchanged by frames that come
    later. In space the kernel is 3 with one row or column of padding before, so odd sizes floor.
    """

    def __init__(self, in_channels: int, out_channels: int, *, axis: str) -> None:
        super().__init__()
        self.axis = axis
        kernel, stride = {"time": ((2, 3, 3), (2, 1, 1)), "space": ((1, 3, 3), (1, 2, 2))}[axis]
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, stride)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """``(B, in, T, H, W)`` to ``(B, out, ceil(T/2), H, W)`` or ``(B, out, T, H//2, W//2)``."""
        if self.axis == "time":
            # A first frame that has no partner; an even count leaves the last frame to the future.
            padded = F.pad(x_BCTHW, (1, 1, 1, 1, 1, 0))
        else:
            padded = F.pad(x_BCTHW, (1, 0, 1, 0, 0, 0))
        return F.silu(cast("Tensor", self.conv(padded)))


class SpatialAttention(nn.Module):
    """Attention among the tokens of one memory frame, with a residual.

    The paper ends its encoder with attention; kept within a frame, it lets a history be appended
    to without encoding the past again (section 3.2).
    """

    def __init__(self, channels: int, *, num_heads: int = 8) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Same shape in and out."""
        batch, channels, num_frames, height, width = x_BCTHW.shape
        tokens = x_BCTHW.movedim(1, -1).reshape(batch * num_frames, height * width, channels)
        normed = self.norm(tokens)
        attended, _ = self.attention(normed, normed, normed, need_weights=False)
        mixed: Tensor = tokens + attended
        return mixed.reshape(batch, num_frames, height, width, channels).movedim(-1, 1)


class HighResolutionBranch(nn.Module):
    """Time is reduced first, then space; the last halving is the patchify's 2x2."""

    def __init__(self, z_channels: int, inner_dim: int, rate: Rate, *, patch: int = 2) -> None:
        super().__init__()
        if rate.height != rate.width:
            message = f"rate {rate} is not square; use the same rate for rows and columns"
            raise ConfigError(message)
        axes = ["time"] * int(math.log2(rate.time))
        axes += ["space"] * int(math.log2(rate.height * patch))
        widths = [CHANNELS[min(index, len(CHANNELS) - 1)] for index in range(len(axes))]
        self.stages = nn.Sequential(
            *(
                CausalStride(before, after, axis=axis)
                for axis, before, after in zip(axes, [z_channels, *widths], widths, strict=False)
            )
        )
        self.attention = SpatialAttention(widths[-1])
        self.project = nn.Conv3d(widths[-1], inner_dim, 1)
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, hr_BCTHW: Tensor) -> Tensor:
        """HR latents to ``(B, D, T', H', W')``; exactly zero before any training."""
        return cast("Tensor", self.project(self.attention(self.stages(hr_BCTHW))))


class DualBranchEncoder(nn.Module):
    """The proposed arm: HR branch plus LR branch, added after the DiT's first projection."""

    def __init__(self, z_channels: int, inner_dim: int, rate: Rate) -> None:
        super().__init__()
        self.hr = HighResolutionBranch(z_channels, inner_dim, rate)

    def forward(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor, patch_embedding: nn.Conv3d) -> Tensor:
        """See ``MemoryEncoder``; the two grids must agree."""
        hr, lr = self.hr(hr_BCTHW), cast("Tensor", patch_embedding(lr_BCTHW))
        if hr.shape != lr.shape:
            message = (
                f"HR tokens {tuple(hr.shape[2:])} and LR tokens {tuple(lr.shape[2:])} differ; "
                "encode the LR video for this rate"
            )
            raise ConfigError(message)
        return cast("Tensor", hr + lr)


class LowResolutionEncoder(nn.Module):
    """The only_lr arm: the backbone's own tokens of the small, slow video. Nothing to train."""

    def forward(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor, patch_embedding: nn.Conv3d) -> Tensor:
        """See ``MemoryEncoder``."""
        del hr_BCTHW
        return cast("Tensor", patch_embedding(lr_BCTHW))


class LargePatchifier(nn.Module):
    """The large_patchifier arm: FramePack's way, one convolution with a larger kernel.

    4x4x2 becomes kernel = stride = (2, 8, 8) over the HR latents, started from the backbone's own
    kernel tiled 2x4x4 times and divided by 32, so that it first takes the mean of its patches.
    The rest is FramePack's too: rotary phases averaged over a token's patches, and the history at
    the target's timestep. The paper's Table 1 uses its implementation as it is.
    """

    def __init__(self, z_channels: int, inner_dim: int, rate: Rate, *, patch: int = 2) -> None:
        super().__init__()
        self.kernel = (rate.time, rate.height * patch, rate.width * patch)
        self.tiles = (rate.time, rate.height, rate.width)
        self.project = nn.Conv3d(z_channels, inner_dim, self.kernel, self.kernel)

    def start_from(self, patch_embedding: nn.Conv3d) -> None:
        """Tile the backbone's kernel; called once, before training."""
        with torch.no_grad():
            tiled = patch_embedding.weight.tile(1, 1, *self.tiles) / math.prod(self.tiles)
            self.project.weight.copy_(tiled)
            cast("Tensor", self.project.bias).copy_(cast("Tensor", patch_embedding.bias))

    def forward(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor, patch_embedding: nn.Conv3d) -> Tensor:
        """See ``MemoryEncoder``; an odd last frame is repeated, as FramePack pads."""
        del lr_BCTHW, patch_embedding
        missing = -hr_BCTHW.shape[2] % self.kernel[0]
        padded = F.pad(hr_BCTHW, (0, 0, 0, 0, 0, missing), mode="replicate")
        return cast("Tensor", self.project(padded))


ARMS: Final = ("proposed", "large_patchifier", "only_lr", "no_memory")


def make_encoder(arm: str, rate: Rate, patch_embedding: nn.Conv3d) -> nn.Module | None:
    """The encoder of an arm, ready to train; None for ``no_memory``."""
    z_channels, inner_dim = patch_embedding.in_channels, patch_embedding.out_channels
    match arm:
        case "proposed":
            return DualBranchEncoder(z_channels, inner_dim, rate)
        case "large_patchifier":
            encoder = LargePatchifier(z_channels, inner_dim, rate)
            encoder.start_from(patch_embedding)
            return encoder
        case "only_lr":
            return LowResolutionEncoder()
        case "no_memory":
            return None
    message = f"arm {arm!r} is unknown; choose one of {', '.join(ARMS)}"
    raise ConfigError(message)


def centre_positions(grid: tuple[int, int, int], rate: Rate) -> Tensor:
    """Where each causal memory token stands in the DiT's own grid: the centre of what it covers.

    Returns float32 ``(N, 1, 3)`` in units of latent frames and patches. Token j covers latent
    frames ``time*j - time + 1 .. time*j``. The paper does not say where tokens stand; we infer the
    centre, which keeps the full strength of all rotary frequencies.
    """
    num_frames, height, width = grid
    times = torch.arange(num_frames) * rate.time - (rate.time - 1) / 2
    rows = torch.arange(height) * rate.height + (rate.height - 1) / 2
    columns = torch.arange(width) * rate.width + (rate.width - 1) / 2
    return torch.cartesian_prod(times, rows, columns)[:, None]


def pooled_positions(grid: tuple[int, int, int], rate: Rate) -> Tensor:
    """The patches that each token of a large patchifier covers, ``(N, K, 3)``.

    FramePack averages the rotary phases of these (its ``center_down_sample_3d`` is an average).
    """
    cell = torch.cartesian_prod(
        *(torch.arange(size) for size in (rate.time, rate.height, rate.width))
    )
    corners = torch.cartesian_prod(*(torch.arange(size) for size in grid))
    strides = torch.tensor([rate.time, rate.height, rate.width])
    return (corners[:, None] * strides + cell[None]).float()
