"""What the demo says when it is given something that it cannot use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.demo import main, prepare_directory


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on standard error of a demo that ends with status 2."""
    assert main(list(arguments)) == 2
    message = capsys.readouterr().err.strip()
    assert "Traceback" not in message
    assert "\n" not in message
    return message


def test_a_missing_folder_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """VIDEOS that does not exist is named, with the cure."""
    message = failure(capsys, "--videos", str(tmp_path / "none"), "--out", str(tmp_path / "out"))

    assert "none" in message
    assert "name a folder that holds video files" in message


def test_an_empty_folder_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """VIDEOS without a file says so."""
    (tmp_path / "videos").mkdir()

    message = failure(
        capsys,
        *("--videos", str(tmp_path / "videos"), "--out", str(tmp_path / "out")),
        *("--engine", "local"),
    )

    assert "holds no file" in message


def test_out_that_is_a_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """OUT must be a folder."""
    (tmp_path / "out").write_text("x")

    assert "cannot be written" in failure(capsys, "--out", str(tmp_path / "out"))


def test_out_that_holds_other_things_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FRESH=1 never removes a folder that is no earlier run."""
    (tmp_path / "thesis.txt").write_text("years of work")

    message = failure(capsys, "--fresh", "--out", str(tmp_path))

    assert "thesis.txt" in message
    assert "years of work" == (tmp_path / "thesis.txt").read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_out_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without permission is named."""
    (tmp_path / "locked").mkdir(mode=0o500)

    assert "cannot be written" in failure(capsys, "--out", str(tmp_path / "locked" / "out"))


@pytest.mark.parametrize("name", ["videos", "clips", "input"])
def test_a_folder_of_somebody_s_videos_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Whatever tables are called, a folder of that name alone is not one of ours."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "wedding.mp4").write_text("once")

    assert "no earlier run" in failure(capsys, "--fresh", "--out", str(tmp_path))
    assert (tmp_path / name / "wedding.mp4").exists()


@pytest.mark.parametrize("begun", ["summary.json", "drawn_clips", "videos/_measured"])
def test_fresh_empties_an_earlier_run(tmp_path: Path, begun: str) -> None:
    """However far it had come; the directory stays."""
    (tmp_path / "out" / begun).mkdir(parents=True)

    prepare_directory(tmp_path / "out", fresh=True)

    assert [] == list((tmp_path / "out").iterdir())
