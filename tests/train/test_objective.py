"""The velocity error, noise-as-mask, text-free samples and frame sets."""

from copy import deepcopy
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pfp.errors import ConfigError
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.train.noise_schedule import sample_noise_levels
from pfp.train.objective import (
    Batch,
    Denoising,
    Draws,
    draw,
    lr_frames_kept,
    masked_history,
    random_frame_set,
    squared_error,
)
from pfp.train.settings import Objective
from tests.small_models import small_hunyuan, small_wan, with_noise


def seeded(seed: int = 0) -> torch.Generator:
    """Random numbers."""
    return torch.Generator().manual_seed(seed)


def batch(num_clips: int = 3, *, follows: bool = False) -> Batch:
    """Histories of 5 latent frames, LR 3; two frames asked for."""
    generator = seeded(1)
    index = [[5, 6]] * num_clips if follows else [[0, 3], [1, 4], [2, 3]][:num_clips]
    return Batch(
        hr_BCTHW=torch.randn(num_clips, 4, 5, 2, 2, generator=generator),
        lr_BCTHW=torch.randn(num_clips, 4, 3, 1, 1, generator=generator),
        target_BCTHW=torch.randn(num_clips, 4, 2, 2, 2, generator=generator),
        frame_index_BT=torch.tensor(index),
        text_BLD=torch.ones(num_clips, 2, 3),
    )


class Recorder(nn.Module):
    """Stands for a model: keeps what it is given and answers with a constant."""

    config = MemoryDiTConfig(variant="proposed")

    def __init__(self, velocity: float = 0.0) -> None:
        super().__init__()
        self.velocity = velocity
        self.seen: dict[str, Any] = {}

    def encode_history(self, hr: torch.Tensor, *lr: torch.Tensor) -> str:
        """What phi is shown."""
        self.seen |= {"hr": hr, "lr": lr}
        return "memory"

    def forward(
        self, noisy: torch.Tensor, timestep: torch.Tensor, text: Any, index: Any, **rest: Any
    ) -> torch.Tensor:
        """What the denoiser is shown."""
        self.seen |= {"noisy": noisy, "timestep": timestep, "text": text, "index": index, **rest}
        return torch.full_like(noisy, self.velocity)


def test_the_error_is_that_of_the_velocity() -> None:
    """Noise and target are told apart from what the model was shown: x_t = (1-t) X + t eps."""
    model = Recorder(velocity=0.25)
    given_batch = batch()

    error_BT = squared_error(model, given_batch, seeded(), Objective())  # type: ignore[arg-type]

    times = (model.seen["timestep"] / 1000)[:, None, :, None, None]
    target = given_batch.target_BCTHW
    noise = (model.seen["noisy"] - (1 - times) * target) / times
    expected = (0.25 - (noise - target)).square().mean(dim=(1, 3, 4))
    torch.testing.assert_close(error_BT, expected, atol=1e-4, rtol=1e-4)
    assert "memory" == model.seen["memory"]
    assert given_batch.hr_BCTHW is model.seen["hr"]


@pytest.mark.parametrize("scope", ["none", "hr", "hr+lr"])
def test_masks_keep_what_is_asked_for_and_noise_the_rest(scope: Any) -> None:
    """Frames of Omega come through untouched; others move, in the branches of the scope only."""
    given_batch = batch()
    objective = Objective(mask_scope=scope)

    hr, (lr,) = masked_history(given_batch, draw(given_batch, seeded(), objective), [2])

    same_hr_BT = (hr == given_batch.hr_BCTHW).all(dim=4).all(dim=3).all(dim=1)
    same_lr_BT = (lr == given_batch.lr_BCTHW).all(dim=4).all(dim=3).all(dim=1)
    omega = torch.zeros(3, 5, dtype=torch.bool).scatter_(1, given_batch.frame_index_BT, value=True)
    # LR latent 0 covers HR latent 0, 1 covers 1 and 2, 2 covers 3 and 4.
    covered = torch.tensor([[True, False, True], [False, True, True], [False, True, True]])
    assert torch.equal(omega if scope != "none" else torch.ones_like(omega), same_hr_BT)
    assert torch.equal(covered if scope == "hr+lr" else torch.ones_like(covered), same_lr_BT)


def test_the_masks_noise_has_the_level_that_was_drawn() -> None:
    """Of a history of zeros what is left is level times noise, so its size is the level."""
    clean = replace(batch(), hr_BCTHW=torch.zeros(3, 400, 5, 8, 8))
    objective = Objective(mask_scope="hr", mask_low=0.6, mask_high=0.601)

    hr, _ = masked_history(clean, draw(clean, seeded(), objective), [2])

    assert 0.6 == pytest.approx(hr[0, :, 1].std().item(), abs=0.01)


def test_random_numbers_come_in_the_order_that_they_always_had() -> None:
    """Noise, times, levels of the mask, its HR and LR noise, text: trainings can be repeated."""
    objective = Objective(mask_scope="hr+lr", text_free_share=0.5)
    generator = seeded()
    noise = torch.randn(3, 4, 2, 2, 2, generator=generator)
    times = sample_noise_levels(3, generator)
    levels = sample_noise_levels(3, generator, shift=1.0, low=0.2)
    hr, lr = (torch.randn(3, 4, *size, generator=generator) for size in ((5, 2, 2), (3, 1, 1)))
    free = torch.rand(3, generator=generator) < 0.5

    draws = draw(batch(), seeded(), objective)

    expected = Draws(
        noise_BCTHW=noise,
        times_B=times,
        mask_levels_B=levels,
        hr_noise_BCTHW=hr,
        lr_noises_BCTHW=(lr,),
        text_free_B=free,
    )
    torch.testing.assert_close(asdict(draws), asdict(expected), rtol=0, atol=0)


def test_a_history_that_the_target_follows_is_not_masked() -> None:
    """No frame of it was asked for, so none would be left."""
    given_batch = batch(follows=True)

    draws = draw(given_batch, seeded(), Objective(mask_scope="hr+lr"))
    hr, (lr,) = masked_history(given_batch, draws, [2])

    assert hr is given_batch.hr_BCTHW
    assert lr is given_batch.lr_BCTHW


@given(st.integers(1, 30), st.sampled_from([1, 2, 4, 8]), st.data())
def test_lr_frames_are_kept_with_the_hr_frames_that_they_cover(
    num_frames: int, stride: int, data: st.DataObject
) -> None:
    """LR latent j covers HR latents ``s j - s + 1 .. s j``: by hand, for any length and stride."""
    kept = data.draw(st.lists(st.booleans(), min_size=num_frames, max_size=num_frames))
    num_lr = 1 + (num_frames - 1) // stride
    expected = [
        any(kept[k] for k in range(stride * j - stride + 1, stride * j + 1) if k >= 0)
        for j in range(num_lr)
    ]

    found = lr_frames_kept(torch.tensor([kept]), stride)

    assert [expected] == found.tolist()


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_share_of_the_prompts_is_emptied(share: float, expected: float) -> None:
    """Whole prompts, mask and pooled vector together."""
    model = Recorder()
    many = replace(
        batch(),
        text_BLD=torch.ones(3, 2, 3),
        text_mask_BL=torch.ones(3, 2, dtype=torch.bool),
        text_pooled_BP=torch.ones(3, 5),
    )
    empty = TextConditions(
        torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool), torch.zeros(1, 5)
    )
    freed = []
    for seed in range(60):
        squared_error(model, many, seeded(seed), Objective(text_free_share=share), empty)  # type: ignore[arg-type]
        text = model.seen["text"]
        freed += (text.text_BLD == 0).all(dim=2).all(dim=1).tolist()
        assert torch.equal(text.text_BLD[:, 0, 0] == 0, ~text.mask_BL[:, 0])
        assert torch.equal(text.text_BLD[:, 0, 0], text.pooled_BP[:, 0])

    assert expected == pytest.approx(sum(freed) / len(freed), abs=0.12)


def test_guidance_reaches_a_distilled_model() -> None:
    """As diffusers gives it: times 1,000."""
    model = Recorder()

    squared_error(model, batch(), seeded(), Objective(guidance=6.0))  # type: ignore[arg-type]

    assert [6000.0] * 3 == model.seen["text"].guidance_B.tolist()


def test_a_guidance_distilled_model_is_trained() -> None:
    """A real HunyuanVideo DiT takes mask, pooled text and guidance, and its encoder learns."""
    dit = small_hunyuan(guidance_embeds=True)
    model = MemoryDiT(dit, MemoryDiTConfig(variant="proposed", base="hunyuan", lora_rank=4))
    generator = seeded()
    told = Batch(
        hr_BCTHW=torch.randn(2, 16, 5, 8, 8, generator=generator),
        lr_BCTHW=torch.randn(2, 16, 3, 2, 2, generator=generator),
        target_BCTHW=torch.randn(2, 16, 1, 8, 8, generator=generator),
        frame_index_BT=torch.tensor([[2], [4]]),
        text_BLD=torch.randn(2, 4, 12, generator=generator),
        text_mask_BL=torch.tensor([[True] * 4, [True, True, False, False]]),
        text_pooled_BP=torch.randn(2, 10, generator=generator),
    )

    error_BT = squared_error(model, told, generator, Objective(guidance=1.0))
    error_BT.mean().backward()  # type: ignore[no-untyped-call]

    assert (2, 1) == error_BT.shape
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert gradients["encoder.hr.project.weight"].abs().max() > 0
    assert all("lora_" in name or "encoder." in name for name in gradients)


def test_text_free_training_needs_the_empty_prompt() -> None:
    """It says which setting makes it."""
    with pytest.raises(ConfigError, match="with_empty_prompt=true"):
        Denoising(Recorder(), Objective(text_free_share=0.2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"mask_scope": "lr"}, {"text_free_share": 1.5}, {"low": 1.0}, {"mask_low": -1.0}]
)
def test_objectives_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    """One sentence with the value."""
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))):
        Objective(**wrong)


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


@pytest.mark.parametrize("cross_attention", [False, True])
@pytest.mark.parametrize("base", ["wan", "hunyuan"])
def test_a_section_without_history_is_denoised_as_the_base_would(
    base: str, *, cross_attention: bool
) -> None:
    """No memory enters: the stock forward's error. LoRA learns, the encoder gets gradients of 0."""
    dit: Any = with_noise(small_wan() if base == "wan" else small_hunyuan())
    stock, config = (
        deepcopy(dit),
        MemoryDiTConfig(variant="proposed", lora_rank=2, cross_attention=cross_attention),
    )
    model = MemoryDiT(dit, config)
    generator = seeded(1)
    given = Batch(
        hr_BCTHW=torch.zeros(2, 16, 0, 16, 16),
        lr_BCTHW=torch.zeros(2, 16, 0, 4, 4),
        target_BCTHW=torch.randn(2, 16, 2, 16, 16, generator=generator),
        frame_index_BT=torch.tensor([[0, 1]] * 2),
        text_BLD=torch.randn(2, 4, 8 if base == "wan" else 12, generator=generator),
        text_mask_BL=torch.ones(2, 4, dtype=torch.bool),
        text_pooled_BP=torch.randn(2, 10, generator=generator),
    )
    objective = Objective(mask_scope="hr+lr", guidance=None if base == "wan" else 1.0)

    error_BT = squared_error(model, given, seeded(), objective)
    error_BT.mean().backward()

    noise = torch.randn(given.target_BCTHW.shape, generator=(same := seeded()))
    times_B = sample_noise_levels(2, same)
    times = times_B[:, None, None, None, None]
    noisy = (1 - times) * given.target_BCTHW + times * noise
    extra: dict[str, Any] = {}
    if base == "hunyuan":
        extra = {
            "encoder_attention_mask": given.text_mask_BL,
            "pooled_projections": given.text_pooled_BP,
            "guidance": torch.full((2,), 1000.0),
        }
    velocity = stock(noisy, times_B * 1000, given.text_BLD, return_dict=False, **extra)[0]
    expected = (velocity - (noise - given.target_BCTHW)).square().mean(dim=(1, 3, 4))
    torch.testing.assert_close(error_BT, expected, atol=1e-4, rtol=1e-4)
    of_memory = model.memory_parameters()
    assert all(p.grad is not None and not p.grad.any() for p in of_memory)
    lora = [p for n, p in model.named_parameters() if "lora_B" in n]
    assert any(p.grad is not None and p.grad.any() for p in lora)
