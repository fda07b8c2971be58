"""The score stage on a real run directory: values, reuse, missing weights, and rows that break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from skimage.metrics import peak_signal_noise_ratio

from pfp.errors import ConfigError, NothingUsable
from pfp.eval.judge import load_judge
from pfp.eval.measure import score_rows
from pfp.eval.measure.protocol import Protocol
from pfp.eval.measure.score import PROTOCOL, ScoreSamples, ScoreSettings, retrieved, run_score
from pfp.eval.measure.score_rows import INPUT_SCHEMA, MetricSpec, rows_of
from pfp.io import media, tables
from pfp.schema import Dropped, EvalSample, Failed, Kept, ScoreRecord

MakeRun = Callable[..., Any]
PIXELS = ScoreSettings(metrics=("psnr", "ssim"))


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here finds weights that this machine happens to have."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))


def scores_of(run: Any) -> dict[str, ScoreRecord]:
    """The run's scores by id."""
    found = tables.read_records(run.directory / "scores", ScoreRecord)
    return {record.score_id: record for record in found}


def score_inputs(run: Any, *metrics: str) -> pa.Table:
    """What the worker is given for the run's retrieved samples, those of a sample side by side."""
    specs = [MetricSpec.resolve(name, Protocol(), filed_under=PROTOCOL) for name in metrics]
    rows = rows_of(retrieved(str(run.directory), run.generations), specs)
    return pa.Table.from_pylist(rows, schema=INPUT_SCHEMA)


def rewrite(run: Any, records: list[EvalSample]) -> None:
    """Replace the run's generations."""
    table = EvalSample.table(records)
    tables.write_table(run.directory / "generations", table, EvalSample)


def test_scores_are_those_of_the_videos(make_run: MakeRun) -> None:
    """Every sample with a reference gets the PSNR that scikit-image finds in its two files."""
    run = make_run(num_clips=2)
    run_score(str(run.directory), PIXELS, engine="local")

    found = scores_of(run)
    checked = 0
    for record in run.generations:
        if record.task != "retrieve" or not isinstance(record.verdict, Kept):
            continue
        made = media.read_video(run.directory / record.video_uri)
        true = media.read_video(run.directory / record.reference_uri)
        expected = [
            peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(made, true, strict=True)
        ]
        value = found[f"{record.sample_id}/psnr@1"].value
        assert value == pytest.approx(float(np.mean(expected)), abs=1e-9)
        checked += 1
    assert checked == 11
    assert len(found) == 22


def test_a_score_says_what_it_was_made_with(make_run: MakeRun) -> None:
    """Each row carries the protocol, the decoder with its version, and the parameters."""
    run = make_run(num_clips=1)
    run_score(str(run.directory), PIXELS, engine="local")

    record = next(iter(scores_of(run).values()))
    assert record.protocol == "recon-v1"
    assert record.decoder == score_rows.decoder()
    assert "data_range" in record.params
    assert record.num_frames == 3


def test_a_second_run_computes_nothing(make_run: MakeRun) -> None:
    """Unchanged videos and metrics are not measured again."""
    run = make_run(num_clips=1)
    first = run_score(str(run.directory), PIXELS, engine="local")
    second = run_score(str(run.directory), PIXELS, engine="local")

    assert (first.computed, second.computed, second.reused) == (10, 0, 10)


def test_one_more_metric_computes_only_that_metric(make_run: MakeRun) -> None:
    """Adding SSIM leaves the PSNR rows alone."""
    run = make_run(num_clips=1)
    run_score(str(run.directory), ScoreSettings(metrics=("psnr",)), engine="local")
    second = run_score(str(run.directory), PIXELS, engine="local")

    assert (second.computed, second.reused) == (5, 5)


def test_a_changed_video_is_measured_again(make_run: MakeRun) -> None:
    """Other bytes under the same name are another result, whatever the table says of them."""
    run = make_run(num_clips=1)
    run_score(str(run.directory), PIXELS, engine="local")
    path = run.directory / run.generations[0].video_uri
    frames = media.read_video(path)
    media.write_video(path, 255 - frames, 12, lossless=True)

    assert run_score(str(run.directory), PIXELS, engine="local").computed == 2


def test_missing_weights_are_a_reason_and_not_a_number(make_run: MakeRun) -> None:
    """Without AlexNet the rows are dropped, have no value, and name the command that helps."""
    run = make_run(num_clips=1)
    report = run_score(str(run.directory), ScoreSettings(), engine="local")

    assert report.reasons == {"weights_missing": 5}
    for record in scores_of(run).values():
        if record.metric == "lpips_alex@1":
            assert record.value is None
            assert record.unscored_reason == "weights missing, `pfp weights fetch lpips-alex`"
            assert isinstance(record.verdict, Dropped)


def test_weights_that_arrive_make_new_keys(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the weights are found, only the rows that lacked them are computed."""
    run = make_run(num_clips=1)
    run_score(str(run.directory), ScoreSettings(), engine="local")
    monkeypatch.setattr("pfp.io.weights.find", lambda name, **_: Path(name))
    inputs = score_inputs(run, "psnr", "lpips_alex")

    digests = set(inputs["weights_sha256"].to_pylist())
    assert digests == {None, "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"}


def test_weights_that_only_the_planner_has_are_tried_again(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without the weights that the plan counts on fails for now, and is not remembered."""
    run = make_run(num_clips=1)
    digest = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
    monkeypatch.setattr("pfp.eval.measure.score_rows._weights_of", lambda _: (digest, None))
    report = run_score(str(run.directory), ScoreSettings(metrics=("lpips_alex",)), engine="local")

    assert report.reasons == {"RetryableError": 5}
    for record in scores_of(run).values():
        assert isinstance(record.verdict, Failed)
        assert record.verdict.retryable
        assert "give every worker the same PFP_WEIGHTS_DIR" in record.verdict.message


@pytest.mark.parametrize("cut", ["lengths", "sizes"])
def test_videos_that_do_not_match_are_rejected_alone(make_run: MakeRun, cut: str) -> None:
    """A sample that cannot be compared is dropped with the reason; the others are scored."""
    run = make_run(num_clips=1)
    path = run.directory / run.generations[0].video_uri
    frames = media.read_video(path)
    media.write_video(path, frames[:2] if cut == "lengths" else frames[:, :-8], 12, lossless=True)

    report = run_score(str(run.directory), PIXELS, engine="local")

    assert (report.kept, report.dropped) == (8, 2)
    unlike = scores_of(run)[f"{run.generations[0].sample_id}/psnr@1"]
    assert isinstance(unlike.verdict, Dropped)
    assert f"{cut}_differ" == unlike.verdict.reason
    assert "and its reference" in (unlike.unscored_reason or "")


def test_a_video_that_is_gone_fails_alone(make_run: MakeRun) -> None:
    """A missing file costs its own rows."""
    run = make_run(num_clips=1)
    (run.directory / run.generations[0].video_uri).unlink()

    report = run_score(str(run.directory), PIXELS, engine="local")

    assert (report.kept, report.failed) == (8, 2)


def test_a_sample_is_decoded_once_for_all_metrics(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one sample follow one another and share the frames of its two videos."""
    run = make_run(num_clips=1)
    opened: list[str] = []
    iter_stored = media.iter_stored

    def counting(source: Any, **options: Any) -> Any:
        opened.append(str(source))
        return iter_stored(source, **options)

    monkeypatch.setattr("pfp.io.media.iter_stored", counting)
    inputs = score_inputs(run, "psnr", "ssim")
    keys = [str(i) for i in range(inputs.num_rows)]
    out = ScoreSamples()(inputs.append_column("result_key", [keys]))

    assert out.num_rows == 10
    assert len(opened) == 10  # 5 samples, 2 videos each


def test_samples_without_truth_are_not_scored(make_run: MakeRun) -> None:
    """Continuations and samples that were not made give no rows."""
    run = make_run(num_clips=1)
    inputs = score_inputs(run, "psnr")

    kept = [r for r in run.generations if r.task == "retrieve" and isinstance(r.verdict, Kept)]
    assert inputs["sample_id"].to_pylist() == [record.sample_id for record in kept]


def test_nothing_generated_is_nothing_usable(make_run: MakeRun) -> None:
    """A run without a retrieval sample says so instead of writing an empty table."""
    run = make_run(num_clips=1)
    failed = Failed(error="PermanentError", message="no")
    rewrite(run, [replace(record, verdict=failed) for record in run.generations])

    with pytest.raises(NothingUsable, match="no usable retrieval sample"):
        run_score(str(run.directory), PIXELS, engine="local")


def test_an_unknown_metric_stops_before_any_work(make_run: MakeRun) -> None:
    """A misspelt metric is an error, not a row that fails."""
    run = make_run(num_clips=1)

    with pytest.raises(ConfigError, match="'psmr'"):
        run_score(str(run.directory), ScoreSettings(metrics=("psmr",)), engine="local")


def test_one_judge_serves_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge may hold a model of gigabytes, so a worker loads it once for all that ask it."""
    loaded = []

    def load(name: str, **options: Any) -> object:
        loaded.append(name)
        return load_judge(name, **options)

    monkeypatch.setattr("pfp.eval.judge.load.load_judge", load)
    worker = ScoreSamples(judge="fake:always-yes")
    for name in ("cloth.vbench2", "cloth.storyboard", "instance.vbench2"):
        worker._metric(name)

    assert ["fake:always-yes"] == loaded


@pytest.mark.parametrize(
    ("judge", "expected"), [("qwen:somewhere", "cuda:3"), ("fake:always-yes", None)]
)
def test_a_local_judge_runs_where_the_run_does(
    monkeypatch: pytest.MonkeyPatch, judge: str, expected: str | None
) -> None:
    """``--device`` is for judges, too; others are not made to look for a GPU."""
    asked: list[str | None] = []

    def load(spec: str, *, cache: str | None, device: str | None) -> object:
        assert spec == judge
        asked.append(device)
        return load_judge("fake:always-yes", cache=cache)

    monkeypatch.setattr("pfp.eval.judge.load.load_judge", load)
    worker = ScoreSamples(device="cuda:3", judge=judge)
    worker._metric("cloth.vbench2")
    worker._metric("instance.vbench2")

    assert [expected] == asked
