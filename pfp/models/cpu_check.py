"""Whether this machine's CPU convolves in bf16 as it should, without what pfp does about it.

Run as ``python -m pfp.models.cpu_check`` it prints ``{"num_wrong": 3, "num_probed": 8}``. It runs
in a process of its own because a wrong convolution may write where it must not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

LIMIT_S: Final = 120.0
TOLERANCE: Final = 0.02  # relative; bf16's rounding of right results is some 0.002
NUM_TIMES: Final = 3  # some shapes give another answer each time


class Probe(NamedTuple):
    """A convolution of a kind that was seen to be wrong, or that pfp's networks are made of."""

    channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    size: tuple[int, ...]  # frames, rows and columns of the input, without the first where 2D
    padding: int = 0


PROBES: Final = (
    Probe(16, (2, 8, 8), (2, 8, 8), (4, 16, 16)),  # large_patchifier 4x4x2
    Probe(16, (1, 4, 4), (1, 4, 4), (2, 16, 16)),
    Probe(8, (8, 8), (8, 8), (32, 32)),
    Probe(8, (8, 8), (1, 1), (20, 20)),
    Probe(128, (3, 3), (2, 2), (5, 3)),  # one column wide
    Probe(24, (3, 3), (3, 3), (20, 3)),
    Probe(16, (1, 2, 2), (1, 2, 2), (3, 16, 16)),  # patch embeddings of Wan and HunyuanVideo
    Probe(96, (3, 3), (1, 1), (16, 16), 1),  # VAEs
    Probe(64, (1, 3, 3), (1, 2, 2), (3, 17, 17)),  # the HR branch
    Probe(96, (3, 1, 1), (2, 1, 1), (5, 8, 8)),  # Wan's VAE
)


class Checked(NamedTuple):
    """How many probed convolutions are wrong; None where the check itself was ended by them."""

    num_wrong: int | None
    num_probed: int


def check() -> Checked:
    """The answer of a process of its own, which is given ``LIMIT_S`` seconds."""
    command = [sys.executable, "-m", "pfp.models.cpu_check"]
    try:
        run = subprocess.run(command, capture_output=True, check=True, timeout=LIMIT_S)
        return Checked(**json.loads(run.stdout))
    except (subprocess.SubprocessError, ValueError):
        return Checked(num_wrong=None, num_probed=len(PROBES))


def is_wrong(probe: Probe) -> bool:
    """Whether the result or a gradient is ever far from float32 of the same rounded inputs."""
    generator = torch.Generator().manual_seed(0)
    convolve: Callable[..., Tensor] = {2: F.conv2d, 3: F.conv3d}[len(probe.kernel)]

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).bfloat16()

    x, weight = drawn(1, probe.channels, *probe.size), drawn(64, probe.channels, *probe.kernel)

    def results(dtype: torch.dtype) -> list[Tensor]:
        given = [t.to(dtype).requires_grad_() for t in (x, weight)]
        out = convolve(*given, None, probe.stride, probe.padding)
        return [out.detach(), *torch.autograd.grad(out.float().sum(), given)]

    right = results(torch.float32)
    tries = [results(torch.bfloat16) for _ in range(NUM_TIMES)]
    return any(_differ(*pair) for made in tries for pair in zip(made, right, strict=True))


def _differ(made: Tensor, right: Tensor) -> bool:
    """Also where ``made`` is not finite."""
    return not bool((made.float() - right).norm() <= TOLERANCE * right.norm())


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {"num_wrong": sum(map(is_wrong, PROBES)), "num_probed": len(PROBES)}
    sys.stdout.write(json.dumps(found))
