"""Warping error: how far frames differ from their successors where the flow says they should not.

Lai et al., Learning blind video temporal consistency, ECCV 2018 (E_warp; averaged over the colour
channels too, as their code does and their equation does not). Visibility by the forward-backward
check of Sundaram et al., Dense point trajectories by GPU-accelerated large displacement optical
flow, ECCV 2010; Lai et al. leave out motion boundaries as well, which we do not.

Axes: B pairs, C colour, H height, W width, 2 (x, y).
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor

CHECK_RELATIVE: Final = 0.01  # |there + back|^2 may be this share of |there|^2 + |back|^2 ...
CHECK_ABSOLUTE_PX2: Final = 0.5  # ... plus this


def sample(image_BCHW: Tensor, flow_B2HW: Tensor) -> Tensor:
    """``image(x + flow(x))``, bilinear; positions outside take the nearest pixel of the border."""
    height, width = image_BCHW.shape[-2:]
    x_BHW, y_BHW = _targets(flow_B2HW)
    # grid_sample wants [-1, 1] from the first pixel's centre to the last one's.
    grid = torch.stack(
        (2 * x_BHW / max(1, width - 1) - 1, 2 * y_BHW / max(1, height - 1) - 1), dim=-1
    )
    return F.grid_sample(image_BCHW, grid, padding_mode="border", align_corners=True)


def visible(there_B2HW: Tensor, back_B2HW: Tensor) -> Tensor:
    """Which pixels of the first frames are seen in the second ones, bool of shape (B, H, W).

    there, back: flows in pixels from first to second frames and from second to first. A pixel is
    seen if it stays inside the frame and if the flow back leads to where it came from.
    """
    height, width = there_B2HW.shape[-2:]
    x_BHW, y_BHW = _targets(there_B2HW)
    is_inside = (x_BHW >= 0) & (x_BHW <= width - 1) & (y_BHW >= 0) & (y_BHW <= height - 1)
    back_here_B2HW = sample(back_B2HW, there_B2HW)
    gap_BHW = (there_B2HW + back_here_B2HW).square().sum(dim=1)
    length_BHW = (there_B2HW.square() + back_here_B2HW.square()).sum(dim=1)
    return is_inside & (gap_BHW <= CHECK_RELATIVE * length_BHW + CHECK_ABSOLUTE_PX2)


def warping_errors(
    first_BCHW: Tensor, second_BCHW: Tensor, there_B2HW: Tensor, back_B2HW: Tensor
) -> tuple[Tensor, Tensor]:
    """Each pair's error over its visible pixels, and their share of the frame; both (B,).

    first, second: float RGB in [0, 1]. The error is the mean squared difference over visible
    pixels and channels, in [0, 1]; it is NaN where no pixel is visible.
    """
    is_seen_BHW = visible(there_B2HW, back_B2HW)
    squared_BHW = (first_BCHW - sample(second_BCHW, there_B2HW)).square().mean(dim=1)
    num_seen_B = is_seen_BHW.sum(dim=(1, 2))
    # In float64: a million small squares.
    errors_B = (squared_BHW * is_seen_BHW).sum(dim=(1, 2), dtype=torch.float64) / num_seen_B
    return errors_B, num_seen_B / is_seen_BHW[0].numel()


def _targets(flow_B2HW: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel goes, x and y, each (B, H, W)."""
    height, width = flow_B2HW.shape[-2:]
    columns = torch.arange(width, device=flow_B2HW.device, dtype=flow_B2HW.dtype)
    rows = torch.arange(height, device=flow_B2HW.device, dtype=flow_B2HW.dtype)
    return flow_B2HW[:, 0] + columns, flow_B2HW[:, 1] + rows[:, None]
