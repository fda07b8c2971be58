"""The HR branch's attention: that of torch's own module, without its copies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pfp.models.memory.branch import FrameAttention
from pfp.models.precision import bf16_products

CHANNELS = 32


def attention_and_frames() -> tuple[FrameAttention, Tensor]:
    """An attention with random weights and biases, and two histories of three 5 x 7 frames."""
    torch.manual_seed(0)
    module = FrameAttention(CHANNELS)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module, torch.randn(2, CHANNELS, 3, 5, 7)


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_it_is_torchs_attention_frame_by_frame(*, gradients: bool, autocast: bool) -> None:
    """Each frame's tokens attend to each other as a trained ``nn.MultiheadAttention``'s do.

    To the bit, with gradients and without, so that what samples is what was trained.
    """
    module, x_BCTHW = attention_and_frames()
    x_BCTHW = x_BCTHW.bfloat16() if autocast else x_BCTHW  # as convolutions give it

    with bf16_products(enabled=autocast):
        with torch.set_grad_enabled(gradients):
            ours = module.train(gradients)(x_BCTHW)
        tokens = x_BCTHW.movedim(1, -1).flatten(0, 1).flatten(1, 2)
        normed = module.norm(tokens)
        attended, _ = module.train().attention(normed, normed, normed, need_weights=False)

    expected = (tokens + attended).unflatten(1, x_BCTHW.shape[3:])
    assert torch.equal(expected, ours.movedim(1, -1).flatten(0, 1))


def test_it_copies_no_weight_for_every_token() -> None:
    """Under autocast, without gradients, nothing is larger than the projections."""
    module, x_BCTHW = attention_and_frames()
    largest = 0

    class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            seen = [each.numel() for each in (*args, out) if isinstance(each, Tensor)]
            largest = max(largest, *seen)
            return out

    with torch.no_grad(), bf16_products(), Largest():  # type: ignore[no-untyped-call]
        module.requires_grad_(requires_grad=False)(x_BCTHW.bfloat16())

    assert largest <= 3 * x_BCTHW.numel()
