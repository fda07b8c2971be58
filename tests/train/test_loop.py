"""The training loop: what is resumed is what would have been."""

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from pfp.errors import ConfigError, WeightsError
from pfp.models.memory_dit import ArmConfig, MemoryDiT
from pfp.train.loop import TrainSettings, generator_at, train
from pfp.train.objective import Batch, velocity_loss

SETTINGS = TrainSettings(num_steps=6, warmup_steps=2, save_every_steps=2, autocast=False)


def tiny_model() -> MemoryDiT:
    """A real Wan DiT of one narrow layer with a proposed arm, the same every time."""
    torch.manual_seed(0)
    dit = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=8,
        freq_dim=16,
        ffn_dim=32,
        num_layers=1,
    )
    return MemoryDiT(dit, ArmConfig(arm="proposed", lora_rank=2))


def batch_at(step: int, generator: torch.Generator) -> Batch:
    """Random latents that depend on the generator alone."""
    del step
    return Batch(
        hr_BCTHW=torch.randn(2, 16, 3, 8, 8, generator=generator),
        lr_BCTHW=torch.randn(2, 16, 2, 2, 2, generator=generator),
        target_BCTHW=torch.randn(2, 16, 1, 8, 8, generator=generator),
        frame_index_BT=torch.tensor([[1], [2]]),
        text_BLD=torch.randn(2, 3, 8, generator=generator),
    )


def weights(model: MemoryDiT) -> list[torch.Tensor]:
    """Copies of what is trained."""
    return [parameter.detach().clone() for parameter in model.trainable_parameters()]


def test_a_training_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Killed between saves, started again: bit for bit the uninterrupted run."""
    whole = tiny_model()
    train(whole, batch_at, SETTINGS, None, report=lambda _step, _loss: None)

    class KilledError(Exception):
        """Stands for the signal."""

    def die_at_five(step: int, _loss: float) -> None:
        if step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        train(tiny_model(), batch_at, SETTINGS, tmp_path, report=die_at_five)
    resumed = tiny_model()
    started_at = train(resumed, batch_at, SETTINGS, tmp_path, report=lambda _step, _loss: None)

    assert started_at == 4
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_a_finished_training_does_nothing_when_started_again(tmp_path: Path) -> None:
    """The state says that all steps are done, so none is taken."""
    train(tiny_model(), batch_at, SETTINGS, tmp_path, report=lambda _step, _loss: None)
    steps: list[int] = []

    train(tiny_model(), batch_at, SETTINGS, tmp_path, report=lambda step, _loss: steps.append(step))

    assert steps == []


def test_the_state_of_another_training_is_refused(tmp_path: Path) -> None:
    """Another seed cannot go on from this state; the message names the cure."""
    train(tiny_model(), batch_at, SETTINGS, tmp_path, report=lambda _step, _loss: None)
    other = TrainSettings(num_steps=6, seed=1, autocast=False)

    with pytest.raises(WeightsError, match="belongs to another training"):
        train(tiny_model(), batch_at, other, tmp_path, report=lambda _step, _loss: None)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    """NaN latents are reported with the step, not trained on."""

    def poisoned(step: int, generator: torch.Generator) -> Batch:
        batch = batch_at(step, generator)
        batch.target_BCTHW[0, 0, 0, 0, 0] = float("nan")
        return batch

    with pytest.raises(ConfigError, match="the loss is nan at step 0"):
        train(tiny_model(), poisoned, SETTINGS, None, report=lambda _step, _loss: None)


def test_one_batch_is_learned() -> None:
    """The same batch and noise again and again: the loss falls by a tenth at least."""
    model = tiny_model()
    fixed = batch_at(0, generator_at(0, 0))
    losses: list[float] = []
    settings = TrainSettings(num_steps=40, learning_rate=1e-2, warmup_steps=2, autocast=False)

    train(
        model,
        lambda _step, _generator: fixed,
        settings,
        None,
        report=lambda _step, loss: losses.append(loss),
        loss_of=lambda m, b, _generator: velocity_loss(m, b, generator_at(0, 0)),
    )

    assert losses[-1] < 0.9 * losses[0]


def test_batches_and_noise_are_a_pure_function_of_seed_and_step() -> None:
    """The same (seed, step) gives the same numbers; another step or seed others."""
    draws = [
        torch.randn(4, generator=generator_at(seed, step)).tolist()
        for seed, step in [(0, 3), (0, 3), (0, 4), (1, 3)]
    ]

    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]
