"""Equal up to rounding, which is measured by the largest value."""

from __future__ import annotations

import torch
from torch import Tensor

# Of float32: convolutions over another number of frames may sum in another order.
ROUNDING = 1e-5


def assert_close_to_largest(found: Tensor, expected: Tensor, rounding: float = ROUNDING) -> None:
    """No value differs by more than ``rounding`` times the largest one."""
    limit = rounding * expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(found, expected, rtol=0, atol=limit)
