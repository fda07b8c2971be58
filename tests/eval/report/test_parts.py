"""The small parts of the report: spans, links, text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfp.eval.leaderboard.leaderboard import Comparison
from pfp.eval.leaderboard.methods import explanation_of, focus_of, role_of
from pfp.eval.metrics import resolve
from pfp.eval.report import text as report_text
from pfp.eval.report.samples import file_names, segments, spaced
from pfp.eval.stats.aggregate import Difference
from pfp.io import tables
from pfp.schema import KEPT, ClipRecord, EvalSample, Shot

PSNR, LPIPS = resolve("psnr").card, resolve("lpips_alex").card


def test_spaced_frames_hold_the_first_and_the_last() -> None:
    """Frames are taken in even steps; a short video gives what it has."""
    frames = np.arange(45, dtype=np.uint8)[:, None, None, None]

    assert [int(f[0, 0, 0]) for f in spaced(frames, 5)] == [0, 11, 22, 33, 44]
    assert len(spaced(frames[:2], 6)) == 2


def continuation(**changes: object) -> EvalSample:
    """A continuation of 10 frames from two prompts at 5 fps."""
    record = EvalSample(
        sample_id="s",
        task="continue",
        group="c",
        clip_id="c",
        memory_clip_id="c",
        method="proposed",
        model_id="tiny",
        checkpoint_sha256=None,
        seed=0,
        rate=None,
        shots=(
            Shot(start_seconds=0.0, end_seconds=1.0, caption="one"),
            Shot(start_seconds=1.0, end_seconds=2.0, caption="two"),
        ),
        fps=5.0,
        num_frames=10,
        verdict=KEPT,
    )
    return replace(record, **changes)


def test_segments_share_the_frames_between_the_prompts() -> None:
    """Spans are half-open, in seconds from the first generated frame, and cover all frames."""
    found = segments(np.zeros((10, 2, 2, 3), np.uint8), continuation())

    spans = [(s.prompt, s.start_seconds, s.end_seconds) for s in found]
    assert spans == [("one", 0.0, 1.0), ("two", 1.0, 2.0)]


def test_a_video_without_prompts_is_one_segment() -> None:
    """Frames are shown even when no prompt was kept; an unknown rate gives no times."""
    found = segments(np.zeros((10, 2, 2, 3), np.uint8), continuation(shots=(), fps=None))

    assert [(s.prompt, s.start_seconds) for s in found] == [("", None)]


def test_roles_and_the_focus() -> None:
    """The upper bound and the control are not ranked; proposed is what others are compared with."""
    methods = [
        "VAE reconstruction (upper bound)",
        "no_memory",
        "shuffled memory",
        "proposed 4x4x2",
        "only_lr",
    ]

    assert [role_of(method) for method in methods[:3]] == ["upper_bound", "ranked", "control"]
    assert focus_of(methods) == "proposed 4x4x2"
    assert focus_of(["no_memory", "VAE reconstruction (upper bound)"]) == "no_memory"
    assert focus_of(["VAE reconstruction (upper bound)"]) is None
    assert explanation_of("something else") == ""


@pytest.mark.parametrize(
    ("card", "mean", "p_holm", "expected"),
    [
        (PSNR, 0.2, 0.01, "better"),
        (PSNR, -0.2, 0.049, "worse"),
        (PSNR, 0.2, 0.05, "undecided"),
        (LPIPS, 0.2, 0.01, "worse"),
        (LPIPS, -0.2, 0.01, "better"),
        (PSNR, 0.2, None, "too few shared clips"),
        (LPIPS, None, None, "too few shared clips"),
    ],
)
def test_findings_know_which_way_is_better(
    card: object, mean: float | None, p_holm: float | None, expected: str
) -> None:
    """A difference that is surely positive is good for PSNR and bad for LPIPS; the adjusted p value
    decides, not the interval of the difference by itself.
    """
    difference = Difference(mean=mean, low=0.1, high=0.3, p_value=0.01, n=12)
    item = Comparison(metric_id="m", method="a", other="b", difference=difference, p_holm=p_holm)

    assert report_text.finding(item, card) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("p", "p_holm", "expected"),
    [(0.01, 0.06, "p 0.010, 0.060 by Holm"), (0.01, 0.01, "p 0.010"), (None, None, None)],
)
def test_the_p_value_that_decides_is_printed(
    p: float | None, p_holm: float | None, expected: str | None
) -> None:
    """Where several comparisons were made the adjusted value stands beside the other."""
    difference = Difference(mean=1.0, low=0.1, high=0.3, p_value=p, n=12)
    item = Comparison(metric_id="m", method="a", other="b", difference=difference, p_holm=p_holm)

    assert expected == report_text.p_values(item)


@pytest.mark.parametrize(
    ("value", "expected"), [(1.234, "+1.23"), (-0.004, "0.00"), (0.0, "0.00"), (-2.0, "-2.00")]
)
def test_differences_have_a_sign_unless_they_are_nothing(value: float, expected: str) -> None:
    """What rounds to zero is written without a sign."""
    assert report_text.signed(value, PSNR) == expected


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0005, "p < 0.001"), (0.05, "p 0.050"), (None, None)]
)
def test_small_p_values_are_bounds(p: float | None, expected: str | None) -> None:
    """No p value is written as 0."""
    assert report_text.p_value(p) == expected


def test_clips_are_called_by_the_file_names_that_the_run_knows(tmp_path: Path) -> None:
    """Only those asked for; a run without a clips table knows none, and that is no error."""
    uris = {"a": "/films/a walk.mp4", "b": "s3://films/b.mp4", "c": "/films/c.mp4"}
    places = [*((clip, uri, 0.0) for clip, uri in uris.items()), ("d", uris["c"], 62.5)]
    clips = [
        ClipRecord(
            clip_id=clip,
            video_uri=uri,
            video_sha256=None,
            size_bytes=1,
            start_seconds=start,
            verdict=KEPT,
        )
        for clip, uri, start in places
    ]
    tables.write_table(tmp_path / "clips", ClipRecord.table(clips), ClipRecord)

    assert {"a": "a walk.mp4", "b": "b.mp4"} == file_names(tmp_path, ["a", "b", "unknown"])
    assert {"c": "c.mp4 at 0 s", "d": "c.mp4 at 62.5 s"} == file_names(tmp_path, ["c", "d"])
    assert {} == file_names(tmp_path / "elsewhere", ["a"])
