"""NaN and infinity in weights, latents and frames end with an error that names them."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pfp.errors import PermanentError, WeightsError
from pfp.models.finite import check_weights, first_bad_layer
from pfp.models.memory.dit import MemoryDiT
from pfp.models.tiny import load_base
from pfp.models.tiny_names import tiny_folder, variant_folder
from pfp.models.vae import load_vae

BAD = pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])


def spoilt(source: Path, folder: Path, file: str, tensor: str, bad: float) -> Path:
    """A copy of a folder of weights with one bad number in one of its tensors."""
    shutil.copytree(source, folder)
    weights = load_file(folder / file)
    weights[tensor].view(-1)[-1] = bad
    save_file(weights, folder / file)
    return folder / file


@BAD
@pytest.mark.parametrize("file", ["encoder.safetensors", "pytorch_lora_weights.safetensors"])
def test_a_variant_is_refused(file: str, bad: float, tmp_path: Path) -> None:
    """The message names the file and the tensor."""
    tensor = min(load_file(variant_folder("proposed") / file))
    path = spoilt(variant_folder("proposed"), tmp_path / "variant", file, tensor, bad)

    with pytest.raises(WeightsError) as error:
        MemoryDiT.from_pretrained(path.parent)

    assert f"{path} holds NaN or infinity in the weight {tensor}; " in str(error.value)


@BAD
def test_a_base_and_a_vae_are_refused(bad: float, tmp_path: Path) -> None:
    """Loaded by diffusers, they are named all the same."""
    file = "diffusion_pytorch_model.safetensors"
    base = spoilt(tiny_folder() / "base", tmp_path / "base", file, "blocks.2.ffn.net.2.bias", bad)
    vae = spoilt(tiny_folder() / "vae", tmp_path / "vae", file, "decoder.into.weight", bad)

    with pytest.raises(WeightsError, match=f"{base} holds NaN .* blocks.2.ffn.net.2.bias; "):
        load_base(base.parent)
    with pytest.raises(WeightsError, match=f"{vae} holds NaN .* decoder.into.weight; "):
        load_vae(f"tiny:{vae.parent}")


def test_the_file_of_several_is_named(tmp_path: Path) -> None:
    """Of a network in shards, the one that holds the tensor; the folder, if none does by name."""
    save_file({"a": torch.zeros(1)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(1)}, tmp_path / "model-2.safetensors")
    bad = torch.tensor([float("nan")])

    with pytest.raises(WeightsError, match=r"model-2\.safetensors holds NaN .* b;"):
        check_weights({"a": torch.zeros(1), "b": bad}, tmp_path)
    with pytest.raises(WeightsError, match=f"{tmp_path} holds NaN or infinity in the weight c;"):
        check_weights({"c": bad}, tmp_path)


def test_whole_numbers_and_weights_without_storage_pass(tmp_path: Path) -> None:
    """Counts cannot be NaN, and what is still on the meta device has no values."""
    check_weights({"count": torch.tensor([3]), "later": torch.zeros(2, device="meta")}, tmp_path)


def test_the_first_bad_layer_is_the_one_that_made_it() -> None:
    """Not those after it; None where the input was bad already and no layer is inside."""
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        network[1].bias[0] = float("inf")

    assert "1" == first_bad_layer(network, partial(network, torch.ones(1, 2)))
    assert first_bad_layer(network[:1], partial(network[:1], torch.ones(1, 2))) is None
    assert not network[1]._forward_hooks


@BAD
def test_frames_that_are_not_finite_are_not_black(bad: float) -> None:
    """A VAE that is given NaN says so, instead of decoding it to a frame."""
    latents_TCHW = np.zeros((2, 16, 4, 4), np.float32)
    latents_TCHW[1, 3, 2, 2] = bad

    with pytest.raises(PermanentError, match="VAE tiny decoded frames that hold NaN or infinity"):
        load_vae("tiny").decode(latents_TCHW)


def test_latents_that_are_not_finite_are_not_stored() -> None:
    """As when bf16 or float16 overflows in the encoder."""
    vae = load_vae("tiny")
    network = vae.codec.network  # type: ignore[attr-defined]
    with torch.no_grad():
        network.encoder.out.bias[0] = float("inf")

    with pytest.raises(PermanentError, match="VAE tiny encoded latents that hold NaN or infinity"):
        vae.encode(np.zeros((5, 16, 16, 3), np.uint8))
