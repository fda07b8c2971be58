"""``pfp-eval`` on manifests: run, plan, validate, report, compare, export, doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.cli.eval import main
from pfp.io import media


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "weights"))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three groups of two models; ``near`` is 2 levels off the reference, ``far`` 9."""
    lines: list[dict[str, Any]] = []
    for group in range(3):
        rng = np.random.default_rng(group)
        true = rng.integers(40, 200, (3, 48, 80, 3), dtype=np.uint8)
        media.write_video(tmp_path / f"true{group}.mp4", true, 12, lossless=True)
        for model, step in (("near", 2), ("far", 9)):
            name = f"{model}{group}.mp4"
            media.write_video(tmp_path / name, true + np.uint8(step + group), 12, lossless=True)
            lines.append(
                {
                    "video": name,
                    "reference": f"true{group}.mp4",
                    "model": model,
                    "group": f"g{group}",
                }
            )
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(manifest: Path, out: Path, *more: str) -> int:
    """Score a manifest by PSNR."""
    return main(["run", str(manifest), "--out", str(out), "--metrics", "psnr", *more])


def test_run_prints_the_table_and_what_is_missing(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The means, then every reason for which there is none, with how often."""
    code = main(
        ["run", str(manifest), "--out", str(tmp_path / "run"), "--metrics", " psnr, lpips_alex,"]
    )
    printed = capsys.readouterr()

    assert code == 0
    assert "near" in printed.out
    words = " ".join(printed.out.split())
    assert (
        "LPIPS, 6 samples not measured: weights missing, `pfp weights fetch lpips-alex`." in words
    )
    assert "score: 12 rows: 6 kept, 6 dropped, 0 failed" in printed.err


def test_the_default_run_directory_is_named_like_the_manifest(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``runs/<name>`` of where one is."""
    monkeypatch.chdir(tmp_path)

    assert main(["run", "manifest.jsonl", "--metrics", "psnr"]) == 0
    assert (tmp_path / "runs" / "manifest" / "scores").is_dir()
    assert manifest.is_file()


def test_plan_says_what_would_be_done_and_does_nothing(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, videos, weights with licences, cures; no folder appears."""
    options = ["--out", str(tmp_path / "run"), "--metrics", "psnr,clarity,cloth.vbench2"]
    assert main(["plan", str(manifest), *options, "--judge", "fake:always-yes"]) == 0
    printed = capsys.readouterr().out

    assert "6 videos to decode, 18 frames, 2 s of video" in printed
    assert "0 done, 6 to do" in printed
    assert "weights musiq-spaq (PolyForm-Noncommercial-1.0.0, non-commercial)" in printed
    assert "6 unscored: weights missing, `pfp weights fetch musiq-spaq" in printed
    assert not (tmp_path / "run").exists()


def test_plan_knows_what_is_done(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a run there is nothing left to decode."""
    run(manifest, tmp_path / "run")
    capsys.readouterr()
    main(["plan", str(manifest), "--out", str(tmp_path / "run"), "--metrics", "psnr"])

    printed = capsys.readouterr().out
    assert "0 videos to decode" in printed
    assert "6 done, 0 to do" in printed


def test_plan_prices_a_judge(
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """64 frames of 258 tokens for each of 6 videos at 1.25 USD a million are 0.12 USD."""
    monkeypatch.setenv("GEMINI_API_KEY", "not-a-key")
    options = ["--out", str(tmp_path / "run"), "--metrics", "cloth.vbench2"]
    main(["plan", str(manifest), *options, "--judge", "gemini:gemini-2.5-pro"])

    assert "at least 0.12 USD" in capsys.readouterr().out
    main(["plan", str(manifest), *options, "--judge", "gemini:gemini-2.5-pro#votes=3"])
    assert "at least 0.37 USD" in capsys.readouterr().out


def test_validate_tells_right_from_wrong(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every wrong line is printed, and the status says whether there was one."""
    assert main(["validate", str(manifest)]) == 0
    assert "samples that are right: 6, lines that are wrong: 0; models: far, near; groups: 3" in (
        capsys.readouterr().out
    )
    with manifest.open("a") as file:
        file.write('{"video": "gone.mp4"}\n{"video": "near0.mp4", "prompts": "x"}\n')

    assert main(["validate", str(manifest)]) == 2
    printed = capsys.readouterr().out
    assert "line 7: video 'gone.mp4' is no file" in printed
    assert "line 8: unknown fields 'prompts'" in printed


def test_score_aggregates_a_manifest_run_without_its_videos(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows are enough, and nothing can be measured."""
    run(manifest, tmp_path / "run")
    table = capsys.readouterr().out.partition("`pfp-eval report")[0]
    for video in tmp_path.glob("*.mp4"):
        video.unlink()

    assert main(["score", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == table
    assert main(["score", str(tmp_path / "run"), "--metrics", "psnr"]) == 2
    assert "`pfp-eval run` measures" in capsys.readouterr().err


def test_shards_are_joined_by_the_report(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two halves and one whole give the same table."""
    run(manifest, tmp_path / "whole")
    for shard in ("1/2", "2/2"):
        assert run(manifest, tmp_path / "parts", "--shard", shard) == 0
    capsys.readouterr()
    tables = []
    for name in ("whole", "parts"):
        main(["score", str(tmp_path / name)])
        tables.append(capsys.readouterr().out)

    assert tables[0] == tables[1]


def test_a_shard_without_samples_has_nothing_to_do(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no failure of an array of jobs, and reports know what is not there yet."""
    out = tmp_path / "parts"
    for index in range(1, 20):
        assert run(manifest, out, "--shard", f"{index}/20") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["report", str(out), "--csv", str(tmp_path / "x.csv")]) == 0
    assert f"{out} lacks shard 20/20; what follows" in capsys.readouterr().err
    assert run(manifest, out, "--shard", "20/20") == 0
    capsys.readouterr()
    assert main(["report", str(out), "--csv", str(tmp_path / "x.csv")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("psnr<0", (0, "")),
        ("psnr<-0.5", (0, "")),
        ("psnr>5", (1, "failed: psnr>5: the difference is +")),
        ("psnr>=1e9", (0, "")),
        ("ssim<-0.5", (1, "failed: ssim<-0.5: not measured")),
        ("psnr", (2, "is no condition; write one like 'psnr<-0.5'")),
        ("psnr<..", (2, "is no condition")),
        ("pnsr<0", (2, "did you mean 'psnr'?")),
    ],
)
def test_compare_is_a_gate(
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    condition: str,
    expected: tuple[int, str],
) -> None:
    """Status 1 when the condition holds or cannot be told, 2 when it is none."""
    run(manifest, tmp_path / "run")
    capsys.readouterr()

    code = main(["compare", str(tmp_path / "run"), "near", "far", "--fail-if", condition])

    assert code == expected[0]
    assert expected[1] in capsys.readouterr().err


def test_compare_of_two_runs(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One method of each, named where the run has several."""
    run(manifest, tmp_path / "run")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text(
        "".join(json.dumps(line) + "\n" for line in lines if line["model"] == "far")
    )
    run(manifest, tmp_path / "only")
    capsys.readouterr()

    assert main(["compare", f"{tmp_path}/run#near", f"{tmp_path}/only"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("near minus far\nPSNR    +")
    assert "n 3" in printed
    assert main(["compare", f"{tmp_path}/run#far", f"{tmp_path}/only"]) == 0
    assert capsys.readouterr().out.startswith("far (run) minus far (only)\nPSNR    0.00 dB")
    assert main(["compare", f"{tmp_path}/run", f"{tmp_path}/only"]) == 2
    assert "has the methods far, near; name one as RUN#METHOD" in capsys.readouterr().err
    assert main(["compare", f"{tmp_path}/run#x", f"{tmp_path}/only"]) == 2
    assert "has no method 'x'; it has far, near" in capsys.readouterr().err
    assert main(["compare", f"{tmp_path}/run"]) == 2
    assert "give RUN METHOD_A METHOD_B, or RUN_A RUN_B" in capsys.readouterr().err


def test_report_of_two_runs(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They stand in one page, in the first one's folder."""
    run(manifest, tmp_path / "one")
    run(manifest, tmp_path / "two")
    capsys.readouterr()

    assert main(["report", f"{tmp_path}/one", f"{tmp_path}/two"]) == 0
    assert "near (two)" in (tmp_path / "one" / "leaderboard.html").read_text()


def test_export_writes_what_vbench_writes(tmp_path: Path, manifest: Path) -> None:
    """Mean and videos by VBench's names; imaging quality's mean is over 100, as there."""
    from pfp.eval.measure.score_rows import rows_of
    from pfp.eval.run import RunSettings, prepare
    from pfp.io import tables
    from pfp.schema import KEPT, EvalSample, ScoreRecord

    prepared = prepare(RunSettings(manifest=str(manifest), out="o", suite="table3"))

    made = list(prepared.samples)
    values = {"clarity@1": 70.0, "aesthetic@1": 0.6, "dynamics@1": 1.0}
    scores = [
        ScoreRecord(
            **{name: row[name] for name in ("score_id", "sample_id", "metric")},
            value=values.get(row["metric"]),
            unscored_reason=None if row["metric"] in values else "no_prompt",
            num_frames=3,
            params="{}",
            protocol="vbench",
            decoder="pyav 1",
            verdict=KEPT,
        )
        for row in rows_of(prepared.samples, prepared.specs)
    ]
    tables.write_table(tmp_path / "run/generations", EvalSample.table(made), EvalSample)
    tables.write_table(tmp_path / "run/scores", ScoreRecord.table(scores), ScoreRecord)

    out = tmp_path / "results.json"
    command = ["export", str(tmp_path / "run"), "--vbench-json", str(out)]
    assert main(command) == 2  # two models
    assert main([*command, "--method", "near"]) == 0
    found = json.loads(out.read_text())
    assert {name: mean for name, (mean, _) in found.items()} == pytest.approx(
        {"imaging_quality": 0.7, "aesthetic_quality": 0.6, "dynamic_degree": 1.0}
    )
    videos = [video["video_path"].rpartition("/")[2] for video in found["dynamic_degree"][1]]
    assert videos == ["near0.mp4", "near1.mp4", "near2.mp4"]
    assert found["dynamic_degree"][1][0]["video_results"] is True


def test_doctor_tells_what_is_here_without_telling_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages, weights with their commands, and only whether keys are set."""
    monkeypatch.setenv("GEMINI_API_KEY", "sesame")
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out

    assert "av " in printed
    assert "weights missing, `pfp weights fetch lpips-alex`" in printed
    assert (
        "weights missing, `pfp weights import arcface-resnet18-110 FILE --accept-noncommercial`"
        in printed
    )
    assert "sesame" not in printed


def test_ls_suites_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    """What the suites hold, and the lock as ``pfp weights ls`` shows it."""
    assert main(["ls", "suites"]) == 0
    assert main(["ls", "weights"]) == 0
    printed = capsys.readouterr().out

    assert "table1    reconstruction" in printed
    assert "raft-large-c-t-v1" in printed


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--shard", "2", "is not i/n"),
        ("--shard", "3/2", "give i/n, i from 1 to n"),
        ("--device", "tpu", "is none of auto, cpu, cuda, cuda:N"),
        ("--metrics", "pnsr", "did you mean 'psnr'?"),
        ("--judge", "nobody:x", "names no known kind"),
        ("--decoder", "decord", "use it with --protocol vbench"),
    ],
)
def test_wrong_options_are_one_sentence(
    manifest: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, said: str
) -> None:
    """Before any work, with status 2."""
    metrics = [] if option == "--metrics" else ["--metrics", "psnr,cloth.vbench2"]
    assert main(["run", str(manifest), *metrics, option, value]) == 2

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_many_metrics_are_several_tables(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three metrics fit side by side; more stand below them, in lines that a terminal holds."""
    metrics = "psnr,psnr_global,high_band_psnr,ssim,ssim_y"
    main(["run", str(manifest), "--out", str(tmp_path / "run"), "--metrics", metrics])
    printed = capsys.readouterr().out.splitlines()

    assert sum(line.startswith("method ") for line in printed) == 2
    rows = [line for line in printed if line.startswith("near ") and " minus " not in line]
    assert len(rows) == 2
    assert max(len(line) for line in printed if str(tmp_path) not in line) <= 100


def test_scores_of_an_older_table_are_told_to_go(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They cannot be read, so what is asked for is measured again, and the user knows why."""
    out = tmp_path / "run"
    assert run(manifest, out) == 0
    assert "this pfp reads" not in capsys.readouterr().err
    listed = out / "scores/_manifest.json"
    listed.write_text(listed.read_text().replace('"version": 4', '"version": 3'))

    assert main(["report", str(out)]) == 2
    assert "holds score v3, this pfp reads v4; run the stage again" in capsys.readouterr().err
    assert run(manifest, out) == 0
    assert "holds score v3, this pfp reads v4; what this run asks for" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0
