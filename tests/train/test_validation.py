"""The held-out loss: what it is, and that it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from pfp.errors import ConfigError
from pfp.models.memory.dit import MemoryDiT
from pfp.train.loop import batches_by_step, generator_at, train
from pfp.train.objective import Denoising
from pfp.train.settings import Objective, TrainSettings, ValidationPlan
from pfp.train.validation import VALIDATION_SEED, Validation
from tests.train.small_training import batch_at, held_out_window, tiny_model

SETTINGS = TrainSettings(num_steps=4, warmup_steps=1, autocast=False, ema_decay=0.9)
PLAN = ValidationPlan(num_windows=5, times=(0.25, 0.75))


class Reports(list[tuple[int, Mapping[str, float]]]):
    """What was reported, and at which step."""

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Keep it."""
        self.append((step, values))


def validation(denoising: Denoising, reports: Reports, **changes: Any) -> Validation:
    """Every second step, with changes."""
    told = {"every_steps": 2, "accelerator": Accelerator(cpu=True), "autocast": False, **changes}
    return Validation(denoising, held_out_window, PLAN, report=reports, **told)


def weights_after(*, seed: int = 0, validated: bool, objective: Objective | None = None) -> Any:
    """What a training ends with: weights and averages, and the reports."""
    model, reports = tiny_model(), Reports()
    denoising = Denoising(model, objective or Objective(mask_scope="hr+lr"))
    made = train(
        denoising,
        batches_by_step(batch_at, seed),
        replace(SETTINGS, seed=seed),
        None,
        report=lambda _: None,
        held_out_loss=validation(denoising, reports, psnr=lambda: 17.0) if validated else None,
    )
    return [*model.trainable_parameters(), *made.averaged.values()], reports


def test_a_training_that_is_validated_ends_with_the_same_weights() -> None:
    """Bit for bit, averages too, though masks and noise are drawn at every step."""
    without, _ = weights_after(validated=False)
    torch.manual_seed(7)  # nothing global counts
    with_it, reports = weights_after(validated=True)

    assert all(torch.equal(a, b) for a, b in zip(without, with_it, strict=True))
    assert [2, 4] == [step for step, _ in reports]


def test_the_loss_is_the_velocity_error_at_fixed_times() -> None:
    """By hand for one window: noise of its number, a clean history, both times alike."""
    model, reports = tiny_model(), Reports()
    denoising = Denoising(model, Objective(mask_scope="hr", text_free_share=0.0))

    found = validation(denoising, reports)(2)

    expected = torch.stack([by_hand(model, number) for number in range(5)])
    ((_, values),) = reports
    assert found == values["held_out_loss"] == pytest.approx(expected.mean().item(), rel=1e-5)
    for time, loss in zip((0.25, 0.75), expected.mean(dim=0), strict=True):
        assert values[f"held_out_loss_by_time/{time}"] == pytest.approx(loss.item(), rel=1e-5)
    # Windows 0 and 4 ask for latent 0 of 3, 1 for latent 1, 2 for 2, and 3 for what follows.
    by_window = expected.mean(dim=1)
    for name, mean in (
        ("early", (by_window[0] + by_window[4]) / 2),
        ("middle", by_window[1]),
        ("late", by_window[2]),
        ("next", by_window[3]),
    ):
        assert values[f"held_out_loss_by_position/{name}"] == pytest.approx(mean.item(), rel=1e-5)
    assert "held_out_loss_by_position/first" not in values


def by_hand(model: MemoryDiT, number: int) -> torch.Tensor:
    """A window's error at both times, ``(2,)``."""
    batch = held_out_window(number)
    target = batch.target_BCTHW
    noise = torch.randn(target.shape, generator=generator_at(VALIDATION_SEED, number))
    errors = []
    for time in (0.25, 0.75):
        with torch.no_grad():
            velocity = model(
                (1 - time) * target + time * noise,
                torch.full((1, 1), 1000 * time),
                batch.text_BLD,
                batch.frame_index_BT,
                memory=model.encode_history(batch.hr_BCTHW, batch.lr_BCTHW),
            )
        errors.append((velocity - (noise - target)).square().mean())
    return torch.stack(errors)


def test_trainings_of_several_seeds_are_measured_on_the_same() -> None:
    """A model that is the same has the same losses, to the bit, whatever it is trained with."""
    values = []
    for seed in (0, 1):
        reports = Reports()
        denoising = Denoising(tiny_model(), Objective(shift=3.0 + seed, mask_scope="hr"))
        validation(denoising, reports)(seed)
        values.append(reports[0][1])

    assert values[0] == values[1]


def test_psnr_is_reported_beside_the_loss() -> None:
    """Where somebody measures it."""
    denoising = Denoising(tiny_model(), Objective())
    for psnr, expected in ((None, None), (lambda: 17.5, 17.5)):
        reports = Reports()
        validation(denoising, reports, psnr=psnr)(1)
        assert reports[0][1].get("held_out_psnr") == expected


def test_the_model_trains_on_afterwards() -> None:
    """Measuring leaves it as it was, also when it fails."""
    denoising = Denoising(tiny_model(), Objective())
    denoising.train()
    validation(denoising, Reports())(1)
    assert denoising.model.training

    def fail() -> float:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        validation(denoising, Reports(), psnr=fail)(1)
    assert denoising.model.training


@pytest.mark.parametrize(
    "wrong", [{"num_windows": 0}, {"times": ()}, {"times": (0.0,)}, {"num_psnr_windows": -1}]
)
def test_plans_that_measure_nothing_are_refused(wrong: dict[str, Any]) -> None:
    """With the value."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ValidationPlan(**wrong)
