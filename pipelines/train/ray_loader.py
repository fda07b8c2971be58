"""The batches of training through Ray Data, for loops that take ``iter_torch_batches``.

Axes: B batch, T latent frames, C channels, H rows, W columns, L text tokens, D text features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

import numpy as np
import ray.data
import torch
from numpy.typing import NDArray

from pfp.train.loader import WindowBatches
from pfp.train.objective import Batch

MORE_LR: Final = "more_lr_BCTHW"  # the one field that holds several tensors: a column for each


def iter_ray_batches(
    batches: WindowBatches, steps: range, *, prefetch: int = 2, **options: Any
) -> Iterator[Batch]:
    """The batches of ``steps`` in order, read by Ray's tasks; needs a running Ray.

    ``options`` are those of ``ray.data.Dataset.iter_torch_batches`` (``device``, ``pin_memory``).
    Each step is a task of one block, and Ray Data's backpressure bounds how many wait.
    """
    context = ray.data.DataContext.get_current()
    before = context.execution_options.preserve_order
    context.execution_options.preserve_order = True
    try:
        read = ray.data.range(len(steps), override_num_blocks=len(steps)).map_batches(
            _ReadSteps(batches, steps), batch_size=1
        )
        found = read.iter_torch_batches(
            batch_size=None, prefetch_batches=prefetch, drop_last=False, **options
        )
        for tensors in found:
            yield _batch_of(tensors)
    finally:
        context.execution_options.preserve_order = before


class _ReadSteps:
    """A step's number to its samples, one row each."""

    def __init__(self, batches: WindowBatches, steps: range) -> None:
        self._batches = batches
        self._steps = steps

    def __call__(self, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        batch = self._batches[self._steps[int(rows["id"][0])]]
        columns = {field.name: getattr(batch, field.name) for field in fields(batch)}
        more = columns.pop(MORE_LR)
        columns |= {f"{MORE_LR}/{number}": tensor for number, tensor in enumerate(more)}
        return {
            name: np.ascontiguousarray(tensor.numpy())
            for name, tensor in columns.items()
            if tensor is not None
        }


def _batch_of(tensors: dict[str, torch.Tensor]) -> Batch:
    more = sorted(name for name in tensors if name.startswith(f"{MORE_LR}/"))
    rest = {name: tensor for name, tensor in tensors.items() if name not in more}
    return Batch(**rest, **{MORE_LR: tuple(tensors[name] for name in more)})  # type: ignore[arg-type]
