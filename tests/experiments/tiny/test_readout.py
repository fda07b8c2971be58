"""The linear map from tokens to latents: what each value is read from, and how it is fitted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.tiny.readout import EncoderWithReadout, LinearReadout, fit_readout, share_explained
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.rates import Rate
from pfp.train.loop import batches_by_step, generator_at
from pfp.train.settings import TrainSettings
from tests.experiments.tiny.test_base import batch_at, small_base

RATE = Rate(height=2, width=1, time=2)


@pytest.mark.parametrize(
    ("causal", "frames"), [(True, [3, 4]), (False, [4, 5])], ids=["causal", "symmetric"]
)
def test_a_value_is_read_off_the_token_that_stands_for_it(
    *, causal: bool, frames: list[int]
) -> None:
    """Token (2, 1, 0) of 2x1x2 stands for two frames, rows 4 to 7 and columns 0 and 1."""
    torch.manual_seed(0)
    readout = LinearReadout(6, 3, RATE, patch=2, causal=causal)
    tokens = torch.zeros(1, 6, 4, 2, 3)
    before = readout(tokens, 7)
    tokens[:, :, 2, 1, 0] = 1.0

    changed = (readout(tokens, 7) != before).all(dim=1)[0]

    assert (1, 3, 7, 8, 6) == before.shape
    expected = torch.zeros(7, 8, 6, dtype=torch.bool)
    expected[frames[0] : frames[1] + 1, 4:8, 0:2] = True
    assert torch.equal(expected, changed)


def test_only_the_encoder_and_the_map_are_fitted(tmp_path: Path) -> None:
    """The error falls, the HR branch learns, the base stays; a killed fit goes on to the same."""
    settings = TrainSettings(num_steps=8, warmup_steps=1, save_every_steps=4, autocast=False)

    def fitted(state: Path, until: int) -> tuple[MemoryDiT, EncoderWithReadout, list[float]]:
        torch.manual_seed(0)
        config = MemoryDiTConfig(variant="proposed", rate="2x2x2", lora_rank=2)
        model = MemoryDiT(small_base(), config)
        module, losses = EncoderWithReadout(model), []

        def report(step: int, loss: float) -> None:
            losses.append(loss)
            if step == until:
                raise KeyboardInterrupt

        fit_readout(module, batches_by_step(batch_at, 0), settings, state, report)
        return model, module, losses

    model, module, losses = fitted(tmp_path / "whole.pt", 99)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "killed.pt", 5)
    _, resumed, _ = fitted(tmp_path / "killed.pt", 99)

    assert losses[-1] < losses[0]
    assert model.encoder is not None
    assert model.encoder.hr.project.weight.abs().max() > 0  # type: ignore[union-attr]
    before = small_base().patch_embedding.weight
    assert torch.equal(before, model.patch_embedding.weight)
    for name, weight in module.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_the_share_explained_is_one_minus_the_error_over_the_variance() -> None:
    """A map that gives nothing back of latents with mean 0 explains nothing."""
    module = EncoderWithReadout(
        MemoryDiT(small_base(), MemoryDiTConfig(variant="only_lr", rate="2x2x2", lora_rank=2))
    )
    torch.nn.init.zeros_(module.readout.linear.weight)
    torch.nn.init.zeros_(module.readout.linear.bias)
    batch = batch_at(0, generator_at(0, 0))

    explained = share_explained(module, batch.hr_BCTHW, batch.lr_BCTHW)

    assert explained == pytest.approx(0.0, abs=0.01)
