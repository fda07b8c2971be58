"""What the page shows of each video: a strip, the faces that failed, what each metric found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.eval.measure.protocol import Protocol
from pfp.eval.report import load_run, write_report
from pfp.eval.report.html_sample_detail import sample_details
from pfp.eval.report.sample_detail import (
    FACE_SIDE,
    SampleDetail,
    SampleVideo,
    crop_of,
    frames_at,
    middles,
    shrunk,
    telling,
)
from pfp.eval.report.samples import retrievals
from pfp.eval.run import RunSettings, prepare, run
from pfp.eval.scores.evidence import SeenFace
from pfp.io import media
from pfp.schema import EvalSample, Failed, ScoreRecord
from tests.eval.report.page_reader import Page
from tests.hostile_files import HostileFile

FPS, NUM_FRAMES = 8, 24
METRICS = ("psnr", "clarity", "instance.fraction", "instance.vbench2.compat", "instance.vbench2")


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models' videos of 3 s, whose grey is ten times the frame's number, judged by a fake."""
    folder = tmp_path_factory.mktemp("run")
    frames_THWC = np.empty((NUM_FRAMES, 64, 96, 3), np.uint8)
    frames_THWC[:] = np.arange(NUM_FRAMES)[:, None, None, None] * 10
    lines: list[dict[str, Any]] = []
    for model, offset in (("near", 1), ("far", 5)):
        made_THWC = np.minimum(frames_THWC, 250) + np.uint8(offset)
        media.write_video(folder / f"{model}.mp4", made_THWC, FPS, lossless=True)
        lines.append({"video": f"{model}.mp4", "model": model, "reference": "true.mp4"})
    media.write_video(folder / "true.mp4", np.minimum(frames_THWC, 250), FPS, lossless=True)
    manifest = folder / "manifest.jsonl"
    lines = [{**line, "prompt": "A <b>grey</b> wall.", "group": "g"} for line in lines]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PFP_WEIGHTS_DIR", str(folder / "none"))
        settings = RunSettings(
            manifest=str(manifest), out=str(out), metrics=METRICS, judge="fake:always-yes"
        )
        run(prepare(settings), engine="local")
    return out


@pytest.fixture(scope="module")
def page(run_directory: Path) -> Page:
    """Its page."""
    write_report(run_directory)
    return Page((run_directory / "leaderboard.html").read_text())


@pytest.fixture
def records(run_directory: Path) -> tuple[EvalSample, list[ScoreRecord]]:
    """One of its videos, and the scores of that."""
    _, generations, scores = load_run(run_directory)
    record = next(record for record in generations if record.method == "near")
    return record, [score for score in scores if score.sample_id == record.sample_id]


def test_the_strip_shows_the_middles_of_equal_parts(
    run_directory: Path, records: tuple[EvalSample, list[ScoreRecord]]
) -> None:
    """Eight frames of 24 are numbers 1, 4, 7, ...; each knows its second."""
    record, scores = records

    seen = SampleVideo(run_directory, record, scores).detail()

    assert seen is not None
    assert 3.0 == seen.duration_seconds
    assert [(i + 0.5) / FPS for i in range(1, 24, 3)] == [seconds for seconds, _ in seen.strip]
    greys = [int(frame.mean().round()) for _, frame in seen.strip]
    assert pytest.approx([10 * i + 1 for i in range(1, 24, 3)], abs=3) == greys


def test_one_pass_gets_all_frames(
    run_directory: Path,
    records: tuple[EvalSample, list[ScoreRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The strip, the faces and the frame beside them are of one decode."""
    record, scores = records
    evidence = {"faces": [{"frame": 9, "box": [10, 10, 30, 40], "cosine": 0.1}]}
    whole = Protocol().fingerprint
    scores = [replace(scores[0], evidence=json.dumps(evidence), protocol=whole), *scores[1:]]
    passes: list[str] = []
    iter_stored = media.iter_stored

    def counted(place: str, **options: Any) -> Any:
        passes.append(place)
        return iter_stored(place, **options)

    monkeypatch.setattr(media, "iter_stored", counted)
    video = SampleVideo(run_directory, record, scores, more_frames=[20])

    seen = video.detail()

    assert 1 == len(passes)
    assert video.frame(20) is not None
    assert isinstance(seen, SampleDetail)
    ((face, crop),) = seen.found[0].faces
    assert (9, (46, 30)) == (face.frame, crop.shape[:2])


def test_faces_are_cut_from_the_frames_that_their_metric_saw(
    run_directory: Path,
    records: tuple[EvalSample, list[ScoreRecord]],
    hostile_file: HostileFile,
) -> None:
    """VBench's protocols do not make pixels square by their sample aspect."""
    record, scores = records
    record = replace(record, video_uri=str(hostile_file("anamorphic.mp4")))
    evidence = json.dumps({"faces": [{"frame": 1, "box": [0, 0, 1000, 1000], "cosine": 0.1}]})
    vbench = Protocol(name="vbench").fingerprint
    pair = [
        replace(scores[0], evidence=evidence, protocol=protocol)
        for protocol in (Protocol().fingerprint, vbench)
    ]

    seen = SampleVideo(run_directory, record, pair).detail()

    assert seen is not None
    crops = [crop for found in seen.found for _, crop in found.faces]
    shown, coded = (
        media.extent_of(record.video_uri or "", reading=reading)  # type: ignore[arg-type]
        for reading in ("player", "reference")
    )
    assert shown.width != coded.width
    expected = [crop_shape(shown.width, shown.height), crop_shape(coded.width, coded.height)]
    assert expected == [crop.shape[:2] for crop in crops]


def crop_shape(width: int, height: int) -> tuple[int, ...]:
    """Of a whole frame, as small as faces are shown."""
    return shrunk(np.zeros((height, width, 3), np.uint8), FACE_SIDE).shape[:2]


def test_a_video_that_is_gone_has_no_detail(
    run_directory: Path, records: tuple[EvalSample, list[ScoreRecord]]
) -> None:
    """Scores outlive their videos; the page shows what it can."""
    record, scores = records

    video = SampleVideo(
        run_directory, replace(record, video_uri="gone.mp4"), scores, more_frames=[0]
    )

    assert video.detail() is None
    assert video.frame(0) is None


def test_the_first_face_and_the_least_alike_are_shown() -> None:
    """Of many faces the first and the three lowest cosines, in order of time."""
    cosines = [None, 0.9, 0.3, 0.8, 0.1, 0.7, 0.5]
    faces = [
        SeenFace(frame=i, seconds=i, box=(0, 0, 1, 1), cosine=cosine, state="plain")
        for i, cosine in enumerate(cosines)
    ]

    assert [0, 2, 4, 6] == [face.frame for face in telling(faces)]


def test_a_crop_stays_in_the_frame() -> None:
    """A box that sticks out on all sides is cut where the frame ends."""
    frame_HWC = np.zeros((10, 20, 3), np.uint8)
    face = SeenFace(frame=0, seconds=0, box=(-4, -4, 30, 30), cosine=None, state="plain")

    assert (10, 20, 3) == crop_of(frame_HWC, face).shape
    assert (5, 10, 3) == shrunk(frame_HWC, 10).shape


@pytest.mark.parametrize(
    ("length", "count", "expected"),
    [(24, 4, [3, 9, 15, 21]), (3, 8, [0, 1, 2]), (1, 8, [0]), (0, 8, [])],
)
def test_middles(length: int, count: int, expected: list[int]) -> None:
    """Short videos show each frame once."""
    assert expected == middles(length, count)


def test_frames_before_damage_are_shown(tmp_path: Path) -> None:
    """Half a file has its first frames and not its last."""
    frames_THWC = np.random.default_rng(0).integers(0, 255, (24, 64, 96, 3), dtype=np.uint8)
    media.write_video(tmp_path / "whole.mkv", frames_THWC, FPS, lossless=True)
    whole = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])

    found = frames_at(str(tmp_path / "half.mkv"), [0, 23])

    assert [0] == list(found)


def test_each_metric_says_what_it_saw(page: Page) -> None:
    """Windows that a judge found broken are drawn, their answers are quoted, values are named."""
    words = " ".join(page.words)

    assert 2 * 8 == sum("at 0.2 s" in (i["alt"] or "") for i in page.all("img")) * 8
    assert "broken instance, 0 to 2 s" in words
    assert "2 answers, 2 against the video" in words
    bad = [rect for rect in page.all("rect") if rect.get("class") == "bad"]
    assert 2 * (2 + 1 + 1) == len(bad)  # all windows by fraction; the others stop at the first
    assert {"1", "12"} == {rect["y"] for rect in bad}  # windows overlap, so they have two lanes


def test_what_nobody_measured_is_not_repeated_for_each_video(page: Page) -> None:
    """Clarity lacks its weights: that is said under the table, and not in every fold."""
    assert 1 == " ".join(page.words).count("weights missing")


def test_prompts_are_shown_and_are_text(page: Page) -> None:
    """What looks like markup in a prompt is words."""
    assert "A <b>grey</b> wall." in page.words


def test_metrics_stand_in_families(page: Page) -> None:
    """Two families make two tables of results, and two sets of drawings."""
    tables = [table for table in page.all("table") if table.get("class") == "results"]

    assert ["results-reconstruction", "results-consistency"] == [
        table["aria-labelledby"] for table in tables
    ]
    assert 1 == sum("aria-sort" in head for head in page.all("th"))


def test_what_mending_changes_is_told(page: Page) -> None:
    """Both forms of the instance metric are there, so their difference is."""
    words = " ".join(page.words)

    assert "With the references' faults mended" in words


def test_failures_are_told_where_they_happened(run_directory: Path) -> None:
    """A score that failed says so with its reason, in the fold of its video."""
    board, generations, scores = load_run(run_directory)
    failed = [
        replace(
            score,
            value=None,
            evidence=None,
            unscored_reason="PermanentError: it broke; mend it",
            verdict=Failed(error="PermanentError", message="it broke; mend it", retryable=False),
        )
        if score.metric.startswith("psnr@")
        else score
        for score in scores
    ]
    (item,) = retrievals(
        run_directory,
        generations,
        failed,
        methods=[method.name for method in board.methods],
        max_clips=1,
    )
    cards = {card.metric_id: card for card in board.metrics}

    text = "".join(sample_details(item.shown, cards, "g"))

    assert "failed: PermanentError: it broke; mend it" in text
