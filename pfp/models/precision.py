"""bf16 products with fp32 weights, which CPUs and GPUs of today multiply several times faster."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def bf16_products(device_type: str = "cpu", *, enabled: bool = True) -> Iterator[None]:
    """Autocast to bf16 on a kind of device for the time of the block.

    torch warns that Wan's RMS norms, whose weights stay fp32, take its slower path; that is meant.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
        with torch.autocast(device_type, torch.bfloat16, enabled=enabled):
            yield
