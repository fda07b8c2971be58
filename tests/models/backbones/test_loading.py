"""Backbones by name: their published sizes, and folders that hold something else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import nn

from pfp.errors import ConfigError, WeightsError
from pfp.models.backbones.loading import (
    ARCHITECTURES,
    Architecture,
    architecture,
    backbone_of,
    load_architecture,
    load_backbone,
)
from pfp.models.tiny_names import tiny_folder

SMALL = Architecture(
    model_class=WanTransformer3DModel,
    config={
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "in_channels": 48,
        "out_channels": 48,
        "text_dim": 8,
        "freq_dim": 32,
        "ffn_dim": 64,
        "num_layers": 2,
    },
)


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A small Wan 2.2 style DiT of 48 channels, saved as diffusers saves."""
    torch.manual_seed(0)
    SMALL.build().save_pretrained(tmp_path / "transformer")
    return tmp_path / "transformer"


@pytest.mark.parametrize(
    ("name", "billions"),
    [("wan22_5b", 4.9998), ("wan22_a14b_high", 14.2885), ("hunyuan", 12.8210), ("tiny", 0.0049)],
)
def test_a_backbone_has_its_published_number_of_parameters(name: str, billions: float) -> None:
    """Built on the meta device, the configs written down here have the checkpoints' sizes."""
    with torch.device("meta"):
        dit = architecture(name).build()

    num_parameters = sum(parameter.numel() for parameter in dit.parameters())

    assert billions == round(num_parameters / 1e9, 4)


@pytest.mark.parametrize(
    ("name", "targets", "num_maps", "millions"),
    [
        ("wan22_5b", "attention", 240, 188.7),
        ("wan22_5b", "attention_ffn", 300, 322.4),
        ("wan22_a14b_high", "attention", 320, 419.4),
        ("wan22_a14b_high", "attention_ffn", 400, 613.4),
        ("hunyuan", "attention", 288, 226.5),
        ("hunyuan", "attention_ffn", 453, 565.1),
    ],
)
def test_lora_of_rank_128_has_its_known_size(
    name: str, targets: str, num_maps: int, millions: float
) -> None:
    """peft, asked for the backbone's targets, adapts as many maps with as many parameters."""
    from peft import LoraConfig

    with torch.device("meta"):
        dit = architecture(name).build()
        names = list(backbone_of(dit).lora_targets[targets])
        dit.requires_grad_(requires_grad=False)
        dit.add_adapter(LoraConfig(r=128, lora_alpha=128, target_modules=names))
    free = [parameter for parameter in dit.parameters() if parameter.requires_grad]

    assert (num_maps, millions) == (
        len(free) // 2,
        round(sum(parameter.numel() for parameter in free) / 1e6, 1),
    )


def test_a_saved_model_comes_back_in_the_dtype_asked_for(small_folder: Path) -> None:
    """bf16 for the large maps, float32 for what diffusers keeps; the values are the file's."""
    whole = load_architecture(SMALL, "small", small_folder, dtype=torch.float32)
    half = load_architecture(SMALL, "small", small_folder, dtype=torch.bfloat16)

    assert half.blocks[0].ffn.net[2].weight.dtype == torch.bfloat16
    assert half.blocks[0].scale_shift_table.dtype == torch.float32
    assert torch.equal(whole.proj_out.weight.bfloat16(), half.proj_out.weight)
    assert not whole.training


def test_the_shipped_base_is_the_backbone_called_tiny() -> None:
    """The folder inside the package passes the check and loads."""
    dit = load_backbone("tiny", tiny_folder() / "base", dtype=torch.float32)

    assert 5 == len(dit.blocks)


def test_a_folder_of_another_size_is_refused_by_the_first_value_that_differs() -> None:
    """Tiny's folder under another name says which value, and which is expected."""
    with pytest.raises(
        WeightsError, match=r"says attention_head_dim = 64, wan22_5b has 128; name the folder"
    ):
        load_backbone("wan22_5b", tiny_folder() / "base")


def test_a_folder_of_another_class_is_refused() -> None:
    """Tiny's folder is no HunyuanVideo."""
    with pytest.raises(WeightsError, match=r"describes a WanTransformer3DModel, hunyuan is a Hun"):
        load_backbone("hunyuan", tiny_folder() / "base")


def test_a_value_left_out_of_the_file_is_the_class_default(small_folder: Path) -> None:
    """A config that does not say patch_size has (1, 2, 2), as diffusers reads it."""
    path = small_folder / "config.json"
    config = json.loads(path.read_text())
    del config["patch_size"]
    path.write_text(json.dumps(config))

    explicit = replace(SMALL, config={**SMALL.config, "patch_size": (1, 2, 2)})
    other = replace(SMALL, config={**SMALL.config, "patch_size": (1, 1, 1)})

    assert load_architecture(explicit, "small", small_folder, dtype=torch.float32) is not None
    with pytest.raises(WeightsError, match="says patch_size = "):
        load_architecture(other, "small", small_folder)


def test_pickled_weights_are_refused(small_folder: Path) -> None:
    """A folder with a .bin file and no safetensors is not read."""
    weights = small_folder / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))

    with pytest.raises(WeightsError, match=r"no \*\.safetensors file"):
        load_architecture(SMALL, "small", small_folder)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """The message lists every backbone."""
    with pytest.raises(ConfigError, match=f"choose one of {', '.join(sorted(ARCHITECTURES))}"):
        architecture("wan3")


def test_a_model_of_no_known_class_is_refused() -> None:
    """A module that is no backbone says what to give."""
    with pytest.raises(ConfigError, match="cannot enter a Linear; give one of WanTransformer3D"):
        backbone_of(nn.Linear(1, 1))
