"""How the tiny base is trained: exactly resumed, and on what only_lr asks of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from experiments.tiny.base import base_loss, memory_loss, train_base
from pfp.errors import WeightsError
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.rates import Rate
from pfp.train.loop import batches_by_step, generator_at
from pfp.train.objective import Batch, squared_error
from pfp.train.settings import Objective, TrainSettings

RATE = Rate(height=2, width=2, time=2)
SETTINGS = TrainSettings(num_steps=6, warmup_steps=1, save_every_steps=2, autocast=False)


def small_base() -> WanTransformer3DModel:
    """A base of one narrow block with random weights, for the tiny family's latents."""
    torch.manual_seed(0)
    return WanTransformer3DModel(
        num_attention_heads=1,
        attention_head_dim=24,
        in_channels=16,
        out_channels=16,
        text_dim=8,
        freq_dim=16,
        ffn_dim=32,
        num_layers=1,
    )


def batch_at(step: int, generator: torch.Generator) -> Batch:
    """Random latents: a history of five frames, of which two are asked for."""
    del step
    hr_BCTHW = torch.randn(2, 16, 5, 8, 8, generator=generator)
    frames_BT = torch.tensor([[1, 3], [0, 4]])
    return Batch(
        hr_BCTHW=hr_BCTHW,
        lr_BCTHW=torch.randn(2, 16, 3, 4, 4, generator=generator),
        target_BCTHW=torch.stack([hr[:, at] for hr, at in zip(hr_BCTHW, frames_BT, strict=True)]),
        frame_index_BT=frames_BT,
        text_BLD=torch.randn(2, 3, 8, generator=generator),
    )


def test_the_base_learns_what_only_lr_asks_of_it() -> None:
    """The loss is the one of the variant only_lr whose LoRA is still nothing."""
    dit, batch = small_base(), batch_at(0, generator_at(0, 0))
    ours = memory_loss(RATE, shift=12.0)(dit, batch, generator_at(1, 0))

    model = MemoryDiT(dit, MemoryDiTConfig(variant="only_lr", rate="2x2x2", lora_rank=2))
    theirs = squared_error(model, batch, generator_at(1, 0), Objective(shift=12.0)).mean()

    assert theirs.item() == pytest.approx(ours.item(), rel=1e-6)


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, killed_at: int) -> None:
    """Weights, moments, averages and the step come back; losses still take turns by the step."""
    losses = (base_loss, memory_loss(RATE, shift=3.0))

    def trained(state: Path, report_until: int) -> WanTransformer3DModel:
        dit = small_base()

        def report(step: int, loss: float) -> None:
            del loss
            if step == report_until:
                raise KeyboardInterrupt

        train_base(
            dit,
            batches_by_step(batch_at, 0),
            SETTINGS,
            state,
            report,
            loss_at=lambda step: losses[step % 2],
        )
        return dit

    whole = trained(tmp_path / "whole.pt", report_until=99)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed.pt", report_until=killed_at)
    resumed = trained(tmp_path / "killed.pt", report_until=99)

    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    """A longer training has another schedule, and cannot go on from a shorter one's end."""
    state = tmp_path / "state.pt"
    batches = batches_by_step(batch_at, 0)
    train_base(small_base(), batches, SETTINGS, state, lambda *_: None)
    longer = replace(SETTINGS, num_steps=9)
    with pytest.raises(WeightsError, match="a training with other settings; remove it"):
        train_base(small_base(), batches, longer, state, lambda *_: None)
