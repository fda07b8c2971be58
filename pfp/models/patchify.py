"""Patchify: a convolution whose stride is its kernel, computed as one matrix product.

Axes: B batch, C channels, D output channels, T frames, H rows, W columns; t, h, w count patches.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn


def patchify(conv: nn.Conv3d, x_BCTHW: Tensor) -> Tensor:
    """What ``conv`` gives, ``(B, t, h, w, D)`` with channels last, in the dtype of its weights.

    Its patches do not overlap, so each is a row of one matrix and no convolution is needed, which
    libraries get wrong in bf16 on some CPUs (``pfp.models.precision``). No frames give no patches.
    Rows, columns and frames that fill no patch are left out, as the convolution leaves them.

    Raises ValueError for a convolution whose patches overlap, leave gaps or are padded.
    """
    kernel = conv.kernel_size
    plain = (kernel, (0, 0, 0), (1, 1, 1), 1)
    if (conv.stride, conv.padding, conv.dilation, conv.groups) != plain:
        message = f"{conv} is no patchify: its stride must be its kernel, unpadded and undilated"
        raise ValueError(message)
    batch, channels, *sizes = x_BCTHW.shape
    t, h, w = (size // side for size, side in zip(sizes, kernel, strict=True))
    whole = x_BCTHW[:, :, : t * kernel[0], : h * kernel[1], : w * kernel[2]]
    cells = whole.reshape(batch, channels, t, kernel[0], h, kernel[1], w, kernel[2])
    patches = cells.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)
    return F.linear(patches.to(conv.weight.dtype), conv.weight.flatten(1), conv.bias)
