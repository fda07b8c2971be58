"""bf16 products with fp32 weights, and convolutions that are right in bf16 on every CPU.

CPUs and GPUs of today multiply bf16 several times faster than float32. But on CPUs with AMX,
oneDNN computes some bf16 convolutions wrongly, forwards and backwards: where input channels are
few and the kernel is wide (a row of it times the channels of a group is 64 or more, the channels
fewer than 32), and where what it computes is one column wide and strided; some of these give
another answer each time, NaN, or end the process (``pfp.models.cpu_check`` looks). A result
cannot be checked by running what may end the process, so importing this module has torch compute
**every bf16 convolution on a CPU in float32**, in the whole process, with or without autocast,
compiled or not: inputs and results are bf16 as before, and what is added up is exact to float32.
Matrix products stay bf16, and nothing changes on other devices. A training step of the tiny family
takes 5 % longer for it. See pytorch#163347, pytorch#169688 and oneDNN#5717.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

# All forward convolutions, transposed ones too, and the gradients of all; kept alive by its name.
_OVERRIDES: Final = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
_OPERATORS: Final = ("_convolution", "convolution_backward")


def _compute_in_float32(operator: str) -> None:
    """Register a CPU kernel that widens bf16 tensors, calls torch's own, and rounds the results."""
    own = torch.library.get_kernel(f"aten::{operator}", "CPU")

    def kernel(keys: Any, first: Tensor, *rest: Any) -> Any:
        if first.dtype != torch.bfloat16:
            return own.call_boxed(keys, first, *rest)
        widened = [x.float() if isinstance(x, Tensor) else x for x in (first, *rest)]
        made = own.call_boxed(keys, *widened)
        return _rounded(made) if isinstance(made, Tensor) else tuple(map(_rounded, made))

    _OVERRIDES.impl(operator, kernel, "CPU", with_keyset=True)  # type: ignore[no-untyped-call]


def _rounded(made: Tensor | None) -> Tensor | None:
    """None is the gradient of what needs none."""
    return None if made is None else made.to(torch.bfloat16)


for _operator in _OPERATORS:
    _compute_in_float32(_operator)


@contextmanager
def bf16_products(device_type: str = "cpu", *, enabled: bool = True) -> Iterator[None]:
    """Autocast to bf16 on a kind of device for the time of the block.

    torch warns that Wan's RMS norms, whose weights stay fp32, take its slower path; that is meant.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
        with torch.autocast(device_type, torch.bfloat16, enabled=enabled):
            yield
