"""The high-resolution branch: strided 3D convolutions, SiLU, attention, 1x1 (figure 3).

Axes: B batch, C channels, D the DiT's inner width, F feature channels, T frames, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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

    In time the kernel is 2 where time is halved and 1 elsewhere, or ``temporal_kernel`` 3
    everywhere. Causal stages pad the left of time, so token j ends with latent frame 2j: aligned
    with the LR branch's latent j within half a frame, and unchanged by frames that come later.
    Symmetric stages pair frames 2j and 2j + 1, and an odd last frame with itself. In space the
    kernel is 3 with one row or column of padding before, so odd sizes floor.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        axis: str,
        stride: TimeStride = "causal",
        temporal_kernel: int = 2,
    ) -> None:
        super().__init__()
        self.axis = axis
        self.stride = stride
        self.kernel_T = temporal_kernel if axis == "time" or temporal_kernel > 2 else 1
        self.stride_T = 2 if axis == "time" else 1
        side = 2 if axis == "space" else 1
        kernel, strides = (self.kernel_T, 3, 3), (self.stride_T, side, side)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, strides)
        _kaiming_init(self.conv)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """``(B, in, T, H, W)`` to ``(B, out, ceil(T/2), H, W)`` or ``(B, out, T, H//2, W//2)``."""
        if self.stride == "causal":
            # Frames before the first; where time is halved, an even count leaves the last frame
            # to the future.
            before = self.kernel_T - 1
            return self._convolved(F.pad(x_BCTHW, (0, 0, 0, 0, before, 0)))
        if self.axis == "time" and x_BCTHW.shape[2] % 2:
            x_BCTHW = torch.cat([x_BCTHW, x_BCTHW[:, :, -1:]], 2)
        return self._convolved(x_BCTHW)

    def advance(self, new_BCTHW: Tensor, tail_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs that new frames complete, given the frames that a causal stage still needs.

        Returns ``(B, out, T', H', W')``, which is a part of what ``forward`` gives over all
        frames, and the frames to keep for the next call: fewer than the kernel has.
        """
        frames = torch.cat([tail_BCTHW, new_BCTHW], dim=2)
        num_done = max(0, (frames.shape[2] - self.kernel_T) // self.stride_T + 1)
        # A copy, so that a kept state does not keep its whole history alive.
        tail = frames[:, :, num_done * self.stride_T :].clone()
        if not num_done:
            height, width = self.size_after(*frames.shape[-2:])
            shape = (frames.shape[0], self.conv.out_channels, 0, height, width)
            return frames.new_empty(shape), tail
        used = (num_done - 1) * self.stride_T + self.kernel_T
        return self._convolved(frames[:, :, :used]), tail

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that so many become."""
        return (height // 2, width // 2) if self.axis == "space" else (height, width)

    def _convolved(self, x_BCTHW: Tensor) -> Tensor:
        after = 0 if self.axis == "space" else 1
        return F.silu(cast("Tensor", self.conv(F.pad(x_BCTHW, (1, after, 1, after, 0, 0)))))


def _kaiming_init(conv: nn.Conv3d) -> None:
    """Kaiming initialisation for SiLU (He et al. 2015): outputs keep the variance of the inputs.

    torch's default initialisation is uniform with the variance 1 / (3 fan_in); four such stages
    leave 0.9 % of a latent's standard deviation, and the branch has nothing local left to learn
    from (docs/table1.md). The paper does not say how it initialises; we infer what lets it pay.
    """
    with torch.no_grad():
        conv.weight.mul_(SILU_GAIN * math.sqrt(3))
        cast("Tensor", conv.bias).zero_()


class FrameAttention(nn.Module):
    """Attention of a memory frame's tokens, among themselves and to earlier frames' tokens.

    ``num_frames`` is how many frames a token attends to: its own, and the ones before it. The
    paper ends its encoder with attention; kept within a frame (1) or block-causal (more), it lets
    a history be appended to without encoding the past again (section 3.2), and its cost grows
    with the length of the history and not with its square: at 2x2x1 attention over all tokens
    would be 87% of the encoder. There is a residual, and there are no positions.
    """

    def __init__(self, channels: int, *, num_heads: int = 8, num_frames: int = 1) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)

    def forward(self, x_BCTHW: Tensor, past_BCTHW: Tensor | None = None) -> Tensor:
        """Same shape in and out; ``past`` are the frames right before these."""
        num_past = 0 if past_BCTHW is None else past_BCTHW.shape[2]
        frames = x_BCTHW if past_BCTHW is None else torch.cat([past_BCTHW, x_BCTHW], dim=2)
        batch, channels, num_frames, height, width = frames.shape
        tokens = frames.movedim(1, -1).reshape(batch * num_frames, height * width, channels)
        attended = self._attended(self.norm(tokens), batch, num_past)
        if num_past:
            tokens = tokens.view(batch, num_frames, -1, channels)[:, num_past:].flatten(0, 1)
        mixed = tokens + attended
        return mixed.reshape(batch, -1, height, width, channels).movedim(-1, 1)

    def _attended(self, tokens_BND: Tensor, batch_size: int, num_past: int) -> Tensor:
        """What ``self.attention`` gives when it is trained, to the bit, after ``num_past`` frames.

        Its own forward is not called: it projects a transposed view, for which torch copies the
        weight once for each token when it keeps no gradients under autocast. At 480p that was five
        sixths of the time of appending a second. B counts the frames of all samples.
        """
        attention = self.attention
        projected = F.linear(tokens_BND, attention.in_proj_weight)
        # Added apart, because a product that begins at the bias rounds otherwise.
        projected = projected + attention.in_proj_bias.to(projected.dtype)
        shape_BN3HE = (*projected.shape[:2], 3, attention.num_heads, attention.head_dim)
        q, k, v = projected.view(shape_BN3HE).permute(2, 0, 3, 1, 4)
        if self.num_frames == 1:
            mixed_BHNE = F.scaled_dot_product_attention(q, k, v)
        else:
            by_frame = (batch_size, -1, *q.shape[1:])
            q, k, v = q.reshape(by_frame), k.reshape(by_frame), v.reshape(by_frame)
            mixed_BHNE = self._block_causal(q, k, v, num_past).flatten(0, 1)
        return cast("Tensor", attention.out_proj(mixed_BHNE.transpose(1, 2).flatten(2)))

    def _block_causal(self, q: Tensor, k: Tensor, v: Tensor, num_past: int) -> Tensor:
        """Attention of ``(B, T, heads, N, E)``, one frame's queries at a time.

        So nothing is as large as all tokens squared. The first ``num_past`` frames only are seen.
        """
        mixed = []
        for frame in range(num_past, q.shape[1]):
            seen = slice(max(0, frame + 1 - self.num_frames), frame + 1)
            keys, values = (x[:, seen].transpose(1, 2).flatten(2, 3) for x in (k, v))
            mixed.append(F.scaled_dot_product_attention(q[:, frame], keys, values))
        return torch.stack(mixed, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchState:
    """What the causal branch keeps of a history: fewer frames than its kernels and attention see.

    ``tails`` are those of the stages whose kernels reach over frames, in order, ``past`` those
    that attention looks back to.
    """

    tails: tuple[Tensor, ...]
    past_BCTHW: Tensor | None = None


class HighResolutionBranch(nn.Module):
    """Time is reduced first, then space; the last halving is the patchify's 2x2.

    Rates with fewer than four halvings get stages that only mix neighbours, at the end where they
    cost least, so that every rate ends at 512 channels. ``zero_init`` sets the last projection to
    zeros, so that an untrained branch adds nothing.

    The paper says "3D convolution" and "attention" and no sizes. ``temporal_kernel`` 2 is the
    least that halves time: a token then sees the ``rate.time`` latents that it stands for. With 3
    every stage reaches two frames back. ``attention_frames`` is that of ``FrameAttention``.
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
        temporal_kernel: int = 2,
        attention_frames: int = 1,
    ) -> None:
        super().__init__()
        if rate.height != rate.width:
            message = f"rate {rate} is not square; use the same rate for rows and columns"
            raise ConfigError(message)
        if stride == "symmetric" and (temporal_kernel > 2 or attention_frames > 1):
            message = (
                f"symmetric strides go with temporal_kernel 2 and attention_frames 1, not with "
                f"{temporal_kernel} and {attention_frames}, which look back; use causal strides"
            )
            raise ConfigError(message)
        axes = ["time"] * int(math.log2(rate.time))
        axes += ["space"] * int(math.log2(rate.height * patch))
        axes += ["none"] * (len(CHANNELS) - len(axes))
        widths = [CHANNELS[min(index, len(CHANNELS) - 1)] for index in range(len(axes))]
        self.stride = stride
        self.stages = nn.Sequential(
            *(
                Stage(before, after, axis=axis, stride=stride, temporal_kernel=temporal_kernel)
                for axis, before, after in zip(axes, [z_channels, *widths], widths, strict=False)
            )
        )
        self.attention = FrameAttention(widths[-1], num_frames=attention_frames)
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
        tails = []
        for stage in self._stages():
            shape = (batch, stage.conv.in_channels, stage.kernel_T - 1, height, width)
            if stage.kernel_T > 1:
                tails.append(hr_BCTHW.new_zeros(shape))
            height, width = stage.size_after(height, width)
        return BranchState(tails=tuple(tails))

    def advance(self, new_BCTHW: Tensor, state: BranchState | None) -> tuple[Tensor, BranchState]:
        """Features ``(B, F, T', H', W')`` of the tokens that new frames complete; T' may be 0."""
        self._refuse_symmetric()
        num_tails = sum(stage.kernel_T > 1 for stage in self._stages())
        if state is None or len(state.tails) != num_tails:
            message = "the state is of another encoder; begin with this encoder's encode_start"
            raise ConfigError(message)
        x, kept, tails = new_BCTHW, iter(state.tails), []
        for stage in self._stages():
            tail = next(kept) if stage.kernel_T > 1 else x[:, :, :0]
            x, waiting = stage.advance(x, tail)
            if stage.kernel_T > 1:
                tails.append(waiting)
        past = _last_frames(state.past_BCTHW, x, self.attention.num_frames - 1)
        if x.shape[2]:
            x = self.attention(x, state.past_BCTHW)
        return x, BranchState(tails=tuple(tails), past_BCTHW=past)

    def _refuse_symmetric(self) -> None:
        if self.stride != "causal":
            message = (
                "symmetric strides pair the last frame with one that is still to come, so nothing "
                "can be appended; encode the whole history again or use causal strides"
            )
            raise ConfigError(message)

    def _stages(self) -> Iterator[Stage]:
        return (cast("Stage", stage) for stage in self.stages)


def _last_frames(past_BCTHW: Tensor | None, new_BCTHW: Tensor, num_frames: int) -> Tensor | None:
    """A copy of the last frames of a history that goes on; None where none are needed."""
    if not num_frames:
        return None
    frames = new_BCTHW if past_BCTHW is None else torch.cat([past_BCTHW, new_BCTHW], dim=2)
    return frames[:, :, -num_frames:].clone()
