"""One history at several rates: the tokens of each encoder, one after another (section 4.5).

Axes: B batch, C latent channels, T latent frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.memory.tokens import MemoryTokens, joined
from pfp.models.memory.variants import EncoderState, LargePatchifier, MemoryEncoder, SlidingWindow

Encoder: TypeAlias = MemoryEncoder | LargePatchifier | SlidingWindow


class MultiRateEncoder(nn.Module):
    """For example 4x4x2 for time and 2x2x8 for detail, or a compressed memory and a window.

    Each encoder has an LR video of its own rate, so there is one of them for each; None for those
    that use none. Runs are kept apart between appends, because a window's tokens are replaced
    where others are added to; ``joined`` makes one sequence of them.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        super().__init__()
        if not encoders:
            message = "no encoder is given; give at least one, or use no_memory"
            raise ConfigError(message)
        self.encoders = nn.ModuleList(encoders)

    @property
    def feature_dim(self) -> int | None:
        """Channels of the penultimate features, which are 512 at every rate; None without any."""
        return next((e.feature_dim for e in self._each() if e.feature_dim is not None), None)

    def forward(
        self, hr_BCTHW: Tensor, lrs_BCTHW: Sequence[Tensor | None], patch_embedding: nn.Conv3d
    ) -> MemoryTokens:
        """See ``encode``."""
        return self.encode(hr_BCTHW, lrs_BCTHW, patch_embedding)

    def encode(
        self, hr_BCTHW: Tensor, lrs_BCTHW: Sequence[Tensor | None], patch_embedding: nn.Conv3d
    ) -> MemoryTokens:
        """All tokens of a history, with their positions, encoder by encoder."""
        return joined(
            [
                encoder.encode(hr_BCTHW, lr_BCTHW, patch_embedding)
                for encoder, lr_BCTHW in zip(self._each(), self._checked(lrs_BCTHW), strict=True)
            ]
        )

    def encode_start(
        self, hr_BCTHW: Tensor, lrs_BCTHW: Sequence[Tensor | None], patch_embedding: nn.Conv3d
    ) -> tuple[tuple[MemoryTokens, ...], tuple[EncoderState, ...]]:
        """A run and a state of each encoder; refused where one of them refuses."""
        started = [
            encoder.encode_start(hr_BCTHW, lr_BCTHW, patch_embedding)
            for encoder, lr_BCTHW in zip(self._each(), self._checked(lrs_BCTHW), strict=True)
        ]
        return tuple(run for run, _ in started), tuple(state for _, state in started)

    def encode_append(
        self,
        new_hr_BCTHW: Tensor,
        new_lrs_BCTHW: Sequence[Tensor | None],
        states: Sequence[EncoderState],
        patch_embedding: nn.Conv3d,
    ) -> tuple[tuple[MemoryTokens, ...], tuple[EncoderState, ...]]:
        """What each encoder makes of new latents; see ``MemoryTokens.followed_by``."""
        lrs = self._checked(new_lrs_BCTHW)
        appended = [
            encoder.encode_append(new_hr_BCTHW, lr_BCTHW, state, patch_embedding)
            for encoder, lr_BCTHW, state in zip(self._each(), lrs, states, strict=True)
        ]
        return tuple(run for run, _ in appended), tuple(state for _, state in appended)

    def _each(self) -> list[Encoder]:
        return [cast("Encoder", encoder) for encoder in self.encoders]

    def _checked(self, lrs_BCTHW: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        if len(lrs_BCTHW) != len(self.encoders):
            message = (
                f"{len(lrs_BCTHW)} LR videos are given for {len(self.encoders)} encoders; give one "
                "for each, of its own rate, or None"
            )
            raise ConfigError(message)
        return lrs_BCTHW
