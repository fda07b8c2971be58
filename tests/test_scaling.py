"""Every parser and every command, on a hundred thousand items: each comes to its end.

Nothing is timed: what grows with the square would not end within the limit of a test, which is
generous for what grows with the input. ``benchmarks/scaling.py`` measures how time grows.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scaling import CAPS, WORKS, figure
from benchmarks.scaling_inputs import manifest, run_of_scores, votes
from pfp.cli.eval import main as pfp_eval
from pfp.errors import InputError
from pfp.eval.report import load_run
from pfp.vlm.answer import parse_object

NUM_ITEMS = 100_000


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", WORKS)
def test_it_ends_with_a_hundred_thousand_items(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and nothing that nobody waits for."""
    status = WORKS[name](min(NUM_ITEMS, CAPS.get(name, NUM_ITEMS)), tmp_path)()
    if name.partition(".")[0] in {"eval", "pfp"}:
        refused = name == "eval.report_of_many_models"
        assert (2 if refused else 0) == status
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert refused == ("more than the 1000 that a table can compare" in said.err)


def test_figures_are_printed_for_every_work() -> None:
    """A ratio of seconds per item, with the seconds in the note."""
    found = figure("json.keys", 10_000)
    assert {"name", "value", "unit", "goal", "n", "spread", "note"} == found.keys()
    assert str(found["note"]).startswith("1000 items ")


def test_the_last_of_many_keys_is_named(tmp_path: Path) -> None:
    """The search for a key that is there twice passes over each key once."""
    del tmp_path
    text = json.dumps({f"key {k}": 0 for k in range(NUM_ITEMS)})[:-1] + ', "key 99999": 0}'
    with pytest.raises(ValueError, match="the key 'key 99999' is there twice"):
        parse_object(text)


def test_every_line_of_a_manifest_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its own id, in time that grows with their number."""
    path = manifest(tmp_path, 2000)
    assert 0 == pfp_eval(["validate", str(path)])
    assert "samples that are right: 2000, lines that are wrong: 0" in capsys.readouterr().out


def test_a_plan_of_many_videos_opens_some_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so; frames and seconds are those of all."""
    path = manifest(tmp_path, 1001)
    out = str(tmp_path / "run")
    assert 0 == pfp_eval(["plan", str(path), "--metrics", "psnr", "--out", out])
    said = capsys.readouterr().out
    assert "1001 videos to decode, 4004 frames, 167 s of video" in said
    assert "frames, times and costs are estimated from 1000 of the videos" in said


def test_a_table_of_more_models_than_anybody_reads(tmp_path: Path) -> None:
    """It is refused with the number, before a bootstrap for each."""
    run = run_of_scores(tmp_path / "run", 1001, [f"model {k}" for k in range(1001)])
    with pytest.raises(InputError, match="the run has 1001 models, more than the 1000"):
        load_run(run)


def test_ratings_of_more_models_than_can_be_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their number counts three times over, so it is bounded."""
    path = votes(tmp_path, 300, num_models=101)
    assert 2 == pfp_eval(["elo", str(path)])
    assert (
        "votes on 101 models, more than the 100 that are rated at once" in capsys.readouterr().err
    )
