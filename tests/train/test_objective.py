"""Times, frame sets and the velocity loss."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pfp.train.objective import random_frame_set, sample_times


@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
def test_times_follow_the_shifted_logit_normal(shift: float) -> None:
    """The median of the shifted time is shift/(1+shift): sigmoid(0) = 1/2, shifted."""
    times = sample_times(20_000, torch.Generator().manual_seed(0), shift=shift)

    assert math.isclose(shift / (1 + shift), times.median().item(), abs_tol=0.01)
    assert 0 < times.min().item() < times.max().item() < 1


@given(st.integers(1, 40), st.data())
def test_a_frame_set_is_distinct_sorted_and_within_the_history(
    num_frames: int, data: st.DataObject
) -> None:
    """Omega has the size asked for, no frame twice, and only frames of [0, T)."""
    size = data.draw(st.integers(1, num_frames))
    seed = data.draw(st.integers(0, 2**31))

    omega = random_frame_set(num_frames, size, torch.Generator().manual_seed(seed)).tolist()

    assert size == len(set(omega))
    assert omega == sorted(omega)
    assert set(omega) <= set(range(num_frames))


def test_every_frame_is_asked_for_equally_often() -> None:
    """No position is favoured: 6,000 draws of 2 from 11 give each frame its share within 10 %."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(11)
    for _ in range(6_000):
        counts[random_frame_set(11, 2, generator)] += 1

    share = counts / counts.sum()
    assert share.sub(1 / 11).abs().max().item() < 0.1 / 11
