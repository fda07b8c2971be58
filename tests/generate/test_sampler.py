"""Sampling: from noise to frames along the flow that the model predicts."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from pfp.errors import ConfigError, PermanentError
from pfp.generate.sampler import guided, sample_frames
from pfp.generate.settings import SCHEDULERS, SamplerSettings
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from tests.small_models import small_wan

TEXT_BLD = torch.zeros(1, 3, 8)
SHAPE = (1, 16, 2, 4, 6)


class FieldModel:
    """A velocity that is a formula of the frames, the time in [0, 1] and the text."""

    def __init__(
        self, field: Callable[[Tensor, Tensor, Tensor], Tensor], *, guidance_embeds: bool = False
    ) -> None:
        self.field = field
        self.dit = SimpleNamespace(
            config=SimpleNamespace(in_channels=SHAPE[1], guidance_embeds=guidance_embeds)
        )
        self.patch_embedding = SimpleNamespace(weight=torch.zeros(()))
        self.timesteps: list[float] = []
        self.texts: list[TextConditions] = []

    def __call__(
        self, noisy: Tensor, timestep_BT: Tensor, text: TextConditions, *_: Any, memory: None
    ) -> Tensor:
        """The velocity of flow matching, for one noise level shared by all frames."""
        assert memory is None
        assert timestep_BT.unique().numel() == 1
        self.timesteps.append(timestep_BT[0, 0].item())
        self.texts.append(text)
        return self.field(noisy, timestep_BT[0, 0] / 1000, text.text_BLD)


def towards(clean: Tensor) -> FieldModel:
    """Knows the clean frames, so its velocity is the straight line's: (noisy - clean) / sigma."""
    return FieldModel(lambda noisy, time, _text: (noisy - clean) / time)


def noise(seed: int = 0) -> Tensor:
    """What a sample of this seed starts from."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def sample(
    model: object,
    *,
    seed: int = 0,
    index: int = 2,
    text: Tensor | TextConditions = TEXT_BLD,
    negative: Tensor | TextConditions | None = None,
    on_step: Callable[[], None] | None = None,
    **settings: Any,
) -> Tensor:
    """Two frames of 16 channels and 4 x 6."""
    return sample_frames(
        cast("MemoryDiT", model),
        memory=None,
        text=text,
        negative=negative,
        frame_index_BT=torch.tensor([[1, index]]),
        latent_size=(4, 6),
        settings=SamplerSettings(**{"num_steps": 5, "autocast": False, **settings}),
        seed=seed,
        on_step=on_step,
    )


@pytest.mark.parametrize("shift", [1.0, 3.0, 7.0])
def test_even_sigmas_are_those_of_the_stock_pipeline(shift: float) -> None:
    """linspace(1, 0, steps + 1) without the last, shifted once; the last step moves its share."""
    model = towards(torch.zeros(SHAPE))

    sample(model, num_steps=8, shift=shift, sigmas="even")

    even = [1 - step / 8 for step in range(8)]
    expected = [shift * sigma / (1 + (shift - 1) * sigma) for sigma in even]
    assert [time / 1000 for time in model.timesteps] == pytest.approx(expected, abs=1e-6)
    own = towards(torch.zeros(SHAPE))
    sample(own, num_steps=8, shift=shift)
    assert own.timesteps[-1] < 10 * shift < model.timesteps[-1]


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_a_perfect_denoiser_is_sampled_to_the_clean_frames(num_steps: int) -> None:
    """The line is straight, so any number of Euler steps ends on it."""
    clean = noise(1)

    sampled = sample(towards(clean), num_steps=num_steps)

    torch.testing.assert_close(sampled, clean, rtol=0, atol=1e-5)


def test_shift_spends_the_steps_at_high_noise() -> None:
    """Sigma' = 3 sigma / (1 + 2 sigma) of evenly spaced sigma, beginning at pure noise."""
    model = towards(torch.zeros(SHAPE))

    sample(model, num_steps=4)

    sigmas = torch.linspace(1, 1 / 1000, 4).double()
    shifted = 3 * sigmas / (1 + 2 * sigmas)
    assert model.timesteps[0] == 1000.0
    assert (1000 * shifted[1:3]).tolist() == pytest.approx(model.timesteps[1:3], rel=0.01)


@pytest.mark.parametrize(("scheduler", "order"), [("euler", 1), ("unipc", 2)])
def test_a_scheduler_converges_to_the_exact_solution_with_its_order(
    scheduler: str, order: int
) -> None:
    """dx/dt = x from t = 1 to 0 ends at x / e; twice the steps divide the error by 2^order."""
    exact = noise() / math.e

    def error(num_steps: int) -> float:
        model = FieldModel(lambda noisy, _time, _text: noisy)
        sampled = sample(model, scheduler=scheduler, num_steps=num_steps, shift=1.0)
        return (sampled - exact).abs().max().item()

    coarse, fine = error(40), error(80)

    assert fine < 0.01
    assert coarse / fine > 0.95 * 2**order


def test_unipc_needs_fewer_steps_than_euler_for_the_same_error() -> None:
    """Ten steps of UniPC come closer than forty of Euler on a curved flow."""
    exact = noise() / math.e
    model = FieldModel(lambda noisy, _time, _text: noisy)

    unipc = (sample(model, scheduler="unipc", num_steps=10, shift=1.0) - exact).abs().max()
    euler = (sample(model, scheduler="euler", num_steps=40, shift=1.0) - exact).abs().max()

    assert unipc < euler


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_loop_is_that_of_diffusers_own_pipelines(scheduler: str) -> None:
    """The same scheduler driven by hand, over a field that depends on time, gives the same bits."""
    field = FieldModel(lambda noisy, time, _text: torch.sin(noisy * 2) * time + noisy)
    stock: Any = (
        FlowMatchEulerDiscreteScheduler(shift=5.0)
        if scheduler == "euler"
        else UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
        )
    )
    stock.set_timesteps(6)
    expected = noise()
    for timestep in stock.timesteps:
        velocity = torch.sin(expected * 2) * (timestep.float() / 1000) + expected
        expected = stock.step(velocity, timestep, expected, return_dict=False)[0]

    assert torch.equal(expected, sample(field, scheduler=scheduler, num_steps=6, shift=5.0))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_variants_that_are_compared_start_from_the_same_noise(
    small_variant: MemoryDiT, scheduler: str
) -> None:
    """One seed gives one sample, whatever torch's global generator was used for in between."""
    first = sample(small_variant, scheduler=scheduler)
    torch.randn(7)

    assert torch.equal(first, sample(small_variant, scheduler=scheduler))
    assert not torch.equal(first, sample(small_variant, seed=1, scheduler=scheduler))


def test_which_frame_is_asked_for_reaches_the_model(small_variant: MemoryDiT) -> None:
    """Another frame index gives another frame."""
    assert not torch.equal(sample(small_variant, index=2), sample(small_variant, index=9))


def test_without_guidance_the_model_runs_once_a_step() -> None:
    """A scale of 1 needs no second forward, so a negative prompt changes nothing."""
    model = towards(torch.zeros(SHAPE))
    steps: list[int] = []

    sample(model, num_steps=3, negative=TEXT_BLD + 1, on_step=lambda: steps.append(1))

    assert [3, 3] == [len(model.timesteps), len(steps)]


@pytest.mark.parametrize("scale", [0.0, 2.5])
def test_guidance_goes_away_from_the_negative_prompt(scale: float) -> None:
    """With velocities 3 for the prompt and 1 against it, the flow moves by 1 + 2 scale."""
    model = FieldModel(lambda noisy, _time, text: torch.ones_like(noisy) * text.mean())

    sampled = sample(
        model, text=TEXT_BLD + 3, negative=TEXT_BLD + 1, guidance_scale=scale, num_steps=4
    )

    assert 8 == len(model.timesteps)
    torch.testing.assert_close(sampled, noise() - (1 + 2 * scale), rtol=0, atol=1e-5)


def test_two_forwards_are_guidance_as_one_batch_gives_it(small_variant: MemoryDiT) -> None:
    """The first Euler step from a batch of both prompts is the sampler's only step."""
    generator = torch.Generator().manual_seed(3)
    text, negative = torch.randn(2, 1, 3, 8, generator=generator)
    with torch.no_grad():
        both = small_variant(
            noise().expand(2, *SHAPE[1:]),
            torch.full((2, 2), 1000.0),
            torch.cat([text, negative]),
            torch.tensor([[1, 2], [1, 2]]),
            memory=None,
        )
    expected = noise() - guided(both[:1], both[1:], 4.0)

    sampled = sample(small_variant, text=text, negative=negative, guidance_scale=4.0, num_steps=1)

    torch.testing.assert_close(sampled, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(sampled, sample(small_variant, text=text, num_steps=1))


def test_a_distilled_model_is_told_the_scale_instead() -> None:
    """HunyuanVideo takes the scale times 1,000 as a condition and runs once a step."""
    model = FieldModel(lambda noisy, _time, _text: noisy, guidance_embeds=True)

    sample(model, guidance_scale=6.0, num_steps=2, negative=TEXT_BLD)

    assert [[6000.0]] * 2 == [text.guidance_B.tolist() for text in model.texts]  # type: ignore[union-attr]


def test_guidance_without_a_negative_prompt_is_refused() -> None:
    """There would be nothing to go away from."""
    with pytest.raises(ConfigError, match=r"guidance_scale 2\.0 needs the negative prompt's"):
        sample(towards(torch.zeros(SHAPE)), guidance_scale=2.0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_steps": 0}, "num_steps is 0; give 1 or more"),
        ({"scheduler": "ddim"}, "there is no scheduler 'ddim'; choose euler or unipc"),
        ({"sigmas": "odd"}, "sigmas 'odd' are unknown; choose scheduler or even"),
        (
            {"sigmas": "even", "scheduler": "unipc"},
            "sigmas 'even' are those of euler, and scheduler is unipc; leave one of them out",
        ),
        ({"shift": 0.0}, "shift is 0.0; give a positive number, 1 for no shift"),
        ({"shift": math.nan}, "shift is nan; give a positive number, 1 for no shift"),
        ({"guidance_scale": -1.0}, "guidance_scale is -1.0; give 0 or more, 1 for no guidance"),
        ({"guidance_scale": math.inf}, "guidance_scale is inf; give 0 or more, 1 for no guidance"),
    ],
)
def test_settings_that_cannot_sample_are_refused(settings: Any, sentence: str) -> None:
    """Each says its value and what to give instead."""
    with pytest.raises(ConfigError) as raised:
        SamplerSettings(**settings)

    assert sentence == str(raised.value)


def test_a_layer_that_computes_nan_is_named() -> None:
    """With the step, instead of latents of NaN, which decode to black frames."""
    model = MemoryDiT(small_wan(), MemoryDiTConfig(variant="no_memory", lora_rank=4)).eval()
    with torch.no_grad():
        model.dit.blocks[1].ffn.net[2].bias[0] = float("nan")

    with pytest.raises(PermanentError) as error:
        sample_frames(
            model,
            memory=None,
            text=torch.zeros(1, 3, 8),
            frame_index_BT=torch.arange(2)[None],
            latent_size=(4, 4),
            settings=SamplerSettings(num_steps=2, autocast=False),
            seed=0,
        )

    expected = "step 1 of 2 computed NaN or infinity, first in dit.blocks.1.ffn.net.2.base_layer; "
    assert str(error.value).startswith(expected)


def test_a_prompt_that_is_nan_is_blamed_on_no_layer() -> None:
    """The text encoder's embedding is looked at before the first step."""
    model = MemoryDiT(small_wan(), MemoryDiTConfig(variant="no_memory", lora_rank=4)).eval()

    with pytest.raises(PermanentError, match="embeddings of the prompt hold NaN or infinity; "):
        sample_frames(
            model,
            memory=None,
            text=torch.full((1, 3, 8), float("inf")),
            frame_index_BT=torch.arange(2)[None],
            latent_size=(4, 4),
            settings=SamplerSettings(num_steps=2, autocast=False),
            seed=0,
        )
