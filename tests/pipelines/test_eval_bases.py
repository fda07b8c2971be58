"""Checkpoints of large bases through latents, train and eval as a lab types it, at small width."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pfp.io.tables import read_records
from pfp.schema import KEPT, EvalSample, Failed, ScoreRecord
from pipelines.eval.run import main as evaluate
from pipelines.latents.run import main as encode
from pipelines.train.run import main as train
from tests.pipelines.small_bases import (
    SAMPLES,
    TRAINING,
    Narrow,
    Save,
    save_hunyuan,
    save_wan22_5b,
    told,
)


@pytest.fixture
def captioned_run(finished_run: Path, tmp_path: Path) -> Path:
    """A run directory with clips and storyboards."""
    for table in ("clips", "storyboards"):
        shutil.copytree(finished_run / table, tmp_path / "run" / table)
    return tmp_path / "run"


@pytest.mark.parametrize("save", [save_wan22_5b, save_hunyuan])
def test_a_checkpoint_of_a_large_base_is_evaluated(
    captioned_run: Path,
    tmp_path: Path,
    save: Save,
    narrow: Narrow,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Retrieved, shuffled, continued, scored; without the base's folder, what to type is said."""
    of_latents, of_train, of_eval = save(tmp_path / "pipeline", narrow)
    shared = ["--preset", "debug", "--output", str(captioned_run), "--engine", "local"]
    assert 0 == encode([*shared, *told("preprocess.min_num_frames=9", *of_latents)])
    assert 0 == train([*shared, *told(*TRAINING, *of_train)])

    assert 2 == evaluate([*shared, *told(*SAMPLES)])
    assert "give --set generate.base_folder=FOLDER" in capsys.readouterr().err
    assert 0 == evaluate([*shared, *told(*SAMPLES, *of_eval)])

    made = read_records(captioned_run / "generations", EvalSample)
    scores = read_records(captioned_run / "scores", ScoreRecord)
    assert [] == [record.verdict for record in made if isinstance(record.verdict, Failed)]
    assert {"retrieve", "continue"} == {record.task for record in made}
    assert {of_train[0].partition("=")[2]} == {record.model_id for record in made}
    assert KEPT in [score.verdict for score in scores]
