"""The training loop: what is resumed is what would have been."""

import shutil
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from pfp.errors import ConfigError, WeightsError
from pfp.models.memory.dit import MemoryDiT
from pfp.train.loop import (
    BatchesFrom,
    StepReport,
    batches_by_step,
    drawn_ahead,
    generator_at,
    train,
)
from pfp.train.objective import Batch, Denoising, Draws, draw
from pfp.train.settings import Objective, TrainSettings
from tests.train.small_training import batch_at, tiny_model

SETTINGS = TrainSettings(
    num_steps=6, warmup_steps=2, save_every_steps=2, autocast=False, ema_decay=0.9
)


def denoising(model: MemoryDiT | None = None) -> Denoising:
    """The model with the plain objective."""
    return Denoising(model or tiny_model(), Objective())


BATCHES: BatchesFrom = batches_by_step(batch_at, 0)


def ignore(done: StepReport) -> None:
    """No report."""


def weights(model: MemoryDiT) -> list[torch.Tensor]:
    """Copies of what is trained."""
    return [parameter.detach().clone() for parameter in model.trainable_parameters()]


class KilledError(Exception):
    """Stands for the signal."""


def test_a_training_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Killed between saves, started again: bit for bit the uninterrupted run, averages too."""
    whole = tiny_model()
    expected = train(denoising(whole), BATCHES, SETTINGS, None, report=ignore)

    def die_at_five(done: StepReport) -> None:
        if done.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        train(denoising(), BATCHES, SETTINGS, tmp_path, report=die_at_five)
    resumed = tiny_model()
    found = train(denoising(resumed), BATCHES, SETTINGS, tmp_path, report=ignore)

    assert 0 == expected.first_step
    assert 4 == found.first_step
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    assert expected.averaged
    assert all(torch.equal(a, found.averaged[name]) for name, a in expected.averaged.items())
    trained = zip(weights(whole), expected.averaged.values(), strict=True)
    assert any(not torch.equal(now, mean) for now, mean in trained)


def test_a_finished_training_does_nothing_when_started_again(tmp_path: Path) -> None:
    """The state says that all steps are done, so none is taken, and the weights are there."""
    model, again = tiny_model(), tiny_model()
    train(denoising(model), BATCHES, SETTINGS, tmp_path, report=ignore)
    steps: list[int] = []

    train(
        denoising(again),
        BATCHES,
        SETTINGS,
        tmp_path,
        report=lambda done: steps.append(done.step),
    )

    assert [] == steps
    assert all(torch.equal(a, b) for a, b in zip(weights(model), weights(again), strict=True))


def test_one_state_is_kept(tmp_path: Path) -> None:
    """Older states go when a newer one is whole; what was cut off in the middle is not one."""
    (tmp_path / ".step-00000099.aside").mkdir(parents=True)

    train(denoising(), BATCHES, SETTINGS, tmp_path, report=ignore)

    assert ["step-00000006"] == [path.name for path in tmp_path.glob("step-*")]


@pytest.mark.parametrize("other", [{"seed": 1}, {"num_steps": 8}, {"learning_rate": 1e-5}])
def test_the_state_of_another_training_is_refused(tmp_path: Path, other: dict[str, float]) -> None:
    """Other settings cannot go on from this state; the message names them and the cure."""
    train(denoising(), BATCHES, SETTINGS, tmp_path, report=ignore)
    changed = replace(SETTINGS, **other)  # type: ignore[arg-type]

    with pytest.raises(WeightsError, match=rf"another training \({next(iter(other))} differ\)"):
        train(denoising(), BATCHES, changed, tmp_path, report=ignore)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    """NaN latents are reported with the step, not trained on, and no state is made of them."""

    def poisoned(step: int, generator: torch.Generator) -> Batch:
        batch = batch_at(step, generator)
        if step == 3:
            batch.target_BCTHW[0, 0, 0, 0, 0] = float("nan")
        return batch

    with pytest.raises(ConfigError, match="the loss is nan at step 3"):
        train(denoising(), batches_by_step(poisoned, 0), SETTINGS, tmp_path, report=ignore)

    assert ["step-00000002"] == [path.name for path in tmp_path.glob("step-*")]


class FixedNoise(Denoising):
    """The same noise and times at every step."""

    def forward(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """See ``Denoising``."""
        del generator
        return super().forward(batch, generator_at(0, 0))


@pytest.mark.parametrize("variant", ["proposed", "without_lr", "large_patchifier", "only_lr"])
def test_one_clip_is_learned(variant: str) -> None:
    """The same batch and noise again and again: the loss falls by a tenth at least."""
    fixed = batch_at(0, generator_at(0, 0))
    losses: list[float] = []
    settings = TrainSettings(num_steps=60, learning_rate=1e-2, warmup_steps=2, autocast=False)

    train(
        FixedNoise(tiny_model(variant), Objective()),
        lambda first: (fixed for _ in count(first)),
        settings,
        None,
        report=lambda done: losses.append(done.loss),
    )

    assert losses[-1] < 0.9 * losses[0]


def test_a_frozen_encoder_stays_as_it_was() -> None:
    """With ``train_encoder`` off LoRA moves and the encoder does not."""
    model, before = tiny_model(), tiny_model()
    assert model.encoder is not None
    assert before.encoder is not None

    train(denoising(model), BATCHES, replace(SETTINGS, train_encoder=False), None, report=ignore)

    encoder = before.encoder.state_dict()
    assert all(torch.equal(encoder[name], x) for name, x in model.encoder.state_dict().items())
    pairs = zip(model.trainable_parameters(), before.trainable_parameters(), strict=False)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_the_encoder_has_its_own_learning_rate() -> None:
    """A vanishing rate of its own leaves the encoder still while LoRA moves."""
    model, before = tiny_model(), tiny_model()
    settings = replace(SETTINGS, encoder_learning_rate=1e-12, weight_decay=0.0)

    train(denoising(model), BATCHES, settings, None, report=ignore)

    moved = {
        name: (parameter - old).abs().max().item()
        for (name, parameter), old in zip(
            model.named_parameters(), before.parameters(), strict=True
        )
        if parameter.requires_grad
    }
    assert max(value for name, value in moved.items() if "encoder." in name) < 1e-8
    assert max(value for name, value in moved.items() if "lora_" in name) > 1e-4


def test_gradient_checkpointing_changes_nothing() -> None:
    """Blocks computed again give the gradients that were kept: equal weights after six steps."""
    plain, checkpointed = tiny_model(), tiny_model()
    train(denoising(plain), BATCHES, SETTINGS, None, report=ignore)
    train(
        denoising(checkpointed),
        BATCHES,
        replace(SETTINGS, gradient_checkpointing=True),
        None,
        report=ignore,
    )

    for ours, theirs in zip(weights(plain), weights(checkpointed), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++ for CPUs")
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own look at what it compiles
def test_compiled_blocks_train_as_plain_ones() -> None:
    """The same losses and weights, up to rounding."""
    losses: dict[bool, list[float]] = {False: [], True: []}
    models = {compiled: tiny_model() for compiled in losses}
    for compiled, found in losses.items():
        train(
            denoising(models[compiled]),
            BATCHES,
            replace(SETTINGS, compiled=compiled),
            None,
            report=lambda done, found=found: found.append(done.loss),  # type: ignore[misc]
        )

    torch.testing.assert_close(torch.tensor(losses[True]), torch.tensor(losses[False]))
    for ours, theirs in zip(weights(models[True]), weights(models[False]), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_batches_and_noise_are_a_pure_function_of_seed_step_and_rank() -> None:
    """The same (seed, step, rank) gives the same numbers; another of them others."""
    draws = [
        torch.randn(4, generator=generator_at(*key)).tolist()
        for key in [(0, 3), (0, 3), (0, 4), (1, 3), (0, 3, 1)]
    ]

    assert draws[0] == draws[1]
    assert all(draws[0] != other for other in draws[2:])


@pytest.mark.parametrize(
    "wrong",
    [{"learning_rate": -1.0}, {"ema_decay": 1.0}, {"save_every_steps": 0}],
)
def test_numbers_that_no_training_can_have_are_refused(wrong: dict[str, float]) -> None:
    """Before anything is loaded, with the value."""
    with pytest.raises(ConfigError, match=next(iter(wrong)).split("_", maxsplit=1)[0]):
        replace(SETTINGS, **wrong)  # type: ignore[arg-type]


def test_numbers_are_drawn_while_the_step_before_is_under_way() -> None:
    """By another thread, one batch ahead and no more, and each comes with its own batch."""
    drawn: list[int] = []
    threads = set()

    def draw_of(batch: Batch, number: int) -> Draws:
        drawn.append(number)
        threads.add(threading.get_ident())
        return draw(batch, generator_at(0, number), Objective())

    batches = [batch_at(step, generator_at(1, step)) for step in range(4)]
    coming = drawn_ahead(batches, draw_of, pinned=False)

    for number, (batch, draws) in enumerate(coming):
        assert batch is batches[number]
        expected = draw(batch, generator_at(0, number), Objective())
        assert torch.equal(expected.noise_BCTHW, draws.noise_BCTHW)
        assert number + 2 >= len(drawn)
    assert [0, 1, 2, 3] == drawn
    assert {threading.get_ident()} != threads
    assert 1 == len(threads)
