"""The high-resolution branch: strided 3D convolutions, SiLU, attention, 1x1 (figure 3).

Axes: B batch, C channels, D the DiT's inner width, F feature channels, T frames, H rows, W columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

import pfp.models.precision  # noqa: F401 - bf16 convolutions on CPUs are right from here on
from pfp.errors import ConfigError
from pfp.models.patchify import patchify
from pfp.models.rates import Rate, TimeStride

CHANNELS: Final = (64, 128, 256, 512)  # section 4.1; then 512 for every further stage
SILU_GAIN: Final = 1.68  # 1 / sqrt(E[silu(x)^2]) of unit normal x


class Stage(nn.Module):
    """One convolution and SiLU: halves time, halves rows and columns, or only mixes neighbours.

    In time the kernel is 2. Causal stages pad the left by one, so token j ends with latent frame
    2j: aligned with the LR branch's latent j within half a frame, and unchanged by frames that
    come later. Symmetric stages pair frames 2j and 2j + 1, and an odd last frame with itself. In
    space the kernel is 3 with one row or column of padding before, so odd sizes floor.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, axis: str, stride: TimeStride = "causal"
    ) -> None:
        super().__init__()
        self.axis = axis
        self.stride = stride
        kernel, steps = {
            "time": ((2, 3, 3), (2, 1, 1)),
            "space": ((1, 3, 3), (1, 2, 2)),
            "none": ((1, 3, 3), (1, 1, 1)),
        }[axis]
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, steps)
        _kaiming_init(self.conv)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """``(B, in, T, H, W)`` to ``(B, out, ceil(T/2), H, W)`` or ``(B, out, T, H//2, W//2)``."""
        if self.axis == "time" and self.stride == "causal":
            # A first frame that has no partner; an even count leaves the last frame to the future.
            padded = F.pad(x_BCTHW, (1, 1, 1, 1, 1, 0))
        elif self.axis == "time":
            odd = x_BCTHW.shape[2] % 2
            padded = F.pad(torch.cat([x_BCTHW, x_BCTHW[:, :, -1:]], 2) if odd else x_BCTHW, [1] * 4)
        elif self.axis == "space":
            padded = F.pad(x_BCTHW, (1, 0, 1, 0, 0, 0))
        else:
            padded = F.pad(x_BCTHW, (1, 1, 1, 1, 0, 0))
        return F.silu(cast("Tensor", self.conv(padded)))

    def advance(self, new_BCTHW: Tensor, tail_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs that new frames complete, given a causal time stage's waiting frame or none.

        Returns ``(B, out, T', H, W)``, which is a part of what ``forward`` gives over all frames,
        and the frame that waits for its partner: ``(B, in, 0 or 1, H, W)``.
        """
        frames = torch.cat([tail_BCTHW, new_BCTHW], dim=2)
        whole = frames.shape[2] // 2 * 2
        # A copy, so that a kept state does not keep its whole history alive.
        ready, tail = frames[:, :, :whole], frames[:, :, whole:].clone()
        if not whole:
            batch, _, _, height, width = frames.shape
            return frames.new_empty(batch, self.conv.out_channels, 0, height, width), tail
        return F.silu(cast("Tensor", self.conv(F.pad(ready, (1, 1, 1, 1, 0, 0))))), tail


def _kaiming_init(conv: nn.Conv3d) -> None:
    """Kaiming initialisation for SiLU (He et al. 2015): outputs keep the variance of the inputs.

    torch's default initialisation is uniform with the variance 1 / (3 fan_in); four such stages
    leave 0.9 % of a latent's standard deviation, and the branch has nothing local left to learn
    from (docs/table1.md). The paper does not say how it initialises; we infer what lets it pay.
    """
    with torch.no_grad():
        conv.weight.mul_(SILU_GAIN * math.sqrt(3))
        cast("Tensor", conv.bias).zero_()


class SpatialAttention(nn.Module):
    """Attention among the tokens of one memory frame, with a residual.

    The paper ends its encoder with attention; kept within a frame, it lets a history be appended
    to without encoding the past again (section 3.2), and its cost grows with the number of frames
    and not with its square: at 2x2x1 attention over all tokens would be 87% of the encoder.
    """

    def __init__(self, channels: int, *, num_heads: int = 8) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Same shape in and out."""
        batch, channels, num_frames, height, width = x_BCTHW.shape
        tokens = x_BCTHW.movedim(1, -1).reshape(batch * num_frames, height * width, channels)
        mixed = tokens + self._attended(self.norm(tokens))
        return mixed.reshape(batch, num_frames, height, width, channels).movedim(-1, 1)

    def _attended(self, tokens_BND: Tensor) -> Tensor:
        """What ``self.attention`` gives when it is trained, to the bit.

        Its own forward is not called: it projects a transposed view, for which torch copies the
        weight once for each token when it keeps no gradients under autocast. At 480p that was five
        sixths of the time of appending a second.
        """
        attention = self.attention
        projected = F.linear(tokens_BND, attention.in_proj_weight)
        # Added apart, because a product that begins at the bias rounds otherwise.
        projected = projected + attention.in_proj_bias.to(projected.dtype)
        shape_BN3HE = (*projected.shape[:2], 3, attention.num_heads, attention.head_dim)
        q, k, v = projected.view(shape_BN3HE).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return cast("Tensor", attention.out_proj(mixed))


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchState:
    """What the causal branch keeps of a history: at most one frame a time stage."""

    tails: tuple[Tensor, ...]


class HighResolutionBranch(nn.Module):
    """Time is reduced first, then space; the last halving is the patchify's 2x2.

    Rates with fewer than four halvings get stages that only mix neighbours, at the end where they
    cost least, so that every rate ends at 512 channels. ``zero_init`` sets the last projection to
    zeros, so that an untrained branch adds nothing.
    """

    def __init__(
        self,
        z_channels: int,
        inner_dim: int,
        rate: Rate,
        *,
        patch: int = 2,
        stride: TimeStride = "causal",
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        if rate.height != rate.width:
            message = f"rate {rate} is not square; use the same rate for rows and columns"
            raise ConfigError(message)
        axes = ["time"] * int(math.log2(rate.time))
        axes += ["space"] * int(math.log2(rate.height * patch))
        axes += ["none"] * (len(CHANNELS) - len(axes))
        widths = [CHANNELS[min(index, len(CHANNELS) - 1)] for index in range(len(axes))]
        self.num_time_stages = axes.count("time")
        self.num_space_stages = axes.count("space")
        self.stride = stride
        self.stages = nn.Sequential(
            *(
                Stage(before, after, axis=axis, stride=stride)
                for axis, before, after in zip(axes, [z_channels, *widths], widths, strict=False)
            )
        )
        self.attention = SpatialAttention(widths[-1])
        self.project = nn.Conv3d(widths[-1], inner_dim, 1)
        if zero_init:
            for parameter in self.project.parameters():
                nn.init.zeros_(parameter)

    @property
    def feature_dim(self) -> int:
        """Channels of the penultimate features."""
        return self.project.in_channels

    def features(self, hr_BCTHW: Tensor) -> Tensor:
        """HR latents to the last hidden state ``(B, F, T', H', W')``, before the 1x1."""
        return cast("Tensor", self.attention(self.stages(hr_BCTHW)))

    def forward(self, hr_BCTHW: Tensor) -> Tensor:
        """HR latents to ``(B, D, T', H', W')``; with ``zero_init``, zero before any training."""
        return patchify(self.project, self.features(hr_BCTHW)).movedim(-1, 1)

    def initial_state(self, hr_BCTHW: Tensor) -> BranchState:
        """The state of an empty history of videos like this one: zeros before the first frame."""
        self._refuse_symmetric()
        batch, _, _, height, width = hr_BCTHW.shape
        channels = [stage.conv.in_channels for stage in self._time_stages()]
        return BranchState(
            tails=tuple(hr_BCTHW.new_zeros(batch, n, 1, height, width) for n in channels)
        )

    def advance(self, new_BCTHW: Tensor, state: BranchState | None) -> tuple[Tensor, BranchState]:
        """Features ``(B, F, T', H', W')`` of the tokens that new frames complete; T' may be 0."""
        self._refuse_symmetric()
        if state is None or len(state.tails) != self.num_time_stages:
            message = "the state is of another encoder; begin with this encoder's encode_start"
            raise ConfigError(message)
        x, tails = new_BCTHW, []
        for stage, tail in zip(self._time_stages(), state.tails, strict=True):
            x, waiting = stage.advance(x, tail)
            tails.append(waiting)
        if x.shape[2]:
            x = self.attention(self.stages[self.num_time_stages :](x))
        else:
            height, width = (side >> self.num_space_stages for side in new_BCTHW.shape[-2:])
            x = x.new_empty(x.shape[0], self.feature_dim, 0, height, width)
        return x, BranchState(tails=tuple(tails))

    def _refuse_symmetric(self) -> None:
        if self.stride != "causal":
            message = (
                "symmetric strides pair the last frame with one that is still to come, so nothing "
                "can be appended; encode the whole history again or use causal strides"
            )
            raise ConfigError(message)

    def _time_stages(self) -> list[Stage]:
        return [cast("Stage", stage) for stage in self.stages[: self.num_time_stages]]
