"""The LR video of a growing video: each latent computed once, and those of the whole video."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.errors import ConfigError
from pfp.generate.low_resolution import LowResolutionVideo, LrChunk, OpenEncode
from pfp.latents.preprocess import downscale
from pfp.models.rates import Rate
from pfp.models.vae.latent_vae import LatentVAE

RATES = [Rate(height=4, width=4, time=2), Rate(height=2, width=2, time=1)]
RATES += [Rate(height=2, width=2, time=8)]
SECTIONS = (33, 128, 94, 2, 30, 32)  # frames; some leave LR frames waiting for more


@pytest.fixture(name="frames_FHWC", scope="module")
def frames() -> NDArray[np.uint8]:
    """As many frames of 64 x 64 noise in blocks."""
    blocks = np.random.default_rng(0).integers(0, 256, (sum(SECTIONS), 4, 4, 3))
    return blocks.repeat(16, axis=1).repeat(16, axis=2).astype(np.uint8)


def sections(frames_FHWC: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The frames, section by section."""
    return np.split(frames_FHWC, np.cumsum(SECTIONS)[:-1])


def seen(video: LowResolutionVideo, frames_FHWC: NDArray[np.uint8]) -> LrChunk:
    """What the video makes of further frames."""
    for frame_HWC in frames_FHWC:
        video.add_frame(frame_HWC)
    return video.advance()


def all_at_once(
    vae: LatentVAE, rate: Rate, frames_FHWC: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The LR video by its definition (section 3.1), and its encode."""
    small = np.stack([downscale(frame, rate.height) for frame in frames_FHWC[:: rate.time]])
    return small, vae.encode(small[: (len(small) - 1) // 4 * 4 + 1])


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_sections_are_the_whole_lr_video(
    vae: LatentVAE, rate: Rate, frames_FHWC: NDArray[np.uint8]
) -> None:
    """Frames and latents, to the bit, whatever the sections' lengths."""
    video = LowResolutionVideo(vae, rate, downscale)
    chunks = [seen(video, section) for section in sections(frames_FHWC)]

    small_FHWC, latents_TCHW = all_at_once(vae, rate, frames_FHWC)

    assert np.array_equal(small_FHWC, np.concatenate([chunk.frames_FHWC for chunk in chunks]))
    made = [chunk.latents_TCHW for chunk in chunks]
    assert np.array_equal(latents_TCHW, np.concatenate([x for x in made if x is not None]))


@pytest.mark.parametrize("num_replayed", [1, 3])
def test_a_later_run_goes_on_as_if_it_had_never_ended(
    causal_vae: LatentVAE, frames_FHWC: NDArray[np.uint8], num_replayed: int
) -> None:
    """What follows replayed sections is what follows them in one run, to the bit."""
    rate = RATES[0]
    video = LowResolutionVideo(causal_vae, rate, downscale)
    chunks = [seen(video, section) for section in sections(frames_FHWC)]
    resumed = LowResolutionVideo(causal_vae, rate, downscale)
    for chunk, size in zip(chunks[:num_replayed], SECTIONS, strict=False):
        resumed.replay(chunk, size)

    for section, expected in zip(
        sections(frames_FHWC)[num_replayed:], chunks[num_replayed:], strict=True
    ):
        made = seen(resumed, section)
        assert np.array_equal(expected.frames_FHWC, made.frames_FHWC)
        assert np.array_equal(expected.latents_TCHW, made.latents_TCHW)  # type: ignore[arg-type]


def test_a_replayed_past_is_kept_as_far_back_as_the_encoder_sees(
    vae: LatentVAE, frames_FHWC: NDArray[np.uint8]
) -> None:
    """Of the small frames of a long past those of 28 latents stay."""
    video = LowResolutionVideo(vae, RATES[1], downscale)
    resumed = LowResolutionVideo(vae, RATES[1], downscale)
    for section in sections(frames_FHWC):
        resumed.replay(seen(video, section), len(section))

    assert 27 * 4 + 1 <= len(resumed._kept) <= 28 * 4 + 1


def test_latents_that_depend_on_what_follows_are_encoded_anew(
    vae: LatentVAE, frames_FHWC: NDArray[np.uint8]
) -> None:
    """Then a chunk has frames alone, and the whole is encoded from all of them, also replayed."""
    tiled = replace(vae, append_exact=False)
    video = LowResolutionVideo(tiled, RATES[0], downscale)
    resumed = LowResolutionVideo(tiled, RATES[0], downscale)
    for section in sections(frames_FHWC):
        chunk = seen(video, section)
        assert chunk.latents_TCHW is None
        resumed.replay(chunk, len(section))

    _, latents_TCHW = all_at_once(vae, RATES[0], frames_FHWC)
    assert np.array_equal(latents_TCHW, video.whole())
    assert np.array_equal(latents_TCHW, resumed.whole())


def test_an_open_encode_gives_a_latent_as_soon_as_its_frames_are_there(
    causal_vae: LatentVAE, frames_FHWC: NDArray[np.uint8]
) -> None:
    """One for the first frame, then one for every four."""
    stream = OpenEncode(causal_vae)

    counts = [len(stream.append([frame])) for frame in frames_FHWC[:10]]

    assert [1, 0, 0, 0, 1, 0, 0, 0, 1, 0] == counts


def test_a_rate_that_is_not_square_is_refused(vae: LatentVAE) -> None:
    """Frames are made smaller by one factor."""
    with pytest.raises(ConfigError, match="rate 4x2x2 is not square"):
        LowResolutionVideo(vae, Rate(height=4, width=2, time=2), downscale)
