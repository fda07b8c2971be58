"""The HR branch's attention: that of torch's own module, without its copies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pfp.models.memory.branch import FrameAttention, HighResolutionBranch
from pfp.models.patchify import patchify
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate

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


@pytest.mark.parametrize("num_histories", [1, 2])
def test_tokens_are_to_the_bit_those_of_a_trained_attention(num_histories: int) -> None:
    """Also of one history, whose tokens are a view that torch adds up in another order.

    So weights that were trained with torch's module give the frames that they gave then.
    """
    torch.manual_seed(0)
    branch = HighResolutionBranch(16, 64, Rate(height=4, width=4, time=2), zero_init=False)
    hr_BCTHW = torch.randn(num_histories, 16, 5, 24, 40)

    with torch.no_grad():
        x_BCTHW = branch.stages(hr_BCTHW)
        tokens = x_BCTHW.movedim(1, -1).flatten(0, 1).flatten(1, 2)
        normed = branch.attention.norm(tokens)
        with torch.enable_grad():  # where torch's module takes its plain path
            attended, _ = branch.attention.attention(normed, normed, normed, need_weights=False)
        mixed = (tokens + attended.detach()).unflatten(1, x_BCTHW.shape[3:])
        mixed = mixed.unflatten(0, (num_histories, -1)).movedim(-1, 1)
        expected = patchify(branch.project, mixed).movedim(-1, 1)

        assert torch.equal(expected, branch(hr_BCTHW))


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
