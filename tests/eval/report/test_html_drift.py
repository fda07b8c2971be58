"""Curves over time on the page: which metrics have one, and that the lines are the values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pfp.eval.leaderboard.leaderboard import Leaderboard
from pfp.eval.measure.score import ScoreSettings, run_score
from pfp.eval.report import load_run
from pfp.eval.report.html_drift import drift_curves, drift_section
from pfp.schema import EvalSample, ScoreRecord

Loaded = tuple[Leaderboard, list[EvalSample], list[ScoreRecord]]


@pytest.fixture(scope="module")
def loaded(make_run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A scored run of two short clips: its leaderboard, samples and scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PFP_WEIGHTS_DIR", str(tmp_path_factory.mktemp("no-weights")))
        run = make_run(num_clips=2)
        run_score(str(run.directory), ScoreSettings(metrics=("psnr",)), engine="local")
    return load_run(run.directory)


def as_if_long(scores: list[ScoreRecord]) -> list[ScoreRecord]:
    """The scores as if of ten seconds in which PSNR falls by a decibel a second from 40 dB."""
    falling = [40 - second for second in range(10) for _ in range(2)]
    evidence = json.dumps({"per_frame": falling, "fps": 2.0})
    return [replace(score, evidence=evidence) for score in scores]


def test_short_videos_have_no_curve(loaded: Loaded) -> None:
    """Of videos under three seconds nothing is drawn."""
    board, made, scores = loaded

    assert drift_curves(board, made, scores) == {}
    assert drift_section(board, {}) is None


def test_the_curve_is_the_mean_of_each_second(loaded: Loaded) -> None:
    """Ten bins of a second, from 40 dB down to 31, for every method and for nothing else."""
    board, made, scores = loaded
    (by_method,) = drift_curves(board, made, as_if_long(scores)).values()

    assert {method.name for method in board.methods_of("ranked")} == by_method.keys()
    for found in by_method.values():
        means = [each.summary.mean for each in found.bins]
        assert [40.0 - second for second in range(10)] == pytest.approx(means)


def test_what_is_measured_in_clips_has_a_curve_of_clips(loaded: Loaded) -> None:
    """Any metric of 2 s clips is drawn at their middles; a clip without a value leaves a gap."""
    board, made, scores = loaded
    clips = [
        {"start_frame": 4 * n, "end_frame": 4 * n + 4, "value": None if n == 1 else 1.0 - n / 10}
        for n in range(4)
    ]
    evidence = json.dumps({"fps": 2.0, "clips": clips})

    (by_method,) = drift_curves(
        board, made, [replace(score, evidence=evidence) for score in scores]
    ).values()

    for found in by_method.values():
        means = [each.summary.mean for each in found.bins]
        assert [None, 1.0, None, None, None, 0.8, None, 0.7] == pytest.approx(means)


def test_the_drawing_says_the_fall_in_words_and_lines(loaded: Loaded) -> None:
    """Each method's line falls evenly from left to right, and its change is told with the unit."""
    board, made, scores = loaded
    drawn = str(drift_section(board, drift_curves(board, made, as_if_long(scores))))
    slope = np.polyfit(np.arange(20) / 2, [40 - s for s in range(10) for _ in range(2)], 1)[0]

    shown = f"\N{MINUS SIGN}{abs(slope) * 10:.2f} dB in 10 s"
    assert len(board.methods_of("ranked")) == drawn.count(shown)
    lines = re.findall(r'<path d="M([^"Z]+)" class="line"', drawn)
    heights = [float(point.split(",")[1]) for point in lines[0].split(" L")]
    steps = np.diff(heights)
    assert len(heights) == 10
    assert steps == pytest.approx([steps[0]] * 9, abs=0.11)
    assert steps[0] > 0  # downwards on the page
