"""Roll-out: every section is sampled from a memory that holds the sections before it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pfp.errors import InputError
from pfp.generate.memory import GrowingMemory
from pfp.generate.rollout import History, Rollout, Section, continue_history
from pfp.generate.settings import SamplerSettings
from pfp.latents.preprocess import downscale
from pfp.models.memory.dit import MemoryDiT
from pfp.models.vae.latent_vae import LatentVAE
from tests.generate.conftest import VariantMaker

NUM_LATENTS, SECTION = 5, 2
RNG = np.random.default_rng(0)
TEXTS_BLD = [torch.from_numpy(RNG.normal(size=(1, n, 8))).float() for n in (4, 6)]
SETTINGS = SamplerSettings(num_steps=2, autocast=False)


@pytest.fixture(name="frames_FHWC")
def frames() -> NDArray[np.uint8]:
    """Seventeen frames of a moving ramp."""
    ramp = np.add.outer(np.arange(17) * 5, np.arange(32) * 4)
    return np.broadcast_to(ramp[:, None, :, None], (17, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def history(vae: LatentVAE, frames_FHWC: NDArray[np.uint8]) -> History:
    """The same, encoded."""
    return History(hr_TCHW=vae.encode(frames_FHWC), frames_FHWC=frames_FHWC)


def sections(
    model: MemoryDiT, vae: LatentVAE, history: History, *, seed: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Two sections of two latent frames."""
    return continue_history(
        model,
        vae,
        history,
        TEXTS_BLD,
        downscale,
        section_latents=SECTION,
        settings=SETTINGS,
        seed=seed,
    )


def next_section(rollout: Rollout, *, num_latents: int = SECTION, seed: int = 0) -> Section:
    """A section of 32 x 32 pixels."""
    text = TEXTS_BLD[0]
    return rollout.sample(text, num_latents=num_latents, latent_size=(8, 8), seed=seed)


def test_a_section_comes_out_per_prompt_as_soon_as_it_is_there(
    small_variant: MemoryDiT, vae: LatentVAE, history: History
) -> None:
    """Sections are yielded one by one, four frames a latent, and repeat for a seed."""
    stream = sections(small_variant, vae, history)
    first = next(stream)
    rest = list(stream)

    assert [(8, 32, 32, 3)] * 2 == [section.shape for section in (first, *rest)]
    assert np.array_equal(first, next(sections(small_variant, vae, history)))
    assert not np.array_equal(first, next(sections(small_variant, vae, history, seed=1)))


def test_what_was_generated_joins_the_memory(
    small_variant: MemoryDiT, vae: LatentVAE, history: History
) -> None:
    """After a section, memory is that of the history and the section, decoded and made small."""
    rollout = Rollout(small_variant, vae, downscale, SETTINGS)
    rollout.start_from_latents(history.hr_TCHW, history.frames_FHWC)
    made = next_section(rollout)

    everything = np.concatenate([history.frames_FHWC, made.frames_FHWC])
    hr_TCHW = np.concatenate([history.hr_TCHW, made.chunk.hr_TCHW])
    lr_TCHW = vae.encode(np.stack([downscale(frame, 4) for frame in everything[::2]]))
    hr, lr = (torch.from_numpy(x).transpose(0, 1)[None] for x in (hr_TCHW, lr_TCHW))
    with torch.inference_mode():
        expected = small_variant.encode_history(hr, lr)
    got = rollout.memory.memory()

    assert expected is not None
    assert got is not None
    torch.testing.assert_close(expected.tokens_BND, got.tokens_BND, rtol=1e-5, atol=1e-5)
    assert NUM_LATENTS + SECTION == rollout.num_latents


def test_each_section_follows_its_own_prompt_alone(
    small_variant: MemoryDiT, vae: LatentVAE, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first prompt is no part of the second section's condition; indices go on."""
    seen: list[tuple[Any, torch.Tensor]] = []
    forward = small_variant.forward

    def spy(*args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append((args[2], args[3]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(small_variant, "forward", spy)

    list(sections(small_variant, vae, history))

    texts = [text.text_BLD for text, _ in seen[::2]]
    assert all(torch.equal(mine, asked) for mine, asked in zip(texts, TEXTS_BLD, strict=True))
    assert [[[5, 6]], [[7, 8]]] == [index.tolist() for _, index in seen[::2]]


def test_a_start_from_frames_equals_one_from_their_latents(
    small_variant: MemoryDiT, vae: LatentVAE, frames_FHWC: NDArray[np.uint8], history: History
) -> None:
    """Frames taken one by one give the latents and the next section of frames given at once."""
    from_frames = Rollout(small_variant, vae, downscale, SETTINGS)
    from_latents = Rollout(small_variant, vae, downscale, SETTINGS)

    chunk = from_frames.start_from_frames(iter(frames_FHWC))
    from_latents.start_from_latents(history.hr_TCHW, history.frames_FHWC)

    assert np.array_equal(history.hr_TCHW, chunk.hr_TCHW)
    assert np.array_equal(
        next_section(from_frames).frames_FHWC, next_section(from_latents).frames_FHWC
    )


def test_the_border_of_two_sections_is_decoded_as_one_video(
    small_variant: MemoryDiT, vae: LatentVAE, history: History
) -> None:
    """Frames of a section are those of decoding everything at once."""
    rollout = Rollout(small_variant, vae, downscale, SETTINGS)
    rollout.start_from_latents(history.hr_TCHW, history.frames_FHWC)
    made = [next_section(rollout, seed=seed) for seed in range(3)]

    hr_TCHW = np.concatenate([history.hr_TCHW, *(section.chunk.hr_TCHW for section in made)])
    whole = vae.decode(hr_TCHW)[len(history.frames_FHWC) :]

    got = np.concatenate([section.frames_FHWC for section in made])
    assert whole.shape == got.shape
    assert np.abs(whole.astype(int) - got).max() <= 1


@pytest.mark.parametrize("variant", ["proposed", "large_patchifier", "no_memory"])
def test_without_a_history_the_first_section_is_made_from_text_alone(
    make_variant: VariantMaker,
    vae: LatentVAE,
    variant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It begins at index 0 with no memory and a latent of one frame; the second has memory."""
    model = make_variant(variant)
    seen: list[tuple[list[list[int]], bool]] = []
    forward = model.forward

    def spy(*args: Any, memory: Any) -> torch.Tensor:
        seen.append((args[3].tolist(), memory is not None))
        return forward(*args, memory=memory)

    monkeypatch.setattr(model, "forward", spy)
    rollout = Rollout(model, vae, downscale, SETTINGS)

    first = next_section(rollout, num_latents=1 + SECTION)
    second = next_section(rollout)

    has_memory = variant != "no_memory"
    assert [([[0, 1, 2]], False), ([[3, 4]], has_memory)] == seen[::2]
    assert [9, 8] == [len(first.frames_FHWC), len(second.frames_FHWC)]
    assert [9, 8] == [first.chunk.num_frames, second.chunk.num_frames]


def test_a_replayed_rollout_goes_on_with_the_same_frames(
    small_variant: MemoryDiT, vae: LatentVAE
) -> None:
    """From its chunks alone, to the bit."""
    rollout = Rollout(small_variant, vae, downscale, SETTINGS)
    chunks = [next_section(rollout, num_latents=3).chunk]
    chunks += [next_section(rollout, seed=seed).chunk for seed in (1, 2)]
    expected = next_section(rollout, seed=3).frames_FHWC
    resumed = Rollout(small_variant, vae, downscale, SETTINGS)
    for chunk in chunks:
        resumed.replay(chunk)

    assert np.array_equal(expected, next_section(resumed, seed=3).frames_FHWC)


def test_a_history_that_ends_inside_a_latent_is_refused(
    small_variant: MemoryDiT, vae: LatentVAE, frames_FHWC: NDArray[np.uint8]
) -> None:
    """HR and LR would not end together."""
    with pytest.raises(InputError, match="a history of 16 frames is not 4k"):
        Rollout(small_variant, vae, downscale, SETTINGS).start_from_frames(frames_FHWC[:16])


def test_the_rollout_tells_when_memory_is_encoded_anew(
    make_variant: VariantMaker, vae: LatentVAE
) -> None:
    """As a sentence on its memory, from the first section on."""
    rollout = Rollout(make_variant("large_patchifier"), vae, downscale, SETTINGS)
    next_section(rollout, num_latents=3)

    assert isinstance(rollout.memory, GrowingMemory)
    assert "large_patchifier" in (rollout.memory.reencode_reason or "")
