"""LoRA and encoder on a frozen base: what is trained, saved and loaded."""

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from pfp.errors import WeightsError
from pfp.models.memory_dit import ArmConfig, MemoryDiT


def sample(model: MemoryDiT) -> torch.Tensor:
    """One forward with a fixed input."""
    generator = torch.Generator().manual_seed(3)
    hr = torch.randn(1, 16, 11, 16, 24, generator=generator)
    lr = torch.randn(1, 16, 6, 4, 6, generator=generator)
    noisy = torch.randn(1, 16, 2, 16, 24, generator=generator)
    text = torch.randn(1, 5, 8, generator=generator)
    out = model(
        noisy,
        torch.full((1, 2), 600.0),
        text,
        torch.tensor([[2, 7]]),
        memory=model.remember(hr, lr),
    )
    assert isinstance(out, torch.Tensor)
    return out


def test_gradients_reach_lora_and_encoder_and_nothing_else(
    small_dit: WanTransformer3DModel,
) -> None:
    """The base stays frozen; a step moves LoRA, and after it the HR branch too."""
    model = MemoryDiT(small_dit, ArmConfig(arm="proposed", lora_rank=4))
    sample(model).square().mean().backward()

    with_gradient = {
        name for name, parameter in model.named_parameters() if parameter.grad is not None
    }

    assert with_gradient
    assert all("lora_" in name or name.startswith("encoder.") for name in with_gradient)
    assert "encoder.hr.project.weight" in with_gradient


def test_what_is_saved_comes_back(small_dit: WanTransformer3DModel, tmp_path: Path) -> None:
    """Random LoRA and encoder weights survive save and load, in float32 to the bit."""
    from copy import deepcopy

    fresh = MemoryDiT(deepcopy(small_dit), ArmConfig(arm="proposed", lora_rank=4)).eval()
    model = MemoryDiT(small_dit, ArmConfig(arm="proposed", lora_rank=4)).eval()
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.normal_(std=0.05)
    before = sample(model)
    assert not torch.equal(before, sample(fresh))

    model.save(tmp_path / "arm", dtype=torch.float32, card={"num_steps": 3})
    described = fresh.load(tmp_path / "arm")

    assert described["num_steps"] == 3
    assert torch.equal(before, sample(fresh))


def test_a_checkpoint_of_another_arm_is_refused(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """Loading no_memory's weights into the proposed arm names both."""
    from copy import deepcopy

    other = MemoryDiT(deepcopy(small_dit), ArmConfig(arm="no_memory", lora_rank=4))
    other.save(tmp_path / "arm", dtype=torch.float32, card={})
    model = MemoryDiT(small_dit, ArmConfig(arm="proposed", lora_rank=4))

    with pytest.raises(WeightsError, match=r"holds the arm .*no_memory.* not .*proposed"):
        model.load(tmp_path / "arm")


def test_a_folder_without_an_arm_is_refused(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """A missing config.json is one sentence with the cure."""
    model = MemoryDiT(small_dit, ArmConfig(arm="no_memory", lora_rank=4))

    with pytest.raises(WeightsError, match="name a folder that holds a trained arm"):
        model.load(tmp_path)
