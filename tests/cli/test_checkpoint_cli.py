"""``pfp checkpoint``: its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.cli.main import main
from pfp.models.memory.checkpoint import read_description
from pfp.train.loop import batches_by_step, train
from pfp.train.objective import Denoising
from pfp.train.settings import Objective, TrainSettings
from tests.train.small_training import batch_at, tiny_model


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder of a training that has taken two steps."""
    train(
        Denoising(tiny_model(), Objective()),
        batches_by_step(batch_at, 0),
        TrainSettings(num_steps=2, warmup_steps=1, autocast=False),
        tmp_path / ".state-0123",
        report=lambda _: None,
        card={"title": "proposed 4x4x2"},
    )
    return tmp_path / ".state-0123"


def test_a_state_is_exported(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what was written, and of which step."""
    out = tmp_path / "out"

    assert 0 == main(["checkpoint", "export", str(state), str(out)])

    assert f"{out}: proposed 4x4x2, step 2\n" == capsys.readouterr().out
    assert 2 == read_description(out)["num_steps"]


def test_a_folder_that_is_there_is_not_written_over(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one sentence, and what was there is there."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()

    assert 2 == main(["checkpoint", "export", str(state), str(out)])

    assert f"pfp checkpoint: {out} exists; name a new folder\n" == capsys.readouterr().err
    assert [out / "mine"] == list(out.iterdir())


def test_no_state_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, what is missing and what to name."""
    assert 2 == main(["checkpoint", "export", str(tmp_path), str(tmp_path / "out")])

    said = capsys.readouterr().err
    assert f"pfp checkpoint: {tmp_path} holds no state of a training; name a run's" in said
