"""What a backbone takes and gives: memory, text and targets in, the targets' velocity out.

Axes: B batch, C latent channels, D inner width, F feature channels, T target latent frames, H rows,
W columns, L text tokens, N memory tokens, K positions of a token, 3 the (time, row, column) of a
position in latent frames and patches, P pooled text channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from pfp.models.backbones.streams import Block


class Memory(NamedTuple):
    """Memory tokens ``(B, N, D)`` and their placement in the sequence.

    ``positions_NK3`` are the positions that a token's rotary phases are averaged over: its centre
    alone (K = 1), or all the patches that it covers, as FramePack pools them. Tokens are modulated
    as clean frames (timestep 0), or with ``shared_timestep`` as if as noisy as the target.
    ``attends_to_text`` lets memory tokens query the prompt where text has an attention of its own
    (Wan); Helios leaves them out, and the paper does not say. ``features_BNF`` is what modules of
    cross-attention read, if the backbone is given any, and ``feature_positions_NK3`` where that
    is; None: nowhere.
    """

    tokens_BND: Tensor
    positions_NK3: Tensor
    shared_timestep: bool = False
    attends_to_text: bool = False
    features_BNF: Tensor | None = None
    feature_positions_NK3: Tensor | None = None


class TextConditions(NamedTuple):
    """A prompt as the text encoders give it; Wan needs the first field only.

    ``mask_BL`` is true for tokens that are not padding, ``guidance_B`` the scale that a
    guidance-distilled model is asked to imitate, times 1,000 as diffusers gives it.
    """

    text_BLD: Tensor
    mask_BL: Tensor | None = None
    pooled_BP: Tensor | None = None
    guidance_B: Tensor | None = None


class Backbone(Protocol):
    """A family of DiTs: where its parts are, and its forward with memory. It has no state."""

    @property
    def lora_targets(self) -> Mapping[str, tuple[str, ...]]:
        """Names of linear maps by choice: ``attention``, or ``attention_ffn`` for more."""
        ...

    def patch_embedding(self, dit: Any) -> nn.Conv3d:
        """Patchify and first projection, which the LR branch uses too; its output is D wide."""
        ...

    def blocks(self, dit: Any) -> list[Block]:
        """The DiT's blocks in order; each may have a module of cross-attention."""
        ...

    def forward_with_memory(
        self,
        dit: Any,
        noisy_BCTHW: Tensor,
        timestep_BT: Tensor,
        text: Tensor | TextConditions,
        *,
        frame_index_BT: Tensor,
        memory: Memory | None = None,
        origin_B2: Tensor | None = None,
        cross_attend: Sequence[nn.Module] | None = None,
    ) -> Tensor:
        """Predict the velocity ``(B, C, T, H, W)`` of target frames, given memory tokens.

        ``timestep_BT`` is in [0, 1000], one value a frame or one ``(B, 1)`` for all: frames at 0
        are clean and serve as conditions. ``frame_index_BT`` are the targets' true latent frame
        indices. ``origin_B2`` shifts rows and columns (in patches) of targets and memory, for crops
        of a larger frame. ``cross_attend`` holds a module a block; each adds
        ``module(target_tokens_BLD, memory.features_BNF, rotary)`` to the target's tokens where
        memory has features, ``rotary`` being the phases of both (``CrossRotary``) or None. Without
        memory, and with equal timesteps and indices 0..T-1, this is the stock forward.
        """
        ...
