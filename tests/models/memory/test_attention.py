"""Cross-attention from the encoder's penultimate features into the DiT's blocks."""

from __future__ import annotations

import pytest
import torch

from pfp.errors import ConfigError
from pfp.models.backbones.rotary import CrossRotary, rotary_at
from pfp.models.memory.attention import MemoryCrossAttention


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of a block and features of an encoder."""
    torch.manual_seed(0)
    return torch.randn(2, 7, 24), torch.randn(2, 5, 16)


def trained() -> MemoryCrossAttention:
    """A module whose output is not the zeros that training starts from."""
    torch.manual_seed(1)
    module = MemoryCrossAttention(24, 16, 3)
    torch.nn.init.normal_(module.to_out.weight)
    return module


def test_a_fresh_module_adds_exactly_nothing() -> None:
    """A base with fresh cross-attention is the base to the bit."""
    tokens, features = inputs()

    out = MemoryCrossAttention(24, 16, 3)(tokens, features)

    assert torch.equal(torch.zeros_like(tokens), out)


def test_its_attention_is_the_textbooks() -> None:
    """Head by head, softmax(q k / sqrt(8)) v of normalised queries and keys."""
    tokens, features = inputs()
    module = trained()

    def rms(x: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()

    memory = torch.nn.functional.layer_norm(features, (16,))
    q = module.to_q(torch.nn.functional.layer_norm(tokens, (24,)))
    k, v = module.to_k(memory), module.to_v(memory)
    heads = [slice(8 * head, 8 * head + 8) for head in range(3)]
    read = [
        torch.softmax(rms(q[..., h]) @ rms(k[..., h]).mT / 8**0.5, dim=-1) @ v[..., h]
        for h in heads
    ]

    torch.testing.assert_close(module(tokens, features), module.to_out(torch.cat(read, dim=-1)))


def test_the_order_and_the_scale_of_features_do_not_matter() -> None:
    """Features are a set, and an encoder that gives them ten times as large is read alike."""
    tokens, features = inputs()
    module = trained()

    torch.testing.assert_close(
        module(tokens, features), module(tokens, 10 * features.flip(1)), atol=1e-4, rtol=1e-4
    )


def test_queries_and_keys_have_rotary_positions() -> None:
    """Only distances count: a shift of both changes nothing, one of the features alone does."""
    tokens, features = inputs()
    module = trained()

    def read(shift_tokens: float, shift_features: float) -> torch.Tensor:
        waves = [
            rotary_at(places_L3[None] + shift, (4, 2, 2), 100.0)
            for places_L3, shift in (
                (torch.rand(7, 3, generator=torch.Generator().manual_seed(2)), shift_tokens),
                (torch.arange(15.0).view(5, 3), shift_features),
            )
        ]
        query, key = ((cosine[:, :, None], sine[:, :, None]) for cosine, sine in waves)
        return module(tokens, features, CrossRotary(query, key))

    once = read(0.0, 0.0)

    torch.testing.assert_close(once, read(3.0, 3.0), atol=1e-4, rtol=1e-4)
    assert (once - read(0.0, 3.0)).abs().max() > 1e-3
    assert (once - module(tokens, features)).abs().max() > 1e-3


def test_gradients_reach_the_projection_first_and_then_everything() -> None:
    """From zero only the output projection moves; once it has, features and all weights do."""
    tokens, features = inputs()
    features.requires_grad_()
    fresh = MemoryCrossAttention(24, 16, 3)
    fresh(tokens, features).square().sub(fresh(tokens, features)).sum().backward()
    moved = {name for name, p in fresh.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"to_out.weight", "to_out.bias"} == moved

    module = trained()
    module(tokens, features).square().sum().backward()

    assert [] == [name for name, p in module.named_parameters() if p.grad is None]
    # A constant added to all keys changes no softmax, but RMS normalisation comes after it.
    assert [] == [name for name, p in module.named_parameters() if not p.grad.any()]  # type: ignore[union-attr]
    assert features.grad is not None
    assert features.grad.any()


@pytest.mark.parametrize("num_heads", [0, 5])
def test_heads_that_do_not_divide_are_refused(num_heads: int) -> None:
    """The error quotes the number and the channels."""
    with pytest.raises(ConfigError, match=f"{num_heads} heads do not divide 24 channels"):
        MemoryCrossAttention(24, 16, num_heads)
