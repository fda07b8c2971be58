"""The benchmarks of scoring run, at sizes that mean nothing; nothing here is timed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.eval import FIGURES, main
from benchmarks.eval_passes import METRICS
from benchmarks.eval_videos import repeat_video, write_waves
from benchmarks.eval_weights import LOCK, write_weights
from benchmarks.eval_worker import Job, measure
from benchmarks.eval_worker import main as work
from benchmarks.train_figure import Figure, Setting
from pfp.errors import WeightsError
from pfp.io.media import extent_of, read_video

TINY = Setting(device=torch.device("cpu"), tiny=True)


@pytest.fixture(scope="module")
def of_passes() -> list[Figure]:
    """What one pass saves, measured once for this file."""
    return FIGURES["one_pass_speedup"](TINY)


def test_a_pass_is_compared_with_and_without_networks(of_passes: list[Figure]) -> None:
    """Three ratios, all above zero."""
    kinds = ("", ".without_networks", ".networks_absent")
    assert [f"one_pass_speedup{kind}" for kind in kinds] == [figure.name for figure in of_passes]
    assert min(value for figure in of_passes for value in figure.values) > 0


def test_the_note_says_what_share_each_part_is(of_passes: list[Figure]) -> None:
    """Loading, decoding and networks are the whole of either side."""
    parts = re.findall(r"(loading|decoding|networks) ([\d.]+)%", of_passes[0].note)

    assert ["loading", "decoding", "networks"] * 2 == [name for name, _ in parts]
    for side in (parts[:3], parts[3:]):
        assert sum(float(share) for _, share in side) == pytest.approx(100, abs=0.2)


def test_without_networks_frames_are_still_decoded_and_prepared(of_passes: list[Figure]) -> None:
    """The last figure says so instead of networks, and its parts are the whole, too."""
    parts = re.findall(r"(loading|decoding|preparing frames) ([\d.]+)%", of_passes[-1].note)

    assert ["loading", "decoding", "preparing frames"] * 2 == [name for name, _ in parts]
    assert sum(float(share) for _, share in parts) == pytest.approx(200, abs=0.4)
    assert "loaded and left out" in of_passes[-1].note


@pytest.mark.parametrize("metric", METRICS)
def test_an_absent_network_is_loaded_and_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    """Every frame of the metric is seen, and no layer of its network at work on one."""
    write_waves(tmp_path / "video.mp4", 2, 128, 128, seed=0)
    write_weights(tmp_path / "weights", [metric], true_size=False)
    weights, video = str(tmp_path / "weights"), str(tmp_path / "video.mp4")
    asked: list[str] = []
    monkeypatch.setattr(torch.nn.Conv2d, "forward", lambda *_: asked.append("picture"))
    monkeypatch.setattr(torch.nn.Conv3d, "forward", lambda *_: asked.append("video"))

    measure(Job(metrics=(metric,), videos=(video,), weights=weights, absent=(metric,)))
    assert not asked
    with pytest.raises(ValueError, match="the networks of psnr cannot be left out"):
        measure(Job(metrics=(metric,), videos=(video,), weights=weights, absent=("psnr",)))


def test_memory_is_a_ratio_of_two_peaks() -> None:
    """In one process the second peak is no lower than the first."""
    figure, growth = FIGURES["peak_memory"](TINY)

    assert figure.values[0] >= 1
    assert figure.note.count(" GB") == growth.note.count(" GB") == 2
    assert growth.values[0] > 0


def test_the_command_prints_a_table_that_says_tiny(capsys: pytest.CaptureFixture[str]) -> None:
    """A header, then a row and a note for each figure asked for."""
    main(["--only", "resume_cost", "--tiny", "--device", "cpu"])

    header, row, *note = capsys.readouterr().out.splitlines()
    assert header.startswith("figure")
    assert row.startswith("resume_cost.tiny ")
    assert "1 videos of 2 frames" in note[0]


def test_a_worker_answers_with_what_it_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line is JSON with the seconds of decoding and of networks, and the memory held."""
    write_waves(tmp_path / "video.mp4", 2, 64, 96, seed=0)
    write_weights(tmp_path / "weights", ["semantic"], true_size=False)
    weights, video = str(tmp_path / "weights"), str(tmp_path / "video.mp4")

    work([json.dumps({"metrics": ["semantic"], "videos": [video], "weights": weights})])

    spent = json.loads(capsys.readouterr().out.splitlines()[-1])
    resident_bytes = spent.pop("resident_bytes")
    assert spent.keys() == {"decoding", "networks", "cpu_seconds", "peak_bytes"}
    assert min(spent.values()) > 0
    assert 8 == len(resident_bytes)  # as often as the metric saw one of its eight frames
    assert max(resident_bytes) <= spent["peak_bytes"]


def test_a_repeated_video_is_the_video_again_and_again(tmp_path: Path) -> None:
    """Three times five frames, each as it was, at the rate that it had."""
    write_waves(tmp_path / "once.mp4", 5, 64, 96, seed=0)
    repeat_video(tmp_path / "once.mp4", tmp_path / "thrice.mp4", 3)

    once, thrice = (read_video(tmp_path / f"{name}.mp4") for name in ("once", "thrice"))
    assert np.array_equal(np.concatenate([once] * 3), thrice)
    extent = extent_of(str(tmp_path / "thrice.mp4"))
    assert (extent.num_frames, extent.is_agreed, extent.fps) == (15, True, 24.0)


def test_a_metric_that_fails_stops_the_benchmark(tmp_path: Path) -> None:
    """What was not measured is not timed: weights that are not there are an error."""
    write_waves(tmp_path / "video.mp4", 2, 64, 96, seed=0)
    (tmp_path / LOCK).write_text('{"version": 1, "weights": []}', encoding="utf-8")
    job = Job(metrics=("semantic",), videos=(str(tmp_path / "video.mp4"),), weights=str(tmp_path))

    with pytest.raises(WeightsError, match="viclip"):
        measure(job)
