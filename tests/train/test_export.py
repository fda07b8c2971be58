"""A state on the disk is enough for a checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from pfp.errors import WeightsError
from pfp.models.memory.checkpoint import load_weights, read_description
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.train.checkpoint import save_checkpoint
from pfp.train.export import export_state
from pfp.train.loop import batches_by_step, train
from pfp.train.objective import Denoising
from pfp.train.settings import Objective, TrainSettings
from tests.small_models import small_wan
from tests.train.small_training import batch_at, tiny_model

SETTINGS = TrainSettings(
    num_steps=3, warmup_steps=1, save_every_steps=2, autocast=False, ema_decay=0.9
)


def trained(model: MemoryDiT, folder: Path, settings: TrainSettings = SETTINGS) -> Path:
    """Train, leave the last state under ``folder`` and save what the pipeline saves at the end."""
    card = {"base_sha256": "b" * 64, "seed": 0}
    accelerator = Accelerator(cpu=True)
    made = train(
        Denoising(model, Objective()),
        batches_by_step(batch_at, 0),
        settings,
        folder / "state",
        report=lambda _: None,
        accelerator=accelerator,
        card=card,
    )
    save_checkpoint(folder / "whole", model, accelerator, made, {**card, "num_steps": 3})
    return folder / "state"


def files(folder: Path) -> dict[str, bytes]:
    """All that lies under a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("variant", ["proposed", "only_lr", "large_patchifier", "no_memory"])
def test_a_state_becomes_the_checkpoint_that_training_saves(variant: str, tmp_path: Path) -> None:
    """Byte for byte what the training's end writes, averages, config.json and model card too."""
    state = trained(tiny_model(variant), tmp_path)

    export_state(state, tmp_path / "exported")

    expected = files(tmp_path / "whole")
    assert {"config.json", "README.md", "ema/config.json"} < expected.keys()
    assert expected == files(tmp_path / "exported")


def test_cross_attention_is_exported_too(tmp_path: Path) -> None:
    """Modules that are trained beside LoRA and the encoder lie in a file of their own."""
    dit = small_wan(attention_head_dim=12, freq_dim=16, ffn_dim=32, num_layers=1)
    config = MemoryDiTConfig(variant="proposed", lora_rank=2, cross_attention=True)
    state = trained(MemoryDiT(dit, config), tmp_path)

    export_state(state, tmp_path / "exported")

    assert "cross_attention.safetensors" in files(tmp_path / "exported")
    assert files(tmp_path / "whole") == files(tmp_path / "exported")


def test_an_encoder_that_is_not_trained_is_exported_as_it_was(tmp_path: Path) -> None:
    """A state holds frozen weights of the checkpoint's own, though none of the base's."""
    settings = replace(SETTINGS, train_encoder=False, ema_decay=None)
    model = tiny_model()
    state = trained(model, tmp_path, settings)

    export_state(state / "step-00000003", tmp_path / "exported")

    assert files(tmp_path / "whole") == files(tmp_path / "exported")
    again = tiny_model()
    load_weights(again, tmp_path / "exported")
    assert again.encoder is not None
    assert model.encoder is not None
    expected = model.encoder.state_dict()
    assert all(torch.equal(expected[name], x) for name, x in again.encoder.state_dict().items())


def test_the_averages_are_those_of_training(tmp_path: Path) -> None:
    """``ema/`` differs from the last weights in what was trained."""
    export_state(trained(tiny_model(), tmp_path), tmp_path / "exported")

    last, averaged = (
        load_file(tmp_path / "exported" / where / "encoder.safetensors") for where in (".", "ema")
    )
    assert any(not torch.equal(last[name], averaged[name]) for name in last)
    assert 3 == read_description(tmp_path / "exported" / "ema")["num_steps"]


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    """An empty folder, and one that is not there, with what to name instead."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(WeightsError, match=r"no state of a training; name a run's .*\.state-"):
            export_state(folder, tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "not a pickle", "no config"])
def test_a_damaged_state_is_refused_and_leaves_nothing(damage: str, tmp_path: Path) -> None:
    """One sentence, and no half of a checkpoint."""
    (state,) = trained(tiny_model(), tmp_path).iterdir()
    match damage:
        case "cut":
            for path in state.glob("*.distcp"):
                path.write_bytes(path.read_bytes()[:100])
        case "gone":
            for path in state.glob("*.distcp"):
                path.unlink()
        case "not a pickle":
            (state / ".metadata").write_bytes(b"what is this")
        case _:
            (state / "config.json").unlink()

    with pytest.raises(WeightsError, match=r"cannot be read|does not exist"):
        export_state(state, tmp_path / "out")

    shutil.rmtree(tmp_path / "state")
    shutil.rmtree(tmp_path / "whole")
    assert [] == list(tmp_path.iterdir())
