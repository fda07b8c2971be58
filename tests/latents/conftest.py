"""A small random VAE for the tests of latents, and tables of made-up records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiny import TinyCausalVAE


@pytest.fixture(scope="session")
def vae(tmp_path_factory: pytest.TempPathFactory) -> LatentVAE:
    """A narrow TinyCausalVAE with random weights and constants far from 0 and 1."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    network = TinyCausalVAE(hidden_channels=8, latents_mean=[0.5] * 16, latents_std=[2.0] * 16)
    network.save_pretrained(folder)
    return load_vae(f"tiny:{folder}")


@pytest.fixture(scope="session")
def frames_THWC() -> NDArray[np.uint8]:  # noqa: N802 - array names end in their axes
    """47 frames of a bright square on its way over noise, uint8 RGB of 48 x 32 pixels."""
    frames = np.random.default_rng(0).integers(0, 60, (47, 32, 48, 3)).astype(np.uint8)
    for index in range(47):
        frames[index, 8:24, index // 2 : index // 2 + 16] = (200, 150, 90)
    return frames


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a test may put its latents table."""
    return tmp_path / "latents"
