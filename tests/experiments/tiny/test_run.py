"""The steps that make the tiny family, each at the smallest size that it takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from experiments.tiny import run
from experiments.tiny.run import (
    FITTED_ENCODERS,
    RATES,
    Recipe,
    fit_encoder,
    make_variant,
    teach_reading,
)
from pfp.generate.families import trained_shift
from pfp.models.memory.dit import MemoryDiT
from pfp.models.tiny_names import tiny_folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder between the steps, with the latents of three windows that are noise."""
    rng = np.random.default_rng(0)
    parts = {}
    for orientation, (height, width) in {"landscape": (24, 40), "portrait": (40, 24)}.items():
        shapes = {"hr": (12, 16, height, width), "text": (32, 64)}
        shapes |= {
            f"lr_{rate}": (-(-12 // rate.time), 16, height // rate.height, width // rate.width)
            for rate in RATES
        }
        for name, shape in shapes.items():
            parts[f"{orientation}_{name}"] = rng.normal(size=(3, *shape)).astype(np.float16)
    np.savez(tmp_path / "bank.npz", **parts)  # type: ignore[arg-type]
    return tmp_path


def test_a_base_that_reads_carries_variants(work: Path) -> None:
    """The base goes on from one without memory; a variant on it says its shift.

    An encoder that was fitted first is what the variant's training begins with.
    """
    recipe = Recipe(reading_steps=3, readout_steps=2, variant_steps=2, lora_rank=2, shift=9.0)
    out = work / "tiny"
    shutil.copytree(tiny_folder() / "vae", out / "vae")

    teach_reading(work, tiny_folder() / "base", out / "base", recipe)
    make_variant("only_lr", work, out, recipe)

    folder = out / "variants" / "only_lr"
    assert "only_lr" == MemoryDiT.from_pretrained(folder, base=out / "base").config.variant
    assert 9.0 == trained_shift(json.loads((folder / "config.json").read_text()))

    for variant in FITTED_ENCODERS:
        fit_encoder(variant, work, out, work / f"encoder-{variant}.safetensors", recipe)
    make_variant("proposed", work, out, replace(recipe, variant_steps=0))

    begun = MemoryDiT.from_pretrained(out / "variants" / "proposed", base=out / "base")
    fitted = load_file(work / "encoder-proposed.safetensors")
    assert isinstance(begun.encoder, nn.Module)
    assert fitted["hr.project.weight"].abs().max() > 0  # where nothing was fitted it is zero
    for name, weight in begun.encoder.state_dict().items():
        assert torch.equal(weight, fitted[name].half().float()), name

    before, after = (
        (at / "base" / "diffusion_pytorch_model.safetensors").read_bytes()
        for at in (tiny_folder(), out)
    )
    assert before != after


def test_a_finished_step_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there already is said to be."""
    run.step("vae", tmp_path, lambda: pytest.fail("done again"))
    assert "vae: there already" in capsys.readouterr().out
