"""``python -m pipelines.eval``: its score and report steps, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pfp.errors import ConfigError
from pipelines.eval.config import PRESETS, STEPS, EvalConfig
from pipelines.eval.run import main, run

MakeRun = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_ray_and_this_process_write_the_same_files(make_run: MakeRun) -> None:
    """Scores and reports are the same bytes with either engine."""
    here, there = make_run(num_clips=2).directory, make_run(num_clips=2).directory
    config = EvalConfig(steps=("score", "report"))
    run(config, input_directory=str(here), output_directory=str(here), engine="local")
    run(config, input_directory=str(there), output_directory=str(there), engine="ray")

    names = sorted(path.name for path in (here / "scores").glob("*.parquet"))
    assert names
    for name in [*(f"scores/{n}" for n in names), *(f"leaderboard.{s}" for s in ("md", "txt"))]:
        assert (here / name).read_bytes() == (there / name).read_bytes()


def test_the_summary_gets_the_stage_s_numbers(make_run: MakeRun) -> None:
    """``summary.json`` counts the rows of the score stage by verdict and reason."""
    out = make_run(num_clips=1).directory
    config = EvalConfig(steps=("score", "report"))
    reports = run(config, input_directory=str(out), output_directory=str(out), engine="local")

    stage = json.loads((out / "summary.json").read_text())["stages"]["eval"]
    assert [report.name for report in reports] == ["score"]
    assert (stage["rows_in"], stage["kept"], stage["dropped"]) == (15, 10, 5)
    assert stage["reasons"] == {"weights_missing": 5}


def test_a_step_alone_reuses_what_is_there(make_run: MakeRun) -> None:
    """Reporting alone does not score."""
    out = str(make_run(num_clips=1).directory)
    both = {"input_directory": out, "output_directory": out, "engine": "local"}
    run(EvalConfig(steps=("score",)), **both)
    reports = run(EvalConfig(steps=("report",)), **both)

    assert reports == []
    assert (Path(out) / "leaderboard.html").is_file()


def test_an_empty_folder_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without generations ends with status 2 and says what to run."""
    arguments = ["--output", str(tmp_path), "--set", "steps=[score]", "--engine", "local"]

    assert main(arguments) == 2
    assert "run the stage that writes it first" in capsys.readouterr().err


def test_two_directories_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Samples lie beside their checkpoints, so another input is an error, not a surprise."""
    assert main(["--input", str(tmp_path / "a"), "--output", str(tmp_path / "b")]) == 2
    assert "leave --input out" in capsys.readouterr().err


@pytest.mark.parametrize("preset", PRESETS.values())
def test_every_preset_is_whole(preset: Callable[[], EvalConfig]) -> None:
    """Each preset runs all steps."""
    assert preset().steps == STEPS


def test_an_unknown_step_is_refused() -> None:
    """A misspelt step is an error that lists the known ones."""
    with pytest.raises(ConfigError, match="choose from generate, score, report"):
        EvalConfig(steps=("scores",))
