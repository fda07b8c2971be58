"""Patchify as a matrix product, against torch's own convolution in float32."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from pfp.models.memory.variants import LargePatchifier
from pfp.models.patchify import patchify
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate

ROUNDING = 0.01  # relative; bf16 products summed in float32 differ by some 0.002


def relative_error(got: Tensor, right: Tensor) -> float:
    """The norm of the difference over the norm of what is right; NaN counts as infinitely wrong."""
    return float(torch.nan_to_num((got.float() - right).norm() / right.norm(), nan=float("inf")))


@pytest.mark.parametrize(
    ("channels", "kernel", "sizes"),
    [
        (16, (1, 2, 2), (3, 4, 6)),  # Wan and HunyuanVideo
        (48, (1, 2, 2), (2, 4, 4)),  # Wan 2.2 TI2V
        (16, (2, 8, 8), (4, 16, 24)),  # large_patchifier 4x4x2
        (16, (2, 8, 8), (5, 19, 25)),  # whose last frame, rows and column fill no patch
        (3, (1, 14, 14), (2, 28, 28)),
        (5, (1, 1, 1), (2, 3, 1)),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_convolution(
    channels: int, kernel: tuple[int, int, int], sizes: tuple[int, int, int], *, bias: bool
) -> None:
    """Values and gradients are those of torch's convolution in float32, whatever fills a patch."""
    torch.manual_seed(0)
    conv = nn.Conv3d(channels, 8, kernel, kernel, bias=bias)
    x_BCTHW = torch.randn(2, channels, *sizes, requires_grad=True)

    right = conv(x_BCTHW).movedim(1, -1)
    made = patchify(conv, x_BCTHW)

    torch.testing.assert_close(made, right, atol=1e-5, rtol=1e-5)
    wanted = torch.autograd.grad(right.square().sum(), [x_BCTHW, *conv.parameters()])
    got = torch.autograd.grad(made.square().sum(), [x_BCTHW, *conv.parameters()])
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rate", [(4, 4, 2), (2, 2, 4), (2, 2, 2), (2, 2, 1)])
def test_the_large_patchifiers_tokens_are_right_in_bf16(rate: tuple[int, int, int]) -> None:
    """On CPUs with AMX its convolution gave tokens that had nothing to do with the history."""
    torch.manual_seed(0)
    variant = LargePatchifier(16, 192, Rate(height=rate[0], width=rate[1], time=rate[2]))
    hr_BCTHW = torch.randn(2, 16, 5, 16, 24)
    with torch.inference_mode():
        right = variant(hr_BCTHW, None, nn.Conv3d(16, 192, (1, 2, 2), (1, 2, 2)))

        with bf16_products():
            made = variant(hr_BCTHW, None, nn.Conv3d(16, 192, (1, 2, 2), (1, 2, 2)))

    assert torch.bfloat16 == made.dtype
    assert relative_error(made, right) < ROUNDING


def test_no_frames_give_no_patches(small_dit: WanTransformer3DModel) -> None:
    """An append that completes no token makes none, where a convolution fails."""
    patches = patchify(small_dit.patch_embedding, torch.randn(1, 16, 0, 4, 6))

    assert (1, 0, 2, 3, 48) == patches.shape


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv3d(4, 8, (1, 3, 3), (1, 2, 2)),
        nn.Conv3d(4, 8, 2, 2, padding=1),
        nn.Conv3d(4, 8, 2, 2, dilation=2),
        nn.Conv3d(4, 8, 2, 2, groups=2),
    ],
)
def test_another_convolution_is_refused(conv: nn.Conv3d) -> None:
    """One whose patches overlap or are padded is no matrix product of patches."""
    with pytest.raises(ValueError, match="its stride must be its kernel"):
        patchify(conv, torch.randn(1, 4, 4, 4, 4))
