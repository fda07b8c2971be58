"""A sequence kept in parts of one timestep each, so that modulation is applied and never spread.

Axes: B batch, S segments that have a timestep each, P tokens of a segment, D inner width.

diffusers gives every token its own row of modulation: ``(B, L, 6, D)``, for Wan 14B at 14,820
tokens 0.9 GB in bf16 and twice that in the float32 copy that every block makes. Memory has one
timestep and each target frame another, so a stream ``(B, S, P, D)`` times ``(B, S, 1, D)`` says the
same by broadcasting. Streams are two at most: memory, then target.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from types import MethodType
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

Streams = tuple[Tensor, ...]

_METHOD: Final = "forward_by_segment"


class Block(NamedTuple):
    """A block of a DiT, and what computes its output instead of its own forward."""

    module: nn.Module
    function: Callable[..., Any]

    def bound(self) -> Callable[..., Any]:
        """The function of this block, as its method where ``as_method`` has made it one."""
        method: Callable[..., Any] | None = getattr(self.module, _METHOD, None)
        return partial(self.function, self.module) if method is None else method

    def as_method(self) -> str:
        """Make the function a method of the module, so that wrappers can act on its call."""
        if not hasattr(self.module, _METHOD):
            setattr(self.module, _METHOD, MethodType(self.function, self.module))
        return _METHOD

    def compile(self) -> None:
        """Have torch compile the block: once for all blocks of a kind, anew for other shapes."""
        setattr(self.module, _METHOD, MethodType(_compiled(self.function), self.module))


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False)


def join(streams: Streams) -> Tensor:
    """The one sequence ``(B, L, D)`` of all streams, in order."""
    flat = [stream.flatten(1, 2) for stream in streams]
    return flat[0] if len(flat) == 1 else torch.cat(flat, dim=1)


def split_like(sequence_BLD: Tensor, streams: Streams) -> Streams:
    """A sequence cut into the shapes of ``streams``; views, not copies."""
    sizes = [stream.shape[1] * stream.shape[2] for stream in streams]
    parts = torch.split(sequence_BLD, sizes, dim=1)
    return tuple(part.view(*stream.shape) for part, stream in zip(parts, streams, strict=True))


def jointly(fn: Callable[[Tensor], Tensor], streams: Streams) -> Streams:
    """Apply ``fn`` to the joined sequence and cut what it gives."""
    return split_like(fn(join(streams)), streams)


def segment_timesteps(timestep_BT: Tensor, *, shared: bool) -> Tensor:
    """The memory's timestep ``(B, 1)``: 0 as for clean frames, or that of the noisiest target."""
    highest = timestep_BT.amax(dim=1, keepdim=True)
    return highest if shared else torch.zeros_like(highest)
