"""Roll-out: every section is sampled from a memory that holds the sections before it."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pfp.generate.rollout import History, continue_history
from pfp.generate.sampler import SamplerSettings
from pfp.models.memory_dit import MemoryDiT
from pfp.models.vae.latent_vae import LatentVAE

NUM_LATENTS, SECTION = 5, 2
RNG = np.random.default_rng(0)
TEXTS_LD = [RNG.normal(size=(length, 8)).astype(np.float16) for length in (4, 6)]


@pytest.fixture
def history(vae: LatentVAE) -> History:
    """Seventeen frames of a moving ramp, encoded."""
    ramp = np.add.outer(np.arange(17) * 5, np.arange(32) * 4)
    frames_FHWC = np.broadcast_to(ramp[:, None, :, None], (17, 32, 32, 3)).astype(np.uint8)
    return History(
        hr_TCHW=vae.encode(frames_FHWC),
        lr_TCHW=lr_latents(frames_FHWC),
        frames_FHWC=frames_FHWC,
    )


def lr_latents(frames_FHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A stand-in for the LR encoder that tells what it saw: one latent per eight frames."""
    num_latents = len(frames_FHWC) // 8 + 1
    level = frames_FHWC.astype(np.float32).mean() / 255
    return np.full((num_latents, 16, 2, 2), level, dtype=np.float32)


def sections(
    model: MemoryDiT, vae: LatentVAE, history: History, *, seed: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Two sections of two latent frames."""
    return continue_history(
        model,
        vae,
        history,
        TEXTS_LD,
        lr_latents,
        section_latents=SECTION,
        settings=SamplerSettings(num_steps=2, autocast=False),
        seed=seed,
    )


def test_a_section_comes_out_per_prompt_as_soon_as_it_is_there(
    small_arm: MemoryDiT, vae: LatentVAE, history: History
) -> None:
    """Sections are yielded one by one, four frames a latent, and repeat for a seed."""
    stream = sections(small_arm, vae, history)
    first = next(stream)
    rest = list(stream)

    assert [(8, 32, 32, 3)] * 2 == [section.shape for section in (first, *rest)]
    assert np.array_equal(first, next(sections(small_arm, vae, history)))
    assert not np.array_equal(first, next(sections(small_arm, vae, history, seed=1)))


def test_what_was_generated_joins_the_memory(
    small_arm: MemoryDiT, vae: LatentVAE, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second section's memory begins with the history as it was and is a section longer."""
    remembered: list[tuple[torch.Tensor, torch.Tensor]] = []
    remember = small_arm.remember
    monkeypatch.setattr(
        small_arm, "remember", lambda hr, lr: remembered.append((hr, lr)) or remember(hr, lr)
    )

    list(sections(small_arm, vae, history))

    (first_hr, first_lr), (second_hr, second_lr) = remembered
    assert [NUM_LATENTS, NUM_LATENTS + SECTION] == [first_hr.shape[2], second_hr.shape[2]]
    assert [3, 4] == [first_lr.shape[2], second_lr.shape[2]]
    assert torch.equal(first_hr, second_hr[:, :, :NUM_LATENTS])
    assert np.array_equal(history.hr_TCHW, first_hr[0].transpose(0, 1).numpy())


def test_each_section_follows_its_own_prompt_alone(
    small_arm: MemoryDiT, vae: LatentVAE, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first prompt is no part of the second section's condition."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    forward = small_arm.forward

    def spy(*args: torch.Tensor, **kwargs: object) -> torch.Tensor:
        seen.append((args[2], args[3]))
        return forward(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(small_arm, "forward", spy)

    list(sections(small_arm, vae, history))

    texts = [text[0].half().numpy() for text, _ in seen[::2]]
    assert all(np.array_equal(mine, asked) for mine, asked in zip(texts, TEXTS_LD, strict=True))
    assert [[[5, 6]], [[7, 8]]] == [index.tolist() for _, index in seen[::2]]
