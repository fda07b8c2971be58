"""Several processes train as one would: copies of the model, or its parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from pfp.models.memory.checkpoint import load_weights, own_weights
from pfp.train.export import export_state
from tests.train.ranks_driver import SHARDED, main
from tests.train.small_training import tiny_model
from tests.two_processes import run_by_two

pytestmark = pytest.mark.timeout(600)


class Ended(NamedTuple):
    """What a training ended with."""

    weights: dict[str, torch.Tensor]
    first_step: int
    reports: list[list[float]]
    held_out: list[dict[str, float]]


def alone(folder: Path) -> Ended:
    """Run it in this process."""
    main("copied", "small", str(folder / "state"), str(folder / "alone.safetensors"))
    return ended(folder / "alone.safetensors")


def ended(out: Path) -> Ended:
    """What the driver wrote."""
    told: dict[str, Any] = json.loads(out.with_suffix(".json").read_text())
    return Ended(load_file(out), told["first_step"], told["reports"], told["held_out"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each model, which two processes have trained in every way."""
    folder = tmp_path_factory.mktemp("trained")
    told = ("every way", "all", str(folder), str(folder))
    run_by_two("tests.train.ranks_driver", *told, timeout_seconds=580)
    return folder


def test_parts_of_a_model_train_as_copies_do(trained: Path, tmp_path: Path) -> None:
    """FSDP2 over two processes: the same losses, gradients, weights and averages."""
    copied, sharded = (
        ended(trained / "small" / f"{way}.safetensors") for way in ("copied", "sharded")
    )

    torch.testing.assert_close(torch.tensor(sharded.reports), torch.tensor(copied.reports))
    assert copied.weights.keys() == sharded.weights.keys()
    for name, weight in copied.weights.items():
        torch.testing.assert_close(sharded.weights[name], weight, atol=1e-6, rtol=1e-5, msg=name)

    assert len(copied.held_out) == len(sharded.held_out) == 3  # after 2 and 4 steps, and once more
    for ours, theirs in zip(sharded.held_out, copied.held_out, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)

    # Its state lies in two parts; a single process puts them together, with the base and without.
    shutil.copytree(trained / "small" / "sharded", tmp_path / "state")
    export_state(tmp_path / "state", tmp_path / "exported")
    again = alone(tmp_path)

    assert 4 == again.first_step
    # One process measures the held-out loss that two do, who share the windows.
    assert [sharded.held_out[-1]] == [pytest.approx(again.held_out[0], rel=1e-6)]
    assert all(torch.equal(x, again.weights[name]) for name, x in sharded.weights.items())
    for folder, prefix in (("exported", ""), ("exported/ema", "average ")):
        exported = tiny_model()
        load_weights(exported, tmp_path / folder)
        for name, weight in own_weights(exported).items():
            assert torch.equal(weight, sharded.weights[f"{prefix}{name}"]), (folder, name)


def test_each_process_has_noise_of_its_own(trained: Path, tmp_path: Path) -> None:
    """Two ranks that drew alike would only do the same twice: one process has other losses."""
    copied, one = ended(trained / "small" / "copied.safetensors"), alone(tmp_path)

    assert len(copied.reports) == len(one.reports) == 4
    assert copied.reports[0] != one.reports[0]


@pytest.mark.parametrize("preset", SHARDED)
def test_every_sharded_preset_trains_in_parts_and_goes_on(preset: str, trained: Path) -> None:
    """A narrow model with the preset's settings: bf16 base, checkpointing, averages, masks.

    It trains as copies do, up to the rounding of bf16 products, also at steps where one rank alone
    has a history; and one that breaks off after three steps ends with the same weights, bit for
    bit, from the state after two.
    """
    copied, sharded, resumed = (
        ended(trained / preset / f"{way}.safetensors") for way in ("copied", "sharded", "resumed")
    )

    torch.testing.assert_close(
        torch.tensor(sharded.reports), torch.tensor(copied.reports), atol=1e-4, rtol=1e-3
    )
    assert copied.weights.keys() == sharded.weights.keys()
    assert any(name.startswith("average ") for name in sharded.weights)
    assert (0, 2) == (sharded.first_step, resumed.first_step)
    assert sharded.reports[2:] == resumed.reports
    assert sharded.held_out[1:] == resumed.held_out
    for ours, theirs in zip(sharded.held_out, copied.held_out, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
        assert "held_out_loss_by_position/first" in ours
    assert all(torch.equal(x, resumed.weights[name]) for name, x in sharded.weights.items())


def test_the_large_bases_are_spread() -> None:
    """Those that do not fit a card of 80 GB by themselves."""
    assert ("wan22_a14b_high", "hunyuan") == SHARDED
