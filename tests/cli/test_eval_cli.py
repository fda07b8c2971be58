"""``pfp-eval`` and ``pfp weights`` as a user meets them."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pfp.cli.eval import build_parser, main
from pfp.cli.main import main as pfp_main
from pfp.io import tables
from pfp.schema import KEPT, EvalSample, ScoreRecord


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "weights"))


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """A scored run of two methods on three clips, without any video."""
    made, scores = [], []
    for clip in range(3):
        for method, psnr in (("proposed", 20.0 + clip), ("no_memory", 10.0)):
            record = EvalSample(
                sample_id=f"{clip}/{method}",
                task="retrieve",
                group=f"clip{clip}",
                clip_id=f"clip{clip}",
                memory_clip_id=f"clip{clip}",
                method=method,
                model_id="tiny",
                checkpoint_sha256="ab" * 32,
                seed=0,
                rate=None,
                num_frames=4,
                verdict=KEPT,
            )
            made.append(record)
            scores.append(
                ScoreRecord(
                    score_id=f"{record.sample_id}/psnr@1",
                    sample_id=record.sample_id,
                    metric="psnr@1",
                    value=psnr,
                    unscored_reason=None,
                    num_frames=4,
                    params="{}",
                    protocol="recon-v1",
                    decoder="pyav 1",
                    verdict=KEPT,
                )
            )
    folder = tmp_path / "run"
    tables.write_table(folder / "generations", EvalSample.table(made), EvalSample)
    tables.write_table(folder / "scores", ScoreRecord.table(scores), ScoreRecord)
    return folder


def test_report_writes_the_files_and_prints_the_table(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``report RUN`` writes the usual files and ends with where they are."""
    assert main(["report", str(run_directory)]) == 0

    printed = capsys.readouterr().out
    assert "proposed" in printed
    for suffix in ("html", "md", "txt", "json"):
        assert (run_directory / f"leaderboard.{suffix}").is_file()
        assert f"wrote {run_directory}/leaderboard.{suffix}" in printed


def test_report_writes_only_what_is_named(run_directory: Path, tmp_path: Path) -> None:
    """``--md F`` writes F and nothing into the run."""
    assert main(["report", str(run_directory), "--md", str(tmp_path / "x.md")]) == 0

    assert (tmp_path / "x.md").is_file()
    assert not list(run_directory.glob("leaderboard.*"))


def test_compare_tells_two_methods_apart(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``compare`` prints the paired difference and n, and that three clips decide nothing."""
    assert main(["compare", str(run_directory), "proposed", "no_memory"]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "proposed minus no_memory"
    expected = "PSNR    +11.00 dB (too few for an interval), n 3: too few shared clips"
    assert expected == printed[1]


def test_compare_lists_the_methods_it_knows(
    run_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt method is one sentence with the known ones, and status 2."""
    assert main(["compare", str(run_directory), "propsed", "no_memory"]) == 2

    assert capsys.readouterr().err == (
        f"pfp-eval: {run_directory} has no method 'propsed'; it has proposed, no_memory\n"
    )


def test_score_says_what_it_did(run_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``score`` of a run whose videos are gone counts the rows that failed, and exits 0."""
    records = tables.read_records(run_directory / "generations", EvalSample)
    named = [replace(r, video_uri="a.mp4", reference_uri="b.mp4") for r in records]
    tables.write_table(run_directory / "generations", EvalSample.table(named), EvalSample)

    assert main(["score", str(run_directory), "--metrics", "psnr"]) == 0
    assert "score: 6 rows: 0 kept, 0 dropped, 6 failed" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reporting an empty folder says what to run first, without a traceback."""
    assert main(["report", str(tmp_path)]) == 2

    error = capsys.readouterr().err
    assert error.startswith("pfp-eval: ")
    assert error.count("\n") == 1


def test_ls_and_show_say_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """``ls metrics`` and ``show`` name the command that brings missing weights."""
    assert main(["ls", "metrics"]) == 0
    assert main(["show", "lpips_alex"]) == 0

    listed, _, shown = capsys.readouterr().out.partition("metric      lpips_alex@1")
    printed = listed
    for text in (listed, shown):
        assert "weights missing, `pfp weights fetch lpips-alex`" in text
    assert re.search(r"^psnr@1 +dB +higher is better +ready$", printed, re.MULTILINE)


def test_show_of_an_unknown_metric_suggests_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt metric gets the nearest known name, and status 2."""
    assert main(["show", "pnsr"]) == 2
    assert capsys.readouterr().err == "pfp-eval: no metric is called 'pnsr'; did you mean 'psnr'?\n"


def test_every_command_has_help() -> None:
    """No command is listed without a word on what it does."""
    subparsers = build_parser()._subparsers
    assert subparsers is not None
    action = next(a for a in subparsers._actions if isinstance(a, argparse._SubParsersAction))
    helps = {choice.dest: choice.help for choice in action._choices_actions}

    assert set(helps) == set(action.choices)
    assert all(helps.values())


def weights_command(*arguments: str) -> int:
    """``pfp weights ...`` as ``pfp`` runs it."""
    return pfp_main(["weights", *arguments])


def test_weights_ls_lists_the_lock(capsys: pytest.CaptureFixture[str]) -> None:
    """``pfp weights ls`` shows size, state, licence and path of each entry."""
    assert weights_command("ls") == 0

    printed = capsys.readouterr().out
    assert "lpips-alex" in printed
    assert "233.1 MiB" in printed
    assert "missing" in printed


def test_weights_fetch_offline_asks_for_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``fetch --offline`` ends with status 2 and the exact path and digest wanted."""
    assert weights_command("fetch", "lpips-alex", "--offline") == 2

    error = capsys.readouterr().err
    assert error.startswith("pfp weights: weights lpips-alex are missing and downloads are off")
    assert f"{tmp_path}/weights/lpips-alex/alexnet-owt-7be5be79.pth" in error


def test_weights_import_refuses_another_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``import`` of a foreign file is refused with status 2."""
    (tmp_path / "x.pth").write_bytes(b"x")

    assert weights_command("import", "lpips-alex", str(tmp_path / "x.pth")) == 2
    assert "it was not imported" in capsys.readouterr().err


def test_weights_verify_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """``verify`` without weights is no error and no silence."""
    assert weights_command("verify") == 0
    assert "no weights are here" in capsys.readouterr().out
