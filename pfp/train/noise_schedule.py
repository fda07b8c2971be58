"""The noise schedule: the shifted logit-normal L of the paper, on a part of (0, 1) or all."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pfp.train.settings import RangeMode, check_range


def sample_noise_levels(
    num: int,
    generator: torch.Generator,
    *,
    shift: float = 3.0,
    low: float = 0.0,
    high: float = 1.0,
    mode: RangeMode = "truncated",
) -> Tensor:
    """Shifted logit-normal noise levels in (low, high) (Esser et al. 2024), ``(num,)`` float32.

    ``s t / (1 + (s - 1) t)`` of ``t = sigmoid(n)``, n normal, s the ``shift``. Restricted to a
    range by drawing from that part of the distribution (``truncated``), or by moving all of it into
    the range (``rescaled``). The paper writes L(0, 1) for diffusion times and L(0.2, 1) for masks
    (section 3.1) and gives no shift.
    """
    check_range(low, high, mode, shift)
    if mode == "rescaled" or (low, high) == (0.0, 1.0):
        times = torch.randn(num, generator=generator).sigmoid()
        return low + (high - low) * (shift * times / (1 + (shift - 1) * times))
    start, end = _cumulative(low, shift), _cumulative(high, shift)
    quantile = start + (end - start) * torch.rand(num, generator=generator, dtype=torch.float64)
    times = torch.special.ndtri(quantile.clamp(1e-12, 1 - 1e-12)).sigmoid()
    shifted: Tensor = shift * times / (1 + (shift - 1) * times)
    return shifted.clamp(low, high).float()


def _cumulative(time: float, shift: float) -> float:
    """The share of shifted logit-normal times below ``time``."""
    if time in (0.0, 1.0):
        return time
    # The logit of the unshifted time; logarithms apart, because a quotient may round to 0.
    logit = math.log(time) - math.log(shift) - math.log1p(-time)
    return 0.5 * (1 + math.erf(logit / math.sqrt(2)))
