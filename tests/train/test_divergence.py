"""What stops a training, and what shows that it cheats."""

import math

import pytest
import torch

from pfp.errors import ConfigError
from pfp.train.divergence import DivergenceCheck, LossByPosition


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused(loss: float) -> None:
    """At once, with the step."""
    with pytest.raises(ConfigError, match=f"the loss is {loss} at step 7; lower the learning rate"):
        DivergenceCheck().update(7, loss)


def test_a_training_that_diverges_is_stopped() -> None:
    """A hundred good steps, then ten times the loss: it ends before the mean is reached."""
    check = DivergenceCheck(factor=4.0)
    for step in range(100):
        check.update(step, 1.0)

    def diverge() -> None:
        for step in range(100, 200):
            check.update(step, 10.0)

    with pytest.raises(ConfigError, match=r"gone up to 4\.\d* at step \d+ from 1"):
        diverge()


def test_noise_and_high_beginnings_are_no_divergence() -> None:
    """A loss that falls from 50 and jumps between 0.5 and 1.5 goes on; nor does None ever stop."""
    generator = torch.Generator().manual_seed(0)
    check, without = DivergenceCheck(), DivergenceCheck(factor=None)
    for step in range(500):
        noise = torch.rand((), generator=generator).item()
        check.update(step, 50 * 0.9**step + 0.5 + noise)
        without.update(step, 1.0 + step)


def test_the_loss_is_told_by_position() -> None:
    """Frames 0-3 of 11 are early, 4-7 middle, 8-10 late, and 11 follows."""
    positions = LossByPosition()
    index_BT = torch.tensor([[0, 3], [4, 7], [8, 10], [11, 12]])
    error_BT = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])

    positions.update(error_BT, index_BT, 11)

    assert {"early": 1.0, "middle": 2.0, "late": 3.0, "next": 4.0} == positions.means

    positions.update(torch.tensor([[5.0, 5.0]]), torch.tensor([[0, 1]]), 0)

    assert 5.0 == positions.means["first"]
    assert 4.0 == positions.means["next"]
