"""Sampling: from noise to frames along the flow that the model predicts."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from pfp.errors import ConfigError
from pfp.generate.sampler import SamplerSettings, sample_frames
from pfp.models.memory_dit import MemoryDiT

TEXT_BLD = torch.zeros(1, 3, 8)


class PerfectDenoiser:
    """Knows the clean frames, so its velocity is the straight line's: (noisy - clean) / sigma."""

    def __init__(self, clean: Tensor) -> None:
        self.clean = clean
        self.dit = SimpleNamespace(config=SimpleNamespace(in_channels=clean.shape[1]))
        self.timesteps: list[float] = []

    def __call__(self, noisy: Tensor, timestep_BT: Tensor, *_: Any, memory: None) -> Tensor:
        """The velocity of flow matching, for one noise level shared by all frames."""
        assert memory is None
        assert timestep_BT.unique().numel() == 1
        self.timesteps.append(timestep_BT[0, 0].item())
        return (noisy - self.clean) / (timestep_BT[0, 0] / 1000)


def sample(model: object, *, seed: int = 0, num_steps: int = 5, index: int = 2) -> Tensor:
    """Two frames of 16 channels and 4 x 6."""
    return sample_frames(
        cast("MemoryDiT", model),
        memory=None,
        text_BLD=TEXT_BLD,
        frame_index_BT=torch.tensor([[1, index]]),
        latent_size=(4, 6),
        settings=SamplerSettings(num_steps=num_steps, autocast=False),
        seed=seed,
    )


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_a_perfect_denoiser_is_sampled_to_the_clean_frames(num_steps: int) -> None:
    """The line is straight, so any number of Euler steps ends on it."""
    clean = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(1))

    sampled = sample(PerfectDenoiser(clean), num_steps=num_steps)

    torch.testing.assert_close(sampled, clean, rtol=0, atol=1e-5)


def test_shift_spends_the_steps_at_high_noise() -> None:
    """Sigma' = 3 sigma / (1 + 2 sigma) of evenly spaced sigma, beginning at pure noise."""
    model = PerfectDenoiser(torch.zeros(1, 16, 2, 4, 6))

    sample(model, num_steps=4)

    sigmas = torch.linspace(1, 1 / 1000, 4).double()
    shifted = 3 * sigmas / (1 + 2 * sigmas)
    assert model.timesteps[0] == 1000.0
    assert (1000 * shifted[1:3]).tolist() == pytest.approx(model.timesteps[1:3], rel=0.01)


def test_arms_that_are_compared_start_from_the_same_noise(small_arm: MemoryDiT) -> None:
    """One seed gives one sample, whatever torch's global generator was used for in between."""
    first = sample(small_arm)
    torch.randn(7)

    assert torch.equal(first, sample(small_arm))
    assert not torch.equal(first, sample(small_arm, seed=1))


def test_which_frame_is_asked_for_reaches_the_model(small_arm: MemoryDiT) -> None:
    """Another frame index gives another frame."""
    assert not torch.equal(sample(small_arm, index=2), sample(small_arm, index=9))


def test_no_steps_are_refused() -> None:
    """A sampler without steps would return noise."""
    with pytest.raises(ConfigError, match="num_steps is 0; give 1 or more"):
        SamplerSettings(num_steps=0)
