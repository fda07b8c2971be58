"""The encoder variants of the paper's ablations (section 4.2).

Axes: B batch, C latent channels, D the DiT's inner width, F feature channels, T latent frames,
H rows, W columns, N memory tokens.

All encode a history, and most append to it. Every variant has the methods of ``MemoryEncoder``:

- a call gives the tokens as a grid ``(B, D, T', H', W')``;
- ``encode`` gives them as ``MemoryTokens``, with their positions and features;
- ``encode_start`` and ``encode_append`` give the tokens of new latents only, and carry a state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.memory.branch import BranchState, HighResolutionBranch
from pfp.models.memory.tokens import MemoryTokens, centre_positions, flat, pooled_positions
from pfp.models.patchify import patchify
from pfp.models.rates import Rate, Rounding, TimeStride

WINDOW: Final = 3  # latent frames of the paper's sliding window (section 4.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderState:
    """What an encoder keeps of a history to append to it; the caller keeps the tokens."""

    num_latents: int = 0
    num_token_frames: int = 0
    branch: BranchState | None = None
    window_BCTHW: Tensor | None = None


def padded_to(x_BCTHW: Tensor, rows: int, columns: int) -> Tensor:
    """Rows and columns repeated at their far ends up to multiples, as FramePack pads."""
    height, width = x_BCTHW.shape[-2:]
    missing = (0, -width % columns, 0, -height % rows, 0, 0)
    return F.pad(x_BCTHW, missing, mode="replicate") if any(missing) else x_BCTHW


class MemoryEncoder(nn.Module):
    """The HR branch plus the LR branch, added after the DiT's first projection; or one of them.

    With both this is the proposed variant, with ``lr`` alone only_lr (nothing to train), with
    ``hr`` alone without_lr.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        hr: HighResolutionBranch | None,
        lr: bool,
        patch: int = 2,
        rounding: Rounding = "floor",
    ) -> None:
        super().__init__()
        if hr is None and not lr:
            message = "an encoder without branches gives no memory; keep the HR or the LR branch"
            raise ConfigError(message)
        self.rate = rate
        self.hr = hr
        self.uses_lr = lr
        self.patch = patch
        self.rounding = rounding

    @property
    def feature_dim(self) -> int | None:
        """Channels of the penultimate features; None without an HR branch."""
        return None if self.hr is None else self.hr.feature_dim

    def forward(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> Tensor:
        """HR and LR latents to ``(B, D, T', H', W')``, the token grid of the rate.

        The LR latents are those of the small, slow video of ``Rate.lr_video``; without_lr takes
        None. Raises ConfigError where the two grids differ.
        """
        return self._grid(hr_BCTHW, lr_BCTHW, patch_embedding)[0]

    def encode(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> MemoryTokens:
        """The same tokens in sequence, with the positions of their centres and their features."""
        tokens, features = self._grid(hr_BCTHW, lr_BCTHW, patch_embedding)
        return self._run(tokens, features, first=0)

    def encode_start(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> tuple[MemoryTokens, EncoderState]:
        """The tokens of ``encode``, and the state to append to. Symmetric strides are refused."""
        state = EncoderState(
            branch=None if self.hr is None else self.hr.initial_state(self._fit(hr_BCTHW))
        )
        return self.encode_append(hr_BCTHW, lr_BCTHW, state, patch_embedding)

    def encode_append(
        self,
        new_hr_BCTHW: Tensor,
        new_lr_BCTHW: Tensor | None,
        state: EncoderState,
        patch_embedding: nn.Conv3d,
    ) -> tuple[MemoryTokens, EncoderState]:
        """The tokens that new latents complete, at a cost that depends on these alone.

        Joined to those before, they are the tokens of the whole history (section 3.2), up to
        rounding: libraries sum a convolution over another number of frames in another order, which
        moves float32 tokens by about 1e-6 on a CPU, and often by nothing. ``new_lr`` holds the LR
        latents of the new tokens, which may be none: HR latent ``time * j`` completes token j.
        """
        num_latents = state.num_latents + new_hr_BCTHW.shape[2]
        num_token_frames = -(-num_latents // self.rate.time)
        num_new = num_token_frames - state.num_token_frames
        features, branch = None, None
        if self.hr is not None:
            features, branch = self.hr.advance(self._fit(new_hr_BCTHW), state.branch)
        if new_lr_BCTHW is not None and self.uses_lr and new_lr_BCTHW.shape[2] != num_new:
            message = (
                f"{num_latents} HR latents at {self.rate} complete {num_new} new tokens in time, "
                f"but {new_lr_BCTHW.shape[2]} LR latents are given; give {num_new}"
            )
            raise ConfigError(message)
        tokens = self._added(features, new_lr_BCTHW, patch_embedding)
        new_state = replace(
            state, num_latents=num_latents, num_token_frames=num_token_frames, branch=branch
        )
        return self._run(tokens, features, first=state.num_token_frames), new_state

    def _fit(self, hr_BCTHW: Tensor) -> Tensor:
        if self.rounding == "floor":
            return hr_BCTHW
        return padded_to(hr_BCTHW, self.rate.height * self.patch, self.rate.width * self.patch)

    def _grid(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> tuple[Tensor, Tensor | None]:
        features = None if self.hr is None else self.hr.features(self._fit(hr_BCTHW))
        return self._added(features, lr_BCTHW, patch_embedding), features

    def _added(
        self, features: Tensor | None, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> Tensor:
        """The 1x1 projection of HR features plus the base's own tokens of the LR latents."""
        hr = None
        if self.hr is not None and features is not None:
            hr = _projected(self.hr.project, features)
        if not self.uses_lr and hr is not None:
            return hr
        if lr_BCTHW is None:
            message = "the LR branch needs the latents of the LR video and got None; encode it too"
            raise ConfigError(message)
        if self.rounding == "pad":
            lr_BCTHW = padded_to(lr_BCTHW, self.patch, self.patch)
        lr = _projected(patch_embedding, lr_BCTHW)
        if hr is None:
            return lr
        if hr.shape != lr.shape:
            message = (
                f"HR tokens {tuple(hr.shape[2:])} and LR tokens {tuple(lr.shape[2:])} differ; "
                "encode the LR video for this rate"
            )
            raise ConfigError(message)
        return hr + lr

    def _run(self, tokens: Tensor, features: Tensor | None, *, first: int) -> MemoryTokens:
        stride: TimeStride = "causal" if self.hr is None else self.hr.stride
        grid = cast("tuple[int, int, int]", tuple(tokens.shape[2:]))
        positions = centre_positions(grid, self.rate, first=first, stride=stride).to(tokens.device)
        return MemoryTokens(
            tokens_BND=flat(tokens),
            positions_NK3=positions,
            features_BNF=None if features is None else flat(features),
            feature_positions_NK3=None if features is None else positions,
        )


def _projected(conv: nn.Conv3d, x_BCTHW: Tensor) -> Tensor:
    """A patchify or 1x1 ``(B, D, T, H, W)``, in its own dtype, which may be the base's bf16."""
    return patchify(conv, x_BCTHW).movedim(-1, 1)


class LargePatchifier(nn.Module):
    """The large_patchifier variant: FramePack's way, one convolution with a larger kernel.

    4x4x2 becomes kernel = stride = (2, 8, 8) over the HR latents, initialised with the backbone's
    kernel tiled 2x4x4 times and divided by 32, so that it first takes the mean of its patches.
    The rest is FramePack's too: rotary phases averaged over a token's patches, and the history at
    the target's timestep. The paper's Table 1 uses its implementation as it is. FramePack pads in
    space (``rounding="pad"``), which takes more tokens than the paper's count.
    """

    feature_dim: None = None

    def __init__(
        self,
        z_channels: int,
        inner_dim: int,
        rate: Rate,
        *,
        patch: int = 2,
        rounding: Rounding = "floor",
    ) -> None:
        super().__init__()
        self.rate = rate
        self.rounding = rounding
        self.kernel = (rate.time, rate.height * patch, rate.width * patch)
        self.tiles = (rate.time, rate.height, rate.width)
        self.project = nn.Conv3d(z_channels, inner_dim, self.kernel, self.kernel)

    def init_from(self, patch_embedding: nn.Conv3d) -> None:
        """Initialise with the backbone's kernel, tiled; called once, before training."""
        with torch.no_grad():
            tiled = patch_embedding.weight.tile(1, 1, *self.tiles) / math.prod(self.tiles)
            self.project.weight.copy_(tiled)
            cast("Tensor", self.project.bias).copy_(cast("Tensor", patch_embedding.bias))

    def forward(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> Tensor:
        """See ``MemoryEncoder``; an odd last frame is repeated, as FramePack pads."""
        del lr_BCTHW, patch_embedding
        if self.rounding == "pad":
            hr_BCTHW = padded_to(hr_BCTHW, *self.kernel[1:])
        missing = -hr_BCTHW.shape[2] % self.kernel[0]
        padded = F.pad(hr_BCTHW, (0, 0, 0, 0, 0, missing), mode="replicate")
        return _projected(self.project, padded)

    def encode(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> MemoryTokens:
        """See ``MemoryEncoder``; positions are the patches of each token."""
        tokens = self(hr_BCTHW, lr_BCTHW, patch_embedding)
        return MemoryTokens(
            tokens_BND=flat(tokens),
            positions_NK3=pooled_positions(tuple(tokens.shape[2:]), self.rate).to(tokens.device),
            shared_timestep=True,
        )

    def encode_start(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> tuple[MemoryTokens, EncoderState]:
        """Refused: its last token changes with what comes, as that of symmetric strides does."""
        del hr_BCTHW, lr_BCTHW, patch_embedding
        message = (
            f"large_patchifier at {self.rate} repeats its last frame until another comes, so "
            "nothing can be appended; encode the whole history again"
        )
        raise ConfigError(message)

    def encode_append(
        self,
        new_hr_BCTHW: Tensor,
        new_lr_BCTHW: Tensor | None,
        state: EncoderState,
        patch_embedding: nn.Conv3d,
    ) -> tuple[MemoryTokens, EncoderState]:
        """Refused, see ``encode_start``."""
        del state
        return self.encode_start(new_hr_BCTHW, new_lr_BCTHW, patch_embedding)


class SlidingWindow(nn.Module):
    """The last few latent frames as the base's own tokens, at their own positions (section 4.5).

    A memory that forgets, to compare with, or beside a compressed one. Nothing to train.
    """

    feature_dim: None = None

    def __init__(self, num_frames: int = WINDOW) -> None:
        super().__init__()
        if num_frames < 1:
            message = f"a window of {num_frames} latent frames holds nothing; use no_memory"
            raise ConfigError(message)
        self.num_frames = num_frames

    def forward(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> Tensor:
        """See ``MemoryEncoder``; a shorter history is taken whole."""
        del lr_BCTHW
        return _projected(patch_embedding, hr_BCTHW[:, :, -self.num_frames :])

    def encode(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> MemoryTokens:
        """See ``MemoryEncoder``; positions are those of the frames in the history."""
        return self._run(self(hr_BCTHW, lr_BCTHW, patch_embedding), hr_BCTHW.shape[2])

    def encode_start(
        self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None, patch_embedding: nn.Conv3d
    ) -> tuple[MemoryTokens, EncoderState]:
        """See ``MemoryEncoder``."""
        return self.encode_append(hr_BCTHW, lr_BCTHW, EncoderState(), patch_embedding)

    def encode_append(
        self,
        new_hr_BCTHW: Tensor,
        new_lr_BCTHW: Tensor | None,
        state: EncoderState,
        patch_embedding: nn.Conv3d,
    ) -> tuple[MemoryTokens, EncoderState]:
        """All tokens of the window's new place; they replace those before."""
        seen = [new_hr_BCTHW] if state.window_BCTHW is None else [state.window_BCTHW, new_hr_BCTHW]
        window = torch.cat(seen, dim=2)[:, :, -self.num_frames :].clone()
        num_latents = state.num_latents + new_hr_BCTHW.shape[2]
        run = self._run(self(window, new_lr_BCTHW, patch_embedding), num_latents)
        return run, EncoderState(num_latents=num_latents, window_BCTHW=window)

    def _run(self, tokens: Tensor, num_latents: int) -> MemoryTokens:
        grid = cast("tuple[int, int, int]", tuple(tokens.shape[2:]))
        own = Rate(height=1, width=1, time=1)
        positions = centre_positions(grid, own, first=num_latents - grid[0])
        return MemoryTokens(
            tokens_BND=flat(tokens),
            positions_NK3=positions.to(tokens.device),
            replaces_past=True,
        )
