"""Folders of images and animations, from a manifest to scores."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.eval.run import RunSettings, prepare, run
from pfp.eval.scores.runs import read_run
from pfp.io import media
from pfp.runtime import StageReport
from pfp.schema import Failed, ScoreRecord

HEIGHT, WIDTH = 48, 80


def frames_of(seed: int, num_frames: int = 3) -> np.ndarray:
    """Random images."""
    rng = np.random.default_rng(seed)
    return rng.integers(40, 200, (num_frames, HEIGHT, WIDTH, 3), dtype=np.uint8)


def write_folder(folder: Path, frames: np.ndarray, name: str = "frame{}.png") -> str:
    """One image a frame."""
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(index + 8))
    return folder.name


def score(folder: Path, lines: list[Any], out: str = "run", metrics: str = "psnr") -> StageReport:
    """Measure the samples of these lines."""
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = RunSettings(
        manifest=str(manifest), out=str(folder / out), metrics=tuple(metrics.split(","))
    )
    return run(prepare(settings), engine="local")


def scores_of(directory: Path) -> dict[str, ScoreRecord]:
    """Scores by sample."""
    return {record.sample_id: record for record in read_run(str(directory)).scores}


def test_a_folder_scores_as_the_video_of_its_frames(tmp_path: Path) -> None:
    """Frames 8 to 12 in a folder and in a lossless file are the same video, and so are mixtures."""
    true, made = frames_of(0, 5), frames_of(0, 5) + np.uint8(3)
    media.write_video(tmp_path / "made.mp4", made, 24, lossless=True)
    media.write_video(tmp_path / "true.mp4", true, 24, lossless=True)
    write_folder(tmp_path / "made", made)
    write_folder(tmp_path / "true", true)
    names = [("made.mp4", "true.mp4"), ("made", "true"), ("made", "true.mp4"), ("made.mp4", "true")]
    lines = [{"video": video, "reference": true} for video, true in names]
    for number, line in enumerate(lines):
        line["sample_id"] = str(number)

    assert score(tmp_path, lines).kept == 4
    found = scores_of(tmp_path / "run")
    assert len({(found[key].value, found[key].evidence) for key in found}) == 1
    assert found["1"].num_frames == 5


def test_names_do_not_count_but_contents_order_and_rate_do(tmp_path: Path) -> None:
    """What is measured again is what would give another number."""
    frames = frames_of(1)
    write_folder(tmp_path / "v", frames)
    write_folder(tmp_path / "true", frames + np.uint8(2))
    line: dict[str, Any] = {"video": "v", "reference": "true"}
    score(tmp_path, [line])

    for name in ("frame10.png", "frame9.png", "frame8.png"):
        (tmp_path / "v" / name).rename(tmp_path / "v" / name.replace("frame", "image"))
    assert score(tmp_path, [line]).reused == 1
    assert score(tmp_path, [{**line, "fps": 24}]).reused == 1
    assert score(tmp_path, [{**line, "fps": 12}]).reused == 0
    (tmp_path / "v" / "image8.png").rename(tmp_path / "v" / "image11.png")
    assert score(tmp_path, [{**line, "fps": 12}]).reused == 0


def broken(folder: Path) -> str:
    """Half of an image is gone."""
    path = folder / "frame9.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return "frame9.png cannot be read as an image"


def other_size(folder: Path) -> str:
    """One image is smaller."""
    Image.new("RGB", (4, 4)).save(folder / "frame9.png")
    return "frame9.png has 4x4 pixels and"


def double(folder: Path) -> str:
    """A frame is there in two forms."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "frame9.jpg")
    return "which could be the same frame"


@pytest.mark.parametrize("spoil", [broken, other_size, double])
def test_a_bad_folder_costs_its_own_rows_and_no_others(tmp_path: Path, spoil: Any) -> None:
    """The run goes on, and the row says which image."""
    for name in ("good", "bad", "true"):
        write_folder(tmp_path / name, frames_of(2))
    lines = [  # as URIs: `validate` would speak of some of it already
        {"video": media.path_to_uri(tmp_path / name), "sample_id": name, "reference": "true"}
        for name in ("bad", "good")
    ]
    expected = spoil(tmp_path / "bad")
    report = score(tmp_path, lines)

    found = scores_of(tmp_path / "run")
    assert (report.kept, report.failed) == (1, 1)
    assert found["good"].value is not None
    assert isinstance(found["bad"].verdict, Failed)
    assert expected in found["bad"].verdict.message


def test_names_that_are_not_utf_8_are_scored(tmp_path: Path) -> None:
    """The folder's and its images'."""
    name = os.fsdecode(b"caf\xe9")
    write_folder(tmp_path / name, frames_of(3), name=name + "{}.png")
    write_folder(tmp_path / "true", frames_of(3))

    assert score(tmp_path, [{"video": name, "reference": "true"}]).kept == 1


def test_decord_says_that_it_reads_no_images(tmp_path: Path) -> None:
    """It would take a folder for a missing file."""
    pytest.importorskip("decord")
    write_folder(tmp_path / "v", frames_of(4))
    (tmp_path / "m.jsonl").write_text('{"video": "v", "reference": "v"}\n')
    settings = RunSettings(
        manifest=str(tmp_path / "m.jsonl"),
        out=str(tmp_path / "run"),
        metrics=("psnr",),
        protocol="vbench",
        decoder="decord",
    )
    run(prepare(settings), engine="local")

    verdict = scores_of(tmp_path / "run")["v"].verdict
    assert isinstance(verdict, Failed)
    assert "made of images, which decord does not read; use the decoder pyav" in verdict.message


def test_a_folder_of_a_gif_and_of_frames_is_a_manifest(tmp_path: Path) -> None:
    """A GIF's own durations are its rate, 24 that of frames; plan counts both."""
    from pfp.eval.plan import plan_run

    frames = [Image.fromarray(frame) for frame in frames_of(5, 4)]
    folder = tmp_path / "videos"
    write_folder(folder / "kite", frames_of(6, 12))
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    settings = RunSettings(
        manifest=str(folder),
        out=str(tmp_path / "run"),
        metrics=("instance.fraction",),
        judge="fake:always-yes",
    )
    prepared = prepare(settings)
    plan = plan_run(prepared)

    assert [sample.sample_id for sample in prepared.samples] == ["a.gif", "kite"]
    assert (plan.num_videos, plan.num_frames) == (2, 16)
    assert plan.seconds_of_video == pytest.approx(4 / 10 + 12 / 24)
