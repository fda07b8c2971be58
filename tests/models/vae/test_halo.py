"""Encoding from the middle of a video after a halo, against encoding it whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo, AutoencoderKLWan

from pfp.errors import ConfigError, InputError
from pfp.models.vae import load_vae
from pfp.models.vae.halo import encode_with_halo, halo_frames
from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiny import TinyCausalVAE

WAN22_CONFIG = {
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}
NUM_LATENTS = 33
FIRST_LATENT = 30


@pytest.fixture(scope="module")
def video() -> Any:
    """129 random frames of 32 x 32, in blocks of 16, uint8 RGB."""
    noise = np.random.default_rng(0).integers(0, 256, (4 * NUM_LATENTS - 3, 2, 2, 3))
    return noise.repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LatentVAE:
    """A TinyCausalVAE of random weights, the zero-initialised ones too."""
    network = TinyCausalVAE(hidden_channels=16, latents_mean=[0.0] * 16, latents_std=[1.0] * 16)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 8)
    folder = tmp_path_factory.mktemp("tiny")
    network.save_pretrained(folder)
    return load_vae(f"tiny:{folder}")


@pytest.fixture(scope="module", params=["wan21", "wan22_5b"])
def wan(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LatentVAE:
    """Either generation's encoder at its true depth, which is what decides its reach in time."""
    torch.manual_seed(0)
    extra = {} if request.param == "wan21" else {**WAN22_CONFIG, "decoder_base_dim": 8}
    folder = tmp_path_factory.mktemp(request.param)
    AutoencoderKLWan(base_dim=8, **extra).save_pretrained(folder)
    return load_vae(f"{request.param}:{folder}")


def after_halo(vae: LatentVAE, video: Any, halo_latents: int) -> Any:
    """The last three latents of the video, by way of a halo."""
    frames = halo_frames(FIRST_LATENT, NUM_LATENTS - FIRST_LATENT, halo_latents=halo_latents)
    return encode_with_halo(
        vae, video[frames.start : frames.stop], first_latent=FIRST_LATENT, halo_latents=halo_latents
    )


def test_wan_s_reach_is_27_latents(wan: LatentVAE, video: Any) -> None:
    """A halo of 28 latents gives the whole video's to the bit; 27 and 4 do not."""
    expected = wan.encode(video)[FIRST_LATENT:]
    scale = np.abs(expected).max()

    np.testing.assert_array_equal(after_halo(wan, video, 28), expected)
    assert 0 < np.abs(after_halo(wan, video, 27) - expected).max() < 1e-5 * scale
    assert np.abs(after_halo(wan, video, 4) - expected).max() > 0.05 * scale


def test_tiny_s_reach_is_2_latents(tiny: LatentVAE, video: Any) -> None:
    """A halo of 3 latents gives the whole video's to the bit; 2 do not."""
    expected = tiny.encode(video)[FIRST_LATENT:]

    np.testing.assert_array_equal(after_halo(tiny, video, 3), expected)
    assert np.abs(after_halo(tiny, video, 2) - expected).max() > 1e-3


@pytest.mark.parametrize("first_latent", [0, 1, 2, 3])
def test_near_the_start_the_video_s_own_start_is_the_halo(
    tiny: LatentVAE, video: Any, first_latent: int
) -> None:
    """A halo that would begin before frame 0 begins with it, and nothing is lost."""
    frames = halo_frames(first_latent, 2, halo_latents=3)

    actual = encode_with_halo(
        tiny, video[frames.start : frames.stop], first_latent=first_latent, halo_latents=3
    )

    expected = tiny.encode(video)[first_latent : first_latent + 2]
    np.testing.assert_array_equal(actual, expected)


def test_the_halo_begins_with_the_last_frame_of_a_latent() -> None:
    """Latent 2 ends with frame 8, latent 30 with frame 120: from there on groups are in step."""
    assert range(8, 129) == halo_frames(30, 3)
    assert range(116, 121) == halo_frames(30, 1, halo_latents=1)
    assert range(49) == halo_frames(10, 3)


def test_frames_that_end_in_the_halo_are_refused(tiny: LatentVAE, video: Any) -> None:
    """No latents at all would be an answer to another question."""
    with pytest.raises(InputError, match=r"9 frames end before latent 30; .* from 108 to at least"):
        encode_with_halo(tiny, video[:9], first_latent=30, halo_latents=3)


@pytest.mark.parametrize(("first", "num", "halo"), [(-1, 1, 28), (0, 0, 28), (3, 1, 0)])
def test_impossible_ranges_are_refused(first: int, num: int, halo: int) -> None:
    """Each with what can be given."""
    with pytest.raises(ConfigError, match="give 1 or more latents, from 0 on, and a halo"):
        halo_frames(first, num, halo_latents=halo)


def test_a_vae_of_tiles_in_time_is_refused(tmp_path: Path, video: Any) -> None:
    """HunyuanVideo's latents depend on where a tile begins, which a halo would move."""
    vae = AutoencoderKLHunyuanVideo(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
    )
    vae.save_pretrained(tmp_path)

    with pytest.raises(ConfigError, match="hunyuan encodes in tiles whose place decides"):
        encode_with_halo(load_vae(f"hunyuan:{tmp_path}"), video, first_latent=30)
