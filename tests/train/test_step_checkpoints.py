"""Checkpoints on the way: which are kept, and that no kill loses or doubles one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pfp.errors import WeightsError
from pfp.models.memory.checkpoint import load_weights, read_description
from pfp.train.loop import batches_by_step, train
from pfp.train.objective import Denoising
from pfp.train.settings import Objective, TrainSettings
from pfp.train.step_checkpoints import BEST_FILE, StepCheckpoints
from tests.train.small_training import batch_at, tiny_model

OWN, OTHER = "a" * 64, "b" * 64
NUM_STEPS = 8
LOSSES = {2: 0.5, 4: 0.3, 6: 0.4, 8: 0.35}


class GivenLoss:
    """Held-out losses that are written down; keeps when it was asked."""

    every_steps = 2

    def __init__(self, losses: dict[int, float]) -> None:
        self._losses = losses
        self.asked: list[int] = []

    def __call__(self, step: int) -> float:
        """The loss of a step."""
        self.asked.append(step)
        return self._losses[step]


def kept_in(folder: Path, *, keep: int = 2, training: str = OWN) -> StepCheckpoints:
    """Checkpoints every two steps."""
    return StepCheckpoints(
        folder=folder / "steps", training_sha256=training, every_steps=2, keep=keep
    )


def trained(
    folder: Path,
    *,
    keep: int = 2,
    training: str = OWN,
    losses: dict[int, float] | None = LOSSES,
    save_every_steps: int = 2,
    checkpoints: StepCheckpoints | None = None,
) -> None:
    """Train to the end with checkpoints on the way, going on from what is there."""
    train(
        Denoising(tiny_model(), Objective()),
        batches_by_step(batch_at, 0),
        TrainSettings(
            num_steps=NUM_STEPS,
            warmup_steps=1,
            save_every_steps=save_every_steps,
            autocast=False,
            ema_decay=0.9,
        ),
        folder / f"state-{training[:4]}",
        report=lambda _: None,
        card={"training_sha256": training},
        checkpoints=checkpoints or kept_in(folder, keep=keep, training=training),
        held_out_loss=None if losses is None else GivenLoss(losses),
    )


def files(folder: Path) -> dict[str, bytes]:
    """All that lies under a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names(folder: Path) -> list[str]:
    """What lies in the folder of checkpoints."""
    return sorted(path.name for path in (folder / "steps").iterdir())


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    """Of steps 2, 4, 6 and 8 the last two, and step 4, whose loss is lowest."""
    trained(tmp_path)

    assert [BEST_FILE, "step-00000004", "step-00000006", "step-00000008"] == names(tmp_path)
    told = json.loads((tmp_path / "steps" / BEST_FILE).read_text())
    assert {"step": 4, "held_out_loss": 0.3, "checkpoint": "step-00000004"} == told
    described = read_description(tmp_path / "steps/step-00000006")
    assert (6, 0.4) == (described["num_steps"], described["held_out_loss"])
    load_weights(tiny_model(), tmp_path / "steps/step-00000006/ema")


def test_without_held_out_loss_no_checkpoint_is_the_best(tmp_path: Path) -> None:
    """The newest are kept, and no file says which is best."""
    trained(tmp_path, losses=None)

    assert ["step-00000006", "step-00000008"] == names(tmp_path)


def test_a_loss_that_is_no_number_is_not_the_best(tmp_path: Path) -> None:
    """It stands in no config.json, which JSON could not hold."""
    trained(tmp_path, losses={**LOSSES, 4: float("nan")})

    assert [BEST_FILE, "step-00000006", "step-00000008"] == names(tmp_path)
    assert 8 == json.loads((tmp_path / "steps" / BEST_FILE).read_text())["step"]


def test_a_checkpoint_has_a_state_though_states_are_rarer(tmp_path: Path) -> None:
    """A step that is exported is saved, and gives the same files as with states at every step."""
    trained(tmp_path / "often")
    trained(tmp_path / "rarely", save_every_steps=5)

    # How often states are saved is no part of a checkpoint.
    assert files(tmp_path / "often/steps") == files(tmp_path / "rarely/steps")


def test_checkpoints_of_another_training_make_room(tmp_path: Path) -> None:
    """The first of the new training removes them; the best is one of its own."""
    trained(tmp_path, training=OTHER)
    trained(tmp_path, losses={2: 0.9, 4: 0.9, 6: 0.8, 8: 0.9})

    assert [BEST_FILE, "step-00000006", "step-00000008"] == names(tmp_path)
    assert 6 == json.loads((tmp_path / "steps" / BEST_FILE).read_text())["step"]
    assert OWN == read_description(tmp_path / "steps/step-00000008")["training_sha256"]


class KilledError(Exception):
    """Stands for the signal."""


class Kill:
    """Ends the process before, or halfway through, the n-th change of the file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, halfway: bool) -> None:
        self.at, self.seen, self.halfway = at, 0, halfway
        for owner, name in (
            (Path, "rename"),
            (Path, "replace"),
            (Path, "mkdir"),
            (Path, "write_bytes"),
            (Path, "write_text"),
            (shutil, "rmtree"),
            (shutil, "copyfile"),
        ):
            monkeypatch.setattr(owner, name, self._wrapped(name, getattr(owner, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.seen += 1
            if self.seen <= self.at:
                return call(*args, **kwargs)
            if self.seen == self.at + 1 and self.halfway:
                half(name, *args)
            raise KilledError  # also at whatever would tidy up, which a killed process does not

        return wrapped


def half(name: str, *args: Any) -> None:
    """What is there when a process was killed while it was writing or removing."""
    if name == "rmtree":
        for path in [path for path in Path(args[0]).rglob("*") if path.is_file()][:2]:
            path.unlink()
    elif name in {"write_bytes", "write_text"}:
        Path(args[0]).touch()


class StatesKept:
    """In the place of checkpoints: copies every state that one would be made of."""

    every_steps = 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def export(self, state: Path) -> None:
        """Copy it."""
        shutil.copytree(state, self.folder / state.name)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The states of a training after 2, 4, 6 and 8 steps, of which 4 and then 8 is the best."""
    folder = tmp_path_factory.mktemp("states")
    kept: Any = StatesKept(folder / "kept")
    trained(folder, checkpoints=kept, losses={**LOSSES, 8: 0.2})
    return sorted(kept.folder.iterdir())


@pytest.mark.parametrize("halfway", [False, True])
def test_killed_at_any_moment_it_ends_with_the_same_checkpoints(
    tmp_path: Path, states: list[Path], monkeypatch: pytest.MonkeyPatch, *, halfway: bool
) -> None:
    """Each change of the file system is the last once; going on from the state gives the same."""
    *earlier, last = states
    for state in earlier:
        kept_in(tmp_path / "before", keep=1).export(state)
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    kept_in(tmp_path / "whole", keep=1).export(last)
    expected = files(tmp_path / "whole")
    for at in range(1000):
        shutil.copytree(tmp_path / "before", tmp_path / f"{at}")
        checkpoints = kept_in(tmp_path / f"{at}", keep=1)
        try:
            with monkeypatch.context() as patch:
                Kill(patch, at, halfway=halfway)
                checkpoints.export(last)
                break
        except KilledError:
            check_readers_see_whole_folders(tmp_path / f"{at}")
        checkpoints.export(last)
        assert expected == files(tmp_path / f"{at}"), f"killed at change {at}"
    assert at > 12


def check_readers_see_whole_folders(folder: Path) -> None:
    """What has a checkpoint's name is one, and the best that is named is there."""
    steps = folder / "steps"
    for path in steps.glob("step-*"):
        assert read_description(path)["num_steps"] == int(path.name.removeprefix("step-"))
        load_weights(tiny_model(), path)
        load_weights(tiny_model(), path / "ema")
    if (steps / BEST_FILE).exists():
        assert (steps / json.loads((steps / BEST_FILE).read_text())["checkpoint"]).is_dir()


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was ended."""
    folder = tmp_path_factory.mktemp("training")
    trained(folder)
    return folder


class TestTake:
    """A step that is chosen becomes the training's checkpoint."""

    @pytest.mark.parametrize(
        ("wanted", "step"), [("best", 4), ("last", 8), ("6", 6), ("00000006", 6)]
    )
    def test_a_checkpoint_is_copied(
        self, ended: Path, tmp_path: Path, wanted: str, step: int
    ) -> None:
        """The best, the last, or one by its step: the same files."""
        out = tmp_path / "proposed"

        assert step == kept_in(ended).take(wanted, ended / "gone", out)

        assert files(ended / f"steps/step-{step:08d}") == files(out)

    def test_the_last_may_be_a_state_only(self, ended: Path, tmp_path: Path) -> None:
        """A training that leaves no checkpoints on the way has a state."""
        state = ended / f"state-{OWN[:4]}"

        assert 8 == kept_in(tmp_path).take("last", state, tmp_path / "out")

        assert files(ended / "steps/step-00000008") == files(tmp_path / "out")

    @pytest.mark.parametrize("wanted", ["2", "seven", "-4", ""])
    def test_a_step_that_is_not_there_is_refused(
        self, ended: Path, tmp_path: Path, wanted: str
    ) -> None:
        """It says which there are, and nothing is written."""
        with pytest.raises(WeightsError, match=rf"'{wanted}' of this .* the steps 4, 6, 8$"):
            kept_in(ended).take(wanted, ended / "gone", tmp_path / "out")

        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("wanted", ["best", "last", "4"])
    def test_another_trainings_checkpoints_are_not_taken(
        self, ended: Path, tmp_path: Path, wanted: str
    ) -> None:
        """Theirs are other weights; there are none."""
        with pytest.raises(WeightsError, match=r"there are the steps none"):
            kept_in(ended, training=OTHER).take(wanted, ended / "gone", tmp_path / "out")
