"""Checkpoints on the way of a training: left, chosen, and safe from kills of real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pfp.errors import ConfigError, NothingUsable
from pfp.io import tables
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.dit import MemoryDiT
from pfp.schema import CheckpointRecord, EvalSample
from pfp.schema.run_directory import RunDirectory
from pfp.train.settings import ValidationPlan
from pipelines.eval.run import main as evaluate
from pipelines.train.config import TrainConfig, debug
from pipelines.train.run import run
from tests.pipelines.fork_server import ForkServer, fork_server

NUM_STEPS = 12
SETTINGS: dict[str, object] = {
    "variants": "[proposed]",
    "steps.num_steps": NUM_STEPS,
    "steps.save_every_steps": 4,
    "steps.learning_rate": 0.001,
    "steps.ema_decay": 0.9,
    "export_every_steps": 3,
    "keep_checkpoints": 4,
    "validate_every_steps": 3,
    "validation.num_windows": 1,
    "validation.times": "[0.9]",
    "validation.num_psnr_windows": 0,
}
STEPS = Path("checkpoints/_steps/proposed-4x4x2")
FINAL = Path("checkpoints/proposed-4x4x2")


def config(**changes: Any) -> TrainConfig:
    """The same settings in Python, with changes."""
    told = debug()
    steps = replace(
        told.steps, num_steps=NUM_STEPS, save_every_steps=4, learning_rate=1e-3, ema_decay=0.9
    )
    return replace(
        told,
        **{
            "variants": ("proposed",),
            "steps": steps,
            "export_every_steps": 3,
            "keep_checkpoints": 4,
            "validate_every_steps": 3,
            "validation": ValidationPlan(num_windows=1, times=(0.9,), num_psnr_windows=0),
            **changes,
        },
    )


def trained(directory: Path, told: TrainConfig) -> CheckpointRecord:
    """Run the stage in this process; the variant's record."""
    where = str(directory)
    run(told, input_directory=where, output_directory=where, engine="local", task=told.task)
    return record_in(directory)


def record_in(directory: Path) -> CheckpointRecord:
    """What the table says of the variant."""
    (record,) = tables.read_records(*RunDirectory(directory).pretrained)
    return record


def files(folder: Path) -> dict[str, bytes]:
    """All that lies under a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def arguments(directory: Path) -> list[str]:
    """The stage's command line with the settings of this file."""
    settings = [word for pair in SETTINGS.items() for word in ("--set", "{}={}".format(*pair))]
    options = ["--preset", "debug", "--engine", "local", "--output", str(directory)]
    return ["pretrain", *options, *settings]


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """Runs the stage in forks of a process."""
    with fork_server("pipelines.train.run", "pipelines.train.worker") as running:
        yield running


@pytest.fixture
def latents_run(finished_run: Path, tmp_path: Path) -> Path:
    """A run directory with all that training and evaluation read, and nothing trained."""
    out = tmp_path / "out"
    for table in ("clips", "storyboards", "latents", "conditions"):
        shutil.copytree(finished_run / table, out / table)
    return out


@pytest.fixture(scope="module")
def whole(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    for table in ("clips", "storyboards", "latents", "conditions"):
        shutil.copytree(finished_run / table, out / table)
    trained(out, config())
    return out


def test_checkpoints_are_left_on_the_way(whole: Path) -> None:
    """Each loads, and says its step and its held-out loss; the last has the variant's weights."""
    names = [f"step-{step:08d}" for step in (3, 6, 9, 12)]
    assert ["best.json", *names] == sorted(path.name for path in (whole / STEPS).iterdir())
    losses = {}
    for name in names:
        described = read_description(whole / STEPS / name)
        losses[described["num_steps"]] = described["held_out_loss"]
        MemoryDiT.from_pretrained(whole / STEPS / name)
        MemoryDiT.from_pretrained(whole / STEPS / name / "ema")
    best = json.loads((whole / STEPS / "best.json").read_text())
    assert [3, 6, 9, 12] == list(losses)
    assert min(losses.values()) == losses[best["step"]]
    last, final = files(whole / STEPS / names[-1]), files(whole / FINAL)
    assert {name: data for name, data in last.items() if name.endswith(".safetensors")} == {
        name: data for name, data in final.items() if name.endswith(".safetensors")
    }


def test_without_any_a_training_ends_with_the_same_weights(whole: Path, latents_run: Path) -> None:
    """Neither checkpoints nor validation, with retrieved frames, change what is learned."""
    watched = trained(
        latents_run,
        config(
            export_every_steps=0,
            validate_every_steps=6,
            validation=ValidationPlan(num_windows=1, times=(0.9,), num_psnr_windows=1),
        ),
    )

    assert record_in(whole).sha256 == watched.sha256
    assert not (latents_run / STEPS).exists()


@pytest.mark.slow
def test_killed_at_several_moments_it_leaves_the_same(
    whole: Path, latents_run: Path, server: ForkServer
) -> None:
    """Six SIGKILLs around states and checkpoints: the same files at the end, none twice."""
    training_sha256 = read_description(whole / FINAL)["training_sha256"]
    states = latents_run / "checkpoints" / f".state-{training_sha256[:16]}"
    for when, seconds in (
        (states / "step-00000003", 0.0),
        (latents_run / STEPS / "step-00000003", 0.0),
        (states / "step-00000004", 0.1),
        (latents_run / STEPS / "step-00000006", 0.01),
        (states / "step-00000009", 0.02),
        (states / "step-00000012", 0.0),
    ):
        server.run_and_kill(arguments(latents_run), when=when.exists, seconds=seconds)

    server.run(arguments(latents_run))

    assert files(whole / STEPS) == files(latents_run / STEPS)
    assert files(whole / FINAL) == files(latents_run / FINAL)
    assert record_in(whole).sha256 == record_in(latents_run).sha256
    assert not list(latents_run.glob("checkpoints/.state-*"))


@pytest.mark.slow
def test_a_training_is_stopped_and_an_early_step_evaluated(
    whole: Path, latents_run: Path, server: ForkServer
) -> None:
    """Stop, choose step 3, evaluate it; then go on to the end as if nothing had been."""
    left = latents_run / STEPS / "step-00000006"
    server.run_and_kill(arguments(latents_run), when=left.exists)

    chosen = trained(latents_run, config(finish_at="3"))

    assert 3 == chosen.num_steps
    assert files(whole / STEPS / "step-00000003") == files(latents_run / str(chosen.uri))
    options = ["--preset", "debug", "--engine", "local", "--output", str(latents_run)]
    assert 0 == evaluate([*options, "--set", "steps=[generate]"])
    samples = tables.read_records(*RunDirectory(latents_run).generations, verdict="kept")
    made_by = {each.checkpoint_sha256 for each in samples if isinstance(each, EvalSample)}
    assert {chosen.sha256, None} == made_by

    ended = trained(latents_run, config())

    assert record_in(whole).sha256 == ended.sha256
    assert NUM_STEPS == ended.num_steps


def test_the_best_is_taken_and_the_whole_is_still_there(whole: Path, tmp_path: Path) -> None:
    """After the end, too; the command without ``finish_at`` then trains nothing."""
    shutil.copytree(whole, tmp_path / "out")
    best = json.loads((whole / STEPS / "best.json").read_text())["step"]

    taken = trained(tmp_path / "out", config(finish_at="best"))
    last = trained(tmp_path / "out", config(finish_at="last"))
    again = trained(tmp_path / "out", config(keep_checkpoints=1))

    assert (best, NUM_STEPS, NUM_STEPS) == (taken.num_steps, last.num_steps, again.num_steps)
    assert record_in(whole).sha256 == last.sha256 == again.sha256
    assert files(whole / STEPS) == files(tmp_path / "out" / STEPS)  # untouched


def test_a_step_that_is_not_there_is_refused(whole: Path, tmp_path: Path) -> None:
    """With those that are."""
    shutil.copytree(whole, tmp_path / "out")

    with pytest.raises(NothingUsable, match=r"no checkpoint '5' .* the steps 3, 6, 9, 12"):
        trained(tmp_path / "out", config(finish_at="5"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"finish_at": "soon"}, "give best, last or a number of steps"),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0; give 1 or more"),
        ({"export_every_steps": -1}, "export_every_steps is -1; give 0 for never, or more"),
        ({"held_out_share": 1.0}, "held_out_share is 1.0; give 0 or more and less than 1"),
        ({"held_out_share": 0.0}, "nothing is held out .* give held_out_share=0.01"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(ConfigError, match=said):
        config(**changes).check("local")
