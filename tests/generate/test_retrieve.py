"""Retrieval: frames asked of a memory, and decoded without neighbours to lean on."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pfp.generate.retrieve import decode_alone, retrieve_latents
from pfp.generate.sampler import SamplerSettings
from pfp.models.memory.dit import MemoryDiT
from pfp.models.vae.latent_vae import LatentVAE

RNG = np.random.default_rng(0)
HR_TCHW = RNG.normal(size=(11, 16, 8, 8)).astype(np.float16)
LR_TCHW = RNG.normal(size=(6, 16, 2, 2)).astype(np.float16)
TEXT_BLD = torch.from_numpy(RNG.normal(size=(1, 5, 8)).astype(np.float16)).float()


def retrieve(
    model: MemoryDiT, hr_TCHW: NDArray[np.float16] = HR_TCHW, *, omega: tuple[int, ...] = (3, 7)
) -> NDArray[np.float32]:
    """Two steps without autocast."""
    return retrieve_latents(
        model,
        hr_TCHW=hr_TCHW,
        lrs_TCHW=[LR_TCHW],
        omega=omega,
        text=TEXT_BLD,
        settings=SamplerSettings(num_steps=2, autocast=False),
        seed=0,
    )


def test_each_asked_frame_comes_back_in_the_latents_shape(small_variant: MemoryDiT) -> None:
    """One latent per index of Omega, T first, finite."""
    latents_TCHW = retrieve(small_variant, omega=(1, 4, 10))

    assert (3, 16, 8, 8) == latents_TCHW.shape
    assert np.isfinite(latents_TCHW).all()


def test_omega_says_which_frames(small_variant: MemoryDiT) -> None:
    """From the same noise, other frames asked for are other frames."""
    assert not np.array_equal(retrieve(small_variant), retrieve(small_variant, omega=(3, 8)))


@pytest.mark.parametrize("changed", range(11))
def test_every_history_frame_reaches_the_memory(small_variant: MemoryDiT, changed: int) -> None:
    """Another history frame, asked for or not, gives another sample."""
    other_TCHW = HR_TCHW.copy()
    other_TCHW[changed] += 1

    assert not np.array_equal(retrieve(small_variant), retrieve(small_variant, other_TCHW))


def test_without_memory_the_history_changes_nothing(small_variant: MemoryDiT) -> None:
    """A variant without encoder cannot know the history, however it is called."""
    small_variant.encoder = None

    assert np.array_equal(retrieve(small_variant), retrieve(small_variant, HR_TCHW + np.float16(1)))


def test_a_frame_is_decoded_without_its_neighbours(vae: LatentVAE) -> None:
    """Latent 0 is one frame, others four; what else is asked for changes none of them."""
    latents_TCHW = torch.randn(3, 16, 8, 8, generator=torch.Generator().manual_seed(2)).numpy()

    together = decode_alone(vae, latents_TCHW, (0, 4, 9))

    assert (9, 32, 32, 3) == together.shape
    assert np.array_equal(together[:1], decode_alone(vae, latents_TCHW[:1], (0,)))
    assert np.array_equal(together[1:5], decode_alone(vae, latents_TCHW[1:2], (4,)))
    assert np.array_equal(together[5:], decode_alone(vae, latents_TCHW[2:], (9,)))
