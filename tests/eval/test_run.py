"""A manifest to scores: what is kept, what is computed again, and what each bad video costs."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.errors import ConfigError, InputError, PermanentError, RetryableError
from pfp.eval.measure.contents import Contents
from pfp.eval.measure.protocol import Protocol
from pfp.eval.measure.score import ScoreSamples
from pfp.eval.measure.score_rows import CONTENT_COLUMNS, MetricSpec, row_of, rows_of
from pfp.eval.measure.suites import SUITES, choose_metrics
from pfp.eval.report import load_run, write_report
from pfp.eval.run import EmptyShard, RunSettings, prepare, run
from pfp.eval.scores.runs import read_run, read_runs
from pfp.io import media, tables
from pfp.runtime.stage_config import read_config
from pfp.schema import Dropped, EvalSample, Failed, ScoreRecord
from pfp.schema.run_directory import RunDirectory
from tests.hostile_files import HostileFile

HEIGHT, WIDTH = 48, 80
CHEAP = ("psnr", "psnr_global")


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights or keys that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)


def make_videos(folder: Path, num_groups: int = 2, num_frames: int = 4) -> Path:
    """Two models' videos of each group, one closer to the reference, and their manifest."""
    lines = []
    for group in range(num_groups):
        rng = np.random.default_rng(group)
        true = rng.integers(40, 200, (num_frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
        media.write_video(folder / f"true{group}.mp4", true, 12, lossless=True)
        for model, step in (("near", 2), ("far", 9)):
            name = f"{model}{group}.mp4"
            media.write_video(folder / name, true + np.uint8(step), 12, lossless=True)
            lines.append(
                {
                    "video": name,
                    "reference": f"true{group}.mp4",
                    "model": model,
                    "group": f"g{group}",
                }
            )
    return write(folder, lines)


def write(folder: Path, lines: Sequence[dict[str, Any]]) -> Path:
    """The manifest of the folder."""
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def score(manifest: Path, out: Path, metrics: tuple[str, ...] = CHEAP, **options: Any) -> Any:
    """Score a manifest in this process; returns the report."""
    settings = RunSettings(manifest=str(manifest), out=str(out), metrics=metrics, **options)
    return run(prepare(settings), engine="local")


def scores_of(out: Path) -> dict[str, ScoreRecord]:
    """All scores of a run by id."""
    return {record.score_id: record for record in read_run(out).scores}


def test_a_manifest_becomes_a_leaderboard(tmp_path: Path) -> None:
    """Models are its methods; the values are those of the videos; the page can be written."""
    manifest = make_videos(tmp_path)
    report = score(manifest, tmp_path / "run")

    assert (report.kept, report.failed, report.dropped) == (8, 0, 0)
    board = write_report(tmp_path / "run")
    assert [method.name for method in board.methods] == ["near", "far"]
    mean = board.methods[0].cells["psnr@1"].summary.mean
    assert mean == pytest.approx(10 * np.log10(255**2 / 4), abs=1e-9)
    assert board.protocol.startswith("whole (decoder pyav, fps stored")
    assert (tmp_path / "run" / "leaderboard.html").is_file()


def test_a_second_run_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is even opened again."""
    manifest = make_videos(tmp_path)
    score(manifest, tmp_path / "run")
    monkeypatch.setattr("pfp.eval.measure.score.measure_all", None)

    assert score(manifest, tmp_path / "run").computed == 0


def test_other_metrics_samples_and_protocols_stay(tmp_path: Path) -> None:
    """A run adds: what it was not asked for now is kept while it is true."""
    manifest = make_videos(tmp_path)
    score(manifest, tmp_path / "run", ("psnr",))
    score(manifest, tmp_path / "run", ("psnr_global",), protocol="vbench")
    last = score(manifest, tmp_path / "run", ("ssim",), limit=1)

    assert (last.computed, last.reused) == (1, 8)
    found = scores_of(tmp_path / "run")
    assert len(found) == 9
    assert {record.protocol.partition(" ")[0] for record in found.values()} == {"whole", "vbench"}
    assert len(load_run(tmp_path / "run")[0].metrics) == 3


def test_what_is_no_longer_true_goes(tmp_path: Path) -> None:
    """Scores of a video that was replaced leave the table, asked for or not."""
    manifest = make_videos(tmp_path, num_groups=1)
    score(manifest, tmp_path / "run", ("psnr",))
    media.write_video(tmp_path / "near0.mp4", np.zeros((4, HEIGHT, WIDTH, 3), np.uint8), 12)
    score(manifest, tmp_path / "run", ("psnr_global",))

    assert sorted(scores_of(tmp_path / "run")) == [
        "far0.mp4/psnr@1",
        "far0.mp4/psnr_global@1",
        "near0.mp4/psnr_global@1",
    ]


def test_a_prompt_matters_only_to_metrics_that_read_it(tmp_path: Path) -> None:
    """Another prompt leaves a comparison with a reference alone."""
    manifest = make_videos(tmp_path, num_groups=1)
    score(manifest, tmp_path / "run", ("psnr", "high_band_psnr"))
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    write(tmp_path, [{**line, "prompt": "A kite."} for line in lines])

    assert score(manifest, tmp_path / "run", ("psnr", "high_band_psnr")).computed == 0


def test_what_is_lacking_is_a_reason_with_its_cure(tmp_path: Path) -> None:
    """No weights, no judge, no reference, no prompt: no number, and the command or field to add."""
    make_videos(tmp_path, num_groups=1)
    manifest = write(tmp_path, [{"video": "near0.mp4"}])
    metrics = ("psnr", "clarity", "cloth.vbench2", "semantic", "lpips_alex")
    report = score(manifest, tmp_path / "run", metrics)

    assert (report.kept, report.dropped, report.failed) == (0, 5, 0)
    assert {
        record.metric: record.unscored_reason for record in scores_of(tmp_path / "run").values()
    } == {
        "psnr@1": "no reference video, add `reference` to the manifest",
        "clarity@1": "weights missing, `pfp weights fetch musiq-spaq --accept-noncommercial`",
        "cloth.vbench2@1": "no judge, pass --judge (such as gemini:gemini-2.5-pro)",
        "semantic@2": "weights missing, `pfp weights fetch viclip-internvid-10m-flt`",
        "lpips_alex@1": "weights missing, `pfp weights fetch lpips-alex`",
    }


def test_a_missing_prompt_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its weights there, a metric of prompts says what it lacks instead of failing."""
    monkeypatch.setattr("pfp.eval.measure.score_rows._weights_of", lambda _: ("ab" * 32, None))
    make_videos(tmp_path, num_groups=1)
    score(write(tmp_path, [{"video": "near0.mp4"}]), tmp_path / "run", ("semantic",))

    record = scores_of(tmp_path / "run")["near0.mp4/semantic@2"]
    assert record.unscored_reason == "no prompt, add `prompt` to the manifest"


def test_a_judge_that_cannot_be_asked_is_a_reason(tmp_path: Path) -> None:
    """A judge without its key costs nothing and invents nothing."""
    make_videos(tmp_path, num_groups=1)
    manifest = write(tmp_path, [{"video": "near0.mp4"}])
    score(manifest, tmp_path / "run", ("cloth.vbench2",), judge="gemini:gemini-2.5-pro")

    reason = scores_of(tmp_path / "run")["near0.mp4/cloth.vbench2@1"].unscored_reason
    assert reason is not None
    assert "the judge cannot be asked" in reason
    assert "GEMINI_API_KEY" in reason


def test_the_whole_configuration_lies_beside_the_labels(tmp_path: Path) -> None:
    """Every option but the place, beside the samples and beside the scores alike."""
    manifest = write(tmp_path, [{"video": "a.mp4"}])
    (tmp_path / "a.mp4").touch()
    score(manifest, tmp_path / "run", limit=3)

    config = read_config(RunDirectory(tmp_path / "run").generations.path)
    assert config is not None
    assert "pfp-eval run" == config.stage
    options = {item.name for item in fields(RunSettings)} - {"out"}
    assert options == config.config.keys()
    assert (3, list(CHEAP)) == (config.config["limit"], config.config["metrics"])
    beside_scores = read_config(RunDirectory(tmp_path / "run").scores.path)
    assert beside_scores is not None
    assert config.config == beside_scores.config


@pytest.mark.parametrize("faces", [[], ["face.png"]])
def test_missing_faces_are_a_reason_with_a_cure(tmp_path: Path, faces: list[str]) -> None:
    """Without them a video is dropped before it is decoded; nothing has failed."""
    (tmp_path / "face.png").write_bytes(b"an image")
    manifest = write(tmp_path, [{"video": "a.mp4", "reference_faces": faces}])
    (tmp_path / "a.mp4").touch()
    settings = RunSettings(
        manifest=str(manifest), out=str(tmp_path / "run"), metrics=("identity.arcface.reference",)
    )
    prepared = prepare(settings)
    specs = [replace(spec, unscored=None) for spec in prepared.specs]  # with weights

    (row,) = rows_of(prepared.samples, specs)

    found = (row["unscored_reason"], row["unscored_detail"])
    cure = "no reference faces, add `reference_faces` to the manifest"
    assert found == ((None, None) if faces else ("no_reference_faces", cure))


def test_votes_are_part_of_a_score_s_parameters(tmp_path: Path) -> None:
    """Three votes are another score than one, asked thrice and kept as three answers."""
    manifest = make_videos(tmp_path, num_groups=1)
    score(manifest, tmp_path / "run", ("cloth.vbench2",), judge="fake:always-yes")
    one = next(iter(scores_of(tmp_path / "run").values()))
    report = score(manifest, tmp_path / "run", ("cloth.vbench2",), judge="fake:always-yes#votes=3")
    three = next(iter(scores_of(tmp_path / "run").values()))

    assert report.reused == 0
    assert "votes" not in json.loads(one.params)
    assert json.loads(three.params)["votes"] == 3
    assert len(json.loads(three.evidence or "")["asked"][0]["votes"]) == 3
    # Two videos of three questions; the first vote of three is the one answer's.
    assert len((tmp_path / "run/answers.jsonl").read_text().splitlines()) == 2 * 3 * 3


def test_a_judge_is_asked_and_named_in_the_row(tmp_path: Path) -> None:
    """With a judge the metric scores; who it was counts among the parameters."""
    make_videos(tmp_path, num_groups=1, num_frames=24)
    manifest = write(tmp_path, [{"video": "near0.mp4"}])
    first = score(manifest, tmp_path / "run", ("cloth.vbench2",), judge="fake:always-yes")
    again = score(manifest, tmp_path / "run", ("cloth.vbench2",), judge="fake:always-no")

    assert (first.kept, again.computed) == (1, 1)
    record = scores_of(tmp_path / "run")["near0.mp4/cloth.vbench2@1"]
    assert "fake" in json.loads(record.params)["judge"]["model_id"]


@pytest.mark.parametrize("damage", ["unreadable", "wrong digest"])
def test_bad_weights_are_never_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """A file that is not the locked one is named before a run; one that no network takes, in it."""
    from pfp.io import weights

    path = tmp_path / "none" / "lpips-alex" / "alexnet-owt-7be5be79.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no network")
    if damage == "unreadable":
        digest = weights.sha256_file(path)
        entry = replace(weights.entry_of("lpips-alex"), sha256=digest, bytes=10)
        monkeypatch.setattr("pfp.io.weights.read_lock", lambda: {"lpips-alex": entry})
    manifest = make_videos(tmp_path, num_groups=1)
    score(manifest, tmp_path / "run", ("lpips_alex", "psnr"))

    found = scores_of(tmp_path / "run")
    bad = found["near0.mp4/lpips_alex@1"]
    assert bad.value is None
    assert found["near0.mp4/psnr@1"].value is not None
    if damage == "wrong digest":
        assert bad.unscored_reason == (
            "weights missing or not usable, `pfp weights verify lpips-alex`"
        )
    else:
        assert isinstance(bad.verdict, Failed)
        assert not bad.verdict.retryable


@pytest.mark.parametrize(
    ("name", "reason", "expected"),
    [
        ("empty.mp4", "empty_file", "the video is an empty file"),
        ("text.mp4", "not_a_video", "the video is a text file"),
        ("short.mp4", "lengths_differ", "the video has 2 frames and its reference 4"),
        ("small.mp4", "sizes_differ", "the video is 40x48 and its reference 80x48"),
        ("tall.mp4", "sizes_differ", "the video is 80x46 and its reference 80x48"),
        ("half.mp4", None, "the video: a packet cannot be decoded"),
    ],
)
def test_a_bad_video_costs_its_own_rows(
    tmp_path: Path, name: str, reason: str | None, expected: str
) -> None:
    """The run goes on; what was understood is rejected, what broke has failed, both say why."""
    make_videos(tmp_path, num_groups=1)
    frames = media.read_video(tmp_path / "near0.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_bytes(b"this is no video at all\n" * 99)
    media.write_video(tmp_path / "short.mp4", frames[:2], 12, lossless=True)
    media.write_video(tmp_path / "small.mp4", frames[:, :, :40], 12, lossless=True)
    media.write_video(tmp_path / "tall.mp4", frames[:, :46], 12, lossless=True)
    whole = (tmp_path / "near0.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    lines = [{"video": video, "reference": "true0.mp4"} for video in (name, "near0.mp4")]
    report = score(write(tmp_path, lines), tmp_path / "run")

    assert (report.kept, report.dropped, report.failed) == ((2, 2, 0) if reason else (2, 0, 2))
    record = scores_of(tmp_path / "run")[f"{name}/psnr@1"]
    assert record.value is None
    assert reason == (record.verdict.reason if isinstance(record.verdict, Dropped) else None)
    assert (record.unscored_reason or "").startswith(expected)


def test_one_frame_and_odd_sizes_are_scored(tmp_path: Path) -> None:
    """Neither is an error: they have pixels to compare."""
    frame_1HWC = np.random.default_rng(0).integers(0, 255, (1, 33, 51, 3), dtype=np.uint8)
    for name in ("a.mp4", "b.mp4"):
        media.write_video(tmp_path / name, frame_1HWC, 12, lossless=True)
    manifest = write(tmp_path, [{"video": "a.mp4", "reference": "b.mp4"}])
    score(manifest, tmp_path / "run", ("psnr", "ssim"))

    values = [record.value for record in scores_of(tmp_path / "run").values()]
    assert values == pytest.approx([100.0, 1.0])


def test_names_that_are_not_utf_8_are_scored(tmp_path: Path) -> None:
    """From the folder to the row and to the page."""
    make_videos(tmp_path, num_groups=1)
    folder = tmp_path / "videos"
    folder.mkdir()
    target = folder / "caf\udce9.mp4"
    target.write_bytes((tmp_path / "near0.mp4").read_bytes())
    report = score(folder, tmp_path / "run", ("psnr",))

    assert report.reasons == {"no_reference": 1}
    assert list(scores_of(tmp_path / "run")) == ["caf\\xe9.mp4/psnr@1"]
    write_report(tmp_path / "run")


def test_shards_make_the_same_rows(tmp_path: Path) -> None:
    """Each sample is in one shard; readers join them to what a whole run writes, row by row."""
    manifest = make_videos(tmp_path, num_groups=3)
    score(manifest, tmp_path / "whole")
    for index in (1, 2):
        score(manifest, tmp_path / "parts", shard=(index, 2))

    assert scores_of(tmp_path / "parts") == scores_of(tmp_path / "whole")
    sizes = [len(read_run(part).generations) for part in (tmp_path / "parts/shards").iterdir()]
    assert sum(sizes) == 6
    assert all(sizes)


def test_runs_side_by_side(tmp_path: Path) -> None:
    """Two runs' methods stand in one table, told apart by the run where they are called alike."""
    manifest = make_videos(tmp_path)
    score(manifest, tmp_path / "one")
    score(manifest, tmp_path / "two")
    joined = read_runs([tmp_path / "one", tmp_path / "two"])

    assert joined.methods == ["far (one)", "far (two)", "near (one)", "near (two)"]
    board = write_report(tmp_path / "one", tmp_path / "two")
    assert board.groups == ("g0", "g1")


def test_protocols_do_not_share_a_column(tmp_path: Path) -> None:
    """The same metric by two protocols is refused, with the reason."""
    manifest = make_videos(tmp_path)
    score(manifest, tmp_path / "one")
    score(manifest, tmp_path / "two", protocol="vbench-long")

    with pytest.raises(InputError, match=r"psnr@1 was measured by .*vbench-long.*cannot stand"):
        load_run(tmp_path / "one", tmp_path / "two")


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """After SIGKILL the rows that were done are not computed again, and the table is the same."""
    manifest = make_videos(tmp_path, num_groups=4, num_frames=24)
    code = (
        "import sys, time\n"
        "from pfp.eval.measure import score\n"
        "from pfp.eval.run import RunSettings, prepare, run\n"
        "score.ROWS_PER_BATCH = 1\n"
        "measure = score.measure_all\n"
        "def slow(*a):\n"
        "    time.sleep(0.2)\n"
        "    return measure(*a)\n"
        "score.measure_all = slow\n"
        "s = RunSettings(manifest=sys.argv[1], out=sys.argv[2], metrics=('psnr', 'psnr_global'))\n"
        "run(prepare(s), engine='local')\n"
    )
    out = tmp_path / "run"
    child = subprocess.Popen([sys.executable, "-c", code, str(manifest), str(out)])
    pending = out / "scores" / "_pending"
    deadline = time.monotonic() + 60
    while len(list(pending.glob("part-*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    report = score(manifest, out)

    assert report.reused >= 4
    assert report.computed == 16 - report.reused
    score(manifest, tmp_path / "fresh")
    assert scores_of(out) == scores_of(tmp_path / "fresh")


def test_a_killed_run_s_other_metrics_are_kept(tmp_path: Path) -> None:
    """What a killed run had committed survives a run that asks for something else."""
    manifest = make_videos(tmp_path, num_groups=1)
    score(manifest, tmp_path / "run", ("psnr",))
    records = tables.read_records(tmp_path / "run" / "scores", ScoreRecord)
    from pfp.io.filesystems import Folder
    from pfp.runtime.staged import StagedFiles

    staged = StagedFiles.of(Folder.at(str(tmp_path / "killed" / "scores")), "x")
    staged.make()
    staged.commit(ScoreRecord.table(records), f"part-{'0' * 64}.parquet")
    report = score(manifest, tmp_path / "killed", ("psnr_global",))

    assert (report.computed, report.reused) == (2, 2)
    assert len(scores_of(tmp_path / "killed")) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"shard": (0, 2)}, "shard is 0/2"),
        ({"shard": (3, 2)}, "shard is 3/2"),
    ],
)
def test_choices_that_choose_nothing_are_refused(options: dict[str, Any], expected: str) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match=expected):
        RunSettings(manifest="m", out="o", **options)


def test_an_empty_shard_says_so(tmp_path: Path) -> None:
    """A shard without a sample is no empty table."""
    make_videos(tmp_path, num_groups=1)
    manifest = write(tmp_path, [{"video": "near0.mp4"}])
    settings = [
        RunSettings(manifest=str(manifest), out="o", metrics=CHEAP, shard=(index, 64))
        for index in range(1, 65)
    ]
    sizes = []
    for each in settings:
        with contextlib.suppress(EmptyShard):
            sizes.append(len(prepare(each).samples))

    assert sizes == [1]
    with pytest.raises(EmptyShard, match="use fewer shards"):
        [prepare(each) for each in settings]


def test_another_score_in_a_shard_is_no_silent_exchange(tmp_path: Path) -> None:
    """What a run and its shard say otherwise of one sample and metric is refused by the reader."""
    manifest = make_videos(tmp_path, num_groups=1)
    out = tmp_path / "run"
    score(manifest, out, ("psnr",))
    score(manifest, out, ("psnr",), shard=(1, 1))
    assert len(read_run(out).scores) == 2

    score(manifest, out, ("psnr",), shard=(1, 1), protocol="vbench")

    with pytest.raises(InputError, match=r"hold other scores of \w+0.mp4/psnr@1"):
        read_run(out)


def test_a_table_has_one_judge_and_names_it(tmp_path: Path) -> None:
    """Two judges cannot stand in one column; that of each column is in the CSV."""
    make_videos(tmp_path, num_groups=1, num_frames=24)
    manifest = write(tmp_path, [{"video": "near0.mp4"}])
    for answer in ("yes", "no"):
        judge = f"fake:always-{answer}"
        score(manifest, tmp_path / answer, ("instance.fraction",), judge=judge)
    board = write_report(tmp_path / "yes")

    assert {"instance.fraction@1": "fake:always-yes"} == board.judges
    assert ",fake:always-yes" in (tmp_path / "yes/leaderboard.csv").read_text()
    assert "looks at nothing" in (tmp_path / "yes/leaderboard.html").read_text()
    with pytest.raises(InputError, match="fake:always-no and fake:always-yes with 2 different"):
        load_run(tmp_path / "yes", tmp_path / "no")


def test_a_history_of_its_own_replaces_the_switch(tmp_path: Path) -> None:
    """With it two seconds are enough and it counts for the key; without one nothing has changed."""
    make_videos(tmp_path, num_groups=1, num_frames=32)
    media.write_video(
        tmp_path / "past.mp4", np.zeros((8, HEIGHT, WIDTH, 3), np.uint8), 12, lossless=True
    )
    line = {"video": "near0.mp4", "reference": "true0.mp4"}
    lines = [line, {**line, "sample_id": "own", "history": "past.mp4"}, {"video": "far0.mp4"}]
    metrics = ("magbench.aligned.psnr", "psnr", "magbench.history.psnr")
    manifest = write(tmp_path, lines)
    score(manifest, tmp_path / "run", metrics)

    found = scores_of(tmp_path / "run")
    too_short = found["near0.mp4/magbench.aligned.psnr@1"]
    assert "give one of 6 s or more" in str(too_short.unscored_reason)
    assert found["own/magbench.aligned.psnr@1"].value == found["own/psnr@1"].value
    assert found["own/magbench.aligned.psnr@1"].num_frames == 32 * 16 // 12
    lacking = found["far0.mp4/magbench.history.psnr@1"].verdict
    assert lacking.reason in {"no_reference", "weights_missing"}
    media.write_video(
        tmp_path / "past.mp4", np.ones((8, HEIGHT, WIDTH, 3), np.uint8), 12, lossless=True
    )
    assert score(manifest, tmp_path / "run", ("magbench.aligned.psnr", "psnr")).computed == 1


def no_answer(error: Exception) -> Any:
    """A way to load judges that raises."""

    def load(_: ScoreSamples) -> Any:
        raise error

    return load


def test_a_metric_that_cannot_be_made_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge that cannot be loaded costs all that ask it, for its own reason, and nothing else."""
    manifest = make_videos(tmp_path, num_groups=1)
    monkeypatch.setattr(ScoreSamples, "_load_judge", no_answer(PermanentError("no such model")))
    metrics = ("cloth.vbench2", "psnr", "instance.vbench2")
    report = score(manifest, tmp_path / "run", metrics, judge="fake:always-yes")

    assert (2, 4) == (report.kept, report.failed)
    reasons = {record.unscored_reason for record in scores_of(tmp_path / "run").values()}
    assert {None, "no such model"} == reasons


def test_what_failed_for_the_moment_waits_for_its_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that asks nobody, or somebody else, does not try the row again and spoil it."""
    manifest, out = make_videos(tmp_path, num_groups=1), tmp_path / "run"
    with monkeypatch.context() as broken:
        broken.setattr(ScoreSamples, "_load_judge", no_answer(RetryableError("busy")))
        score(manifest, out, ("cloth.vbench2",), judge="fake:always-yes")
    failed = [record.verdict for record in scores_of(out).values()]
    assert [True, True] == [isinstance(each, Failed) and each.retryable for each in failed]

    assert 0 == score(manifest, out, ("psnr",)).failed
    assert {"psnr@1"} == {record.metric for record in scores_of(out).values()}
    with monkeypatch.context() as broken:
        broken.setattr(ScoreSamples, "_load_judge", no_answer(RetryableError("busy")))
        score(manifest, out, ("cloth.vbench2",), judge="fake:always-yes")
    score(manifest, out, ("psnr",), judge="fake:always-yes")
    assert all(record.value is not None for record in scores_of(out).values())
    assert {"psnr@1", "cloth.vbench2@1"} == {record.metric for record in scores_of(out).values()}


def test_messages_call_each_file_by_its_part(tmp_path: Path) -> None:
    """Also where one's name begins with another's."""
    write_images(tmp_path / "a", 2)
    write_images(tmp_path / "a_true", 2)
    (tmp_path / "a_true/1.png").write_bytes(b"no image")
    score(write(tmp_path, [{"video": "a", "reference": "a_true"}]), tmp_path / "run", ("psnr",))

    (record,) = scores_of(tmp_path / "run").values()
    assert str(record.unscored_reason).startswith("its reference/1.png cannot be read")


def write_images(folder: Path, num_frames: int) -> None:
    """A folder of black images, ``0.png`` the first."""
    folder.mkdir()
    for number in range(num_frames):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{number}.png")


def test_videos_elsewhere_count_by_their_own_addresses() -> None:
    """Another reference or history is another row, if nobody can look into either."""
    given = EvalSample.of_video(
        "s3://b/v.mp4", reference_uri="s3://b/r.mp4", history_uri="s3://b/h.mp4"
    )
    spec = MetricSpec.resolve("magbench.matched.psnr", Protocol())

    def contents(given: EvalSample) -> list[Any]:
        row = row_of(replace(given, sample_id="a"), spec, Contents())
        return [row[name] for name in CONTENT_COLUMNS]

    known = [contents(given)]
    for part in ("video", "reference", "history"):
        known.append(contents(replace(given, **{f"{part}_uri": "s3://b/other.mp4"})))
        assert known[-1] not in known[:-1]


def test_suites_choose_metrics_and_protocols() -> None:
    """A suite has its own protocol; the user's is for what he names and for VBench's metrics."""
    assert set(choose_metrics("table1", (), "vbench-long").values()) == {"whole"}
    assert set(choose_metrics("table3", (), None).values()) == {"vbench"}
    assert set(choose_metrics("table3", (), "vbench-long").values()) == {"vbench-long"}
    assert choose_metrics(None, ("psnr",), "vbench-long") == {"psnr": "vbench-long"}
    assert choose_metrics("table1", ("clarity",), None)["clarity"] == "vbench"
    every = choose_metrics(None, (), "vbench-long")
    assert (every["clarity"], every["magbench.aligned.psnr"]) == ("vbench-long", "whole")
    with pytest.raises(ConfigError, match="did you mean 'table1'"):
        choose_metrics("tabel1", (), None)


@pytest.mark.parametrize("name", sorted(SUITES))
def test_suites_name_metrics_that_are_there(name: str) -> None:
    """Nothing is promised that cannot be run."""
    assert choose_metrics(None, SUITES[name].metrics, None).keys() == set(SUITES[name].metrics)


def test_the_weight_free_metrics_on_encoded_videos(
    hostile_file: HostileFile, tmp_path: Path
) -> None:
    """Clips, each beside itself as its own reference, through what needs no download."""
    videos = [str(hostile_file(name)) for name in ("first.mp4", "sound_outlasts.mkv")]
    lines = [{"video": video, "reference": video} for video in videos]
    report = score(write(tmp_path, lines), tmp_path / "run", ("psnr", "lpips_alex"))

    assert (report.kept, report.dropped) == (2, 2)
    found = scores_of(tmp_path / "run").values()
    assert [r.num_frames for r in found if r.value is not None] == [96, 120]
