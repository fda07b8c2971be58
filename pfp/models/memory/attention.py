"""Cross-attention from the encoder's penultimate features into a block (section 4.5, IP-Adapter).

Axes: B batch, L the block's tokens, N memory tokens, D the DiT's inner width, F feature channels,
A attention heads, E channels of a head.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.backbones.rotary import CrossRotary, rotate


class MemoryCrossAttention(nn.Module):
    """What one block's tokens read from the memory encoder's last hidden state.

    The paper names IP-Adapter, whose attention has its own keys and values beside the text's. It
    gives no details; we infer normalised queries and keys, for which any scale of the features is
    the same, a zero-initialised output projection, so that a fresh module changes nothing, and the
    rotary positions of the DiT's self-attention, without which a token could not tell which part
    of the history it reads.
    """

    def __init__(self, inner_dim: int, feature_dim: int, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or inner_dim % num_heads:
            message = (
                f"{num_heads} heads do not divide {inner_dim} channels; give the DiT's own number"
            )
            raise ConfigError(message)
        self.num_heads = num_heads
        self.norm_tokens = nn.LayerNorm(inner_dim, elementwise_affine=False)
        self.norm_features = nn.LayerNorm(feature_dim)
        self.to_q = nn.Linear(inner_dim, inner_dim)
        self.to_k = nn.Linear(feature_dim, inner_dim)
        self.to_v = nn.Linear(feature_dim, inner_dim)
        self.norm_q = nn.RMSNorm(inner_dim // num_heads)
        self.norm_k = nn.RMSNorm(inner_dim // num_heads)
        self.to_out = nn.Linear(inner_dim, inner_dim)
        for parameter in self.to_out.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, tokens_BLD: Tensor, features_BNF: Tensor, rotary: CrossRotary | None = None
    ) -> Tensor:
        """What to add to the tokens ``(B, L, D)``; exactly zero before any training.

        ``rotary`` None reads features as a set, as checkpoints before format 3 do.
        """
        features = self.norm_features(features_BNF)
        query = self.norm_q(self._heads(self.to_q(self.norm_tokens(tokens_BLD))))
        key = self.norm_k(self._heads(self.to_k(features)))
        value = self._heads(self.to_v(features))
        if rotary is not None:
            query, key = rotate(query, rotary.query), rotate(key, rotary.key)
        read_BALE = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        return cast("Tensor", self.to_out(read_BALE.transpose(1, 2).flatten(2)))

    def _heads(self, x_BLD: Tensor) -> Tensor:
        batch, num_tokens, _ = x_BLD.shape
        return x_BLD.reshape(batch, num_tokens, self.num_heads, -1)
