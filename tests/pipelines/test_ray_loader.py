"""Batches through Ray Data: the same tensors in the same order as without."""

from __future__ import annotations

import pytest
import torch

from pfp.latents.read import LatentReader
from pfp.train.loader import batch_loader
from pipelines.train.distributed import iter_ray_batches
from tests.train.test_loader import batches, reader, same

__all__ = ["reader"]  # the fixture


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_ray_gives_the_batches_of_a_data_loader(reader: LatentReader) -> None:
    """Step for step, bit for bit, whatever task ends first, shapes changing in between."""
    source = batches(reader)
    steps = range(4, 15)

    found = list(iter_ray_batches(source, steps))

    assert 11 == len(found)
    expected = batch_loader(source, steps)
    assert all(same(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert torch.float16 == found[0].hr_BCTHW.dtype
