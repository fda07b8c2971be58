"""Memory tokens and their positions: runs of them, joined in time and across encoders.

Axes: B batch, D the DiT's inner width, F feature channels, N memory tokens (time first, then rows,
then columns), K positions of a token, 3 the (time, row, column) in latent frames and patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pfp.errors import ConfigError
from pfp.models.rates import Rate, TimeStride


class MemoryTokens(NamedTuple):
    """A run of memory tokens ``(B, N, D)`` of one encoder, or of a multi-rate encoder.

    ``positions_NK3`` are the positions that a token's rotary phases are averaged over.
    ``features_BNF`` is the encoder's last hidden state, for cross-attention, where it has one, and
    ``feature_positions_NK3`` where its tokens are.
    ``shared_timestep`` asks that tokens be modulated as the target is, not as clean frames.
    ``replaces_past`` says that the run stands for the whole history and not for its newest part.
    """

    tokens_BND: Tensor
    positions_NK3: Tensor
    features_BNF: Tensor | None = None
    feature_positions_NK3: Tensor | None = None
    shared_timestep: bool = False
    replaces_past: bool = False

    def followed_by(self, new: MemoryTokens) -> MemoryTokens:
        """This history's run after an append that gave ``new``, of the same encoder."""
        if new.replaces_past:
            return new
        if self.replaces_past:
            message = "tokens of another encoder cannot follow a window's; join runs of one encoder"
            raise ConfigError(message)
        return joined([self, new])


def joined(runs: Sequence[MemoryTokens]) -> MemoryTokens:
    """One run of all tokens, in order: of a history's parts, or of a multi-rate encoder.

    Features are those of the encoders that have some. Raises ConfigError for runs whose tokens
    have another number of positions or another timestep, as large_patchifier's have.
    """
    kinds = {(run.positions_NK3.shape[1], run.shared_timestep) for run in runs}
    if len(kinds) != 1:
        message = (
            f"runs of (positions, shared timestep) {sorted(kinds)} cannot be joined; "
            "use large_patchifier alone"
        )
        raise ConfigError(message)
    features = [run.features_BNF for run in runs if run.features_BNF is not None]
    places = [run.feature_positions_NK3 for run in runs if run.feature_positions_NK3 is not None]
    return MemoryTokens(
        tokens_BND=torch.cat([run.tokens_BND for run in runs], dim=1),
        positions_NK3=torch.cat([run.positions_NK3 for run in runs]),
        features_BNF=torch.cat(features, dim=1) if features else None,
        feature_positions_NK3=torch.cat(places) if places else None,
        shared_timestep=runs[0].shared_timestep,
    )


def flat(tokens_BDTHW: Tensor) -> Tensor:
    """``(B, D, T, H, W)`` to ``(B, N, D)``."""
    return tokens_BDTHW.flatten(2).transpose(1, 2)


def centre_positions(
    grid: tuple[int, int, int],
    rate: Rate,
    *,
    first: int = 0,
    stride: TimeStride = "causal",
) -> Tensor:
    """The position of each memory token in the DiT's own grid: the centre of what it covers.

    Returns float32 ``(N, 1, 3)`` in units of latent frames and patches, of tokens whose first in
    time is number ``first``. Token j covers latent frames ``time*j - time + 1 .. time*j``, or
    ``time*j .. time*j + time - 1`` with symmetric strides. The paper does not say which position
    tokens have; we infer the centre, which keeps the full strength of all rotary frequencies.
    """
    num_frames, height, width = grid
    behind = (rate.time - 1) / 2
    offset = -behind if stride == "causal" else behind
    times = torch.arange(first, first + num_frames) * rate.time + offset
    rows = torch.arange(height) * rate.height + (rate.height - 1) / 2
    columns = torch.arange(width) * rate.width + (rate.width - 1) / 2
    return torch.cartesian_prod(times, rows, columns)[:, None]


def pooled_positions(
    grid: tuple[int, int, int], rate: Rate, *, stride: TimeStride = "symmetric"
) -> Tensor:
    """The patches that each token covers, ``(N, K, 3)``, by default those of a large patchifier.

    FramePack averages the rotary phases of these (its ``center_down_sample_3d`` is an average).
    Tokens of causal strides cover frames that lie ``time - 1`` earlier.
    """
    cell = torch.cartesian_prod(
        *(torch.arange(size) for size in (rate.time, rate.height, rate.width))
    )
    corners = torch.cartesian_prod(*(torch.arange(size) for size in grid))
    strides = torch.tensor([rate.time, rate.height, rate.width])
    positions = (corners[:, None] * strides + cell[None]).float()
    if stride == "causal":
        positions[..., 0] -= rate.time - 1
    return positions
