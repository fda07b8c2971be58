"""Dynamics through RAFT with weights that move a grey frame by a tenth of its code value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics import Frame, Metric, MetricValue, OpenedSample, dynamic_degree, resolve
from pfp.eval.metrics.dynamics import (
    MIN_SIDE,
    Dynamics,
    DynamicsFixed,
    DynamicsMagnitude,
    DynamicsWithinShots,
)
from pfp.io.weights import Lock
from pfp.measures import flow
from tests.eval.metrics.raft_by_hand import grey_to_flow, lock_of

THRESHOLD_PX = 3.0  # of frames whose shorter side is 128 px


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """Weights made by hand, for one update of the flow."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(flow, "NUM_UPDATES", 1)
    return lock_of(grey_to_flow(), tmp_path)


def greys(*code_values: int, height: int = 128, width: int = 136, repeat: int = 1) -> np.ndarray:
    """Frames of one grey each, ``repeat`` of each."""
    column = np.array(code_values, np.uint8).repeat(repeat)[:, None, None, None]
    return np.broadcast_to(column, (len(column), height, width, 3)).copy()


def together(metrics: Sequence[Metric], video: np.ndarray, fps: float) -> list[MetricValue]:
    """What several metrics say when they see the same frames, as in a run."""
    num_frames, height, width = video.shape[:3]
    sample = OpenedSample(num_frames=num_frames, fps=fps, height=height, width=width)
    measurements = [metric.begin(sample) for metric in metrics]
    for index in metrics[0].frames_of(sample) or ():
        frame = Frame(index, video[index])
        for measurement in measurements:
            measurement.see(frame)
    return [measurement.finish() for measurement in measurements]


def test_magnitudes_follow_the_rules(lock: Lock) -> None:
    """At 24 fps every third frame counts; two of five pairs above 3 px are a quarter of six."""
    video = greys(40, 10, 20, 31, 29, 0, repeat=3)

    result = Dynamics(lock=lock).measure(video, fps=24.0)

    assert 1.0 == result.value
    assert 6 == result.num_frames
    assert [4.0, 1.0, 2.0, 3.1, 2.9] == pytest.approx(result.evidence["per_pair_px"], rel=1e-3)
    assert 2.6 == pytest.approx(result.evidence["mean_px"], rel=1e-3)
    assert THRESHOLD_PX == result.evidence["threshold_px"]
    counts = [result.evidence[name] for name in ("num_needed", "num_above", "num_asked")]
    assert [2, 2, 5] == counts
    assert 3 == result.evidence["interval_frames"]


def test_one_moving_pair_of_five_is_not_enough(lock: Lock) -> None:
    """A quarter of six samples, halves to the even number, is two; in all three forms."""
    video = greys(29, 29, 29, 31, 29, 29)
    metrics = [Dynamics(lock=lock), DynamicsFixed(lock=lock), DynamicsWithinShots(lock=lock)]

    results = together(metrics, video, 8.0)

    assert [0.0] * 3 == [result.value for result in results]
    assert [1] * 3 == [result.evidence["num_above"] for result in results]


@pytest.mark.parametrize("kind", [Dynamics, DynamicsFixed, DynamicsWithinShots])
@pytest.mark.parametrize("code_values", [(40, 10, 20, 31, 29, 0), (0, 255, 0, 10), (7,)])
def test_stored_magnitudes_meet_another_threshold_as_a_new_measurement_does(
    lock: Lock, monkeypatch: pytest.MonkeyPatch, kind: type[Metric], code_values: tuple[int, ...]
) -> None:
    """What was stored as JSON is enough to score a video again, with the same evidence."""
    video = greys(*code_values, width=132)  # padded by four columns
    stored = json.loads(json.dumps(kind(lock=lock).measure(video, fps=12.0).evidence))
    for threshold in (2.0, 20.0):
        monkeypatch.setattr(dynamic_degree, "THRESHOLD_PX", threshold)
        assert kind(lock=lock).measure(video, fps=12.0) == kind.rescore(stored, 0)


def test_the_reference_sees_motion_in_any_two_frames(lock: Lock) -> None:
    """A still clip of two samples moves for VBench, and does not once that is mended."""
    still = greys(0, 0)

    assert 1.0 == Dynamics(lock=lock).measure(still, fps=8.0).value
    assert 0.0 == DynamicsFixed(lock=lock).measure(still, fps=8.0).value
    assert 1.0 == DynamicsFixed(lock=lock).measure(greys(31, 0), fps=8.0).value


def test_a_single_frame_never_moves_or_is_unscored(lock: Lock) -> None:
    """VBench says no; without a pair there is nothing to say."""
    image = greys(255)

    assert 0.0 == Dynamics(lock=lock).measure(image).value
    for metric in (DynamicsFixed, DynamicsMagnitude, DynamicsWithinShots):
        result = metric(lock=lock).measure(image)
        assert (None, "single_frame") == (result.value, result.unscored_reason)
        assert [] == result.evidence["per_pair_px"]


@pytest.mark.parametrize(
    ("fps", "code_value", "vbench", "fixed"),
    [
        (12.0, 35, 1.0, 0.0),  # 3.5 px in 1/6 s are 2.6 px in 1/8 s
        (12.0, 41, 1.0, 1.0),
        (20.0, 27, 0.0, 1.0),  # 2.7 px in 1/10 s are 3.4 px in 1/8 s
        (24.0, 29, 0.0, 0.0),
        (24.0, 31, 1.0, 1.0),
    ],
)
def test_the_threshold_is_mended_to_one_of_speed(
    lock: Lock, fps: float, code_value: int, vbench: float, fixed: float
) -> None:
    """VBench compares whatever lies between two samples with the same 3 px."""
    video = greys(code_value, code_value, code_value, repeat=round(fps / 8))

    results = together([Dynamics(lock=lock), DynamicsFixed(lock=lock)], video, fps)

    assert [vbench, fixed] == [result.value for result in results]


def test_only_the_reference_counts_the_padding(lock: Lock) -> None:
    """A bright edge that the padding repeats is a larger part of the padded frame."""
    video = greys(0, 0, height=130, width=330)
    video[:, :, :1] = 255

    vbench, fixed = together([Dynamics(lock=lock), DynamicsFixed(lock=lock)], video, 8.0)

    assert vbench.evidence["mean_px"] > 1.1 * fixed.evidence["mean_px"] > 1.0


def test_small_frames_are_only_refused_by_the_reference(lock: Lock) -> None:
    """RAFT needs 128 pixels; the mended form pads, and its threshold is the small frame's."""
    video = greys(20, 20, 0, height=48, width=80)

    with pytest.raises(PermanentError, match="at least 128x128 pixels, not 80x48"):
        Dynamics(lock=lock).measure(video, fps=8.0)
    result = DynamicsFixed(lock=lock).measure(video, fps=8.0)

    assert 1.0 == result.value
    assert 1.125 == result.evidence["threshold_px"]
    assert [2.0, 2.0] == pytest.approx(result.evidence["per_pair_px"], rel=1e-3)
    assert MIN_SIDE == flow.MIN_SIDE


def test_pairs_across_a_cut_can_be_left_out(lock: Lock) -> None:
    """A flash of motion at a cut counts for the paper, and not within shots."""
    video = greys(29, 32, 0, 0)  # 3.2 px from the second frame to the third, where the cut is

    metrics = [DynamicsFixed(lock=lock), DynamicsWithinShots(lock=lock)]
    paper, within = together(metrics, video, 8.0)

    assert [1] == paper.evidence["cut_pairs"] == within.evidence["cut_pairs"]
    assert (1.0, 0.0) == (paper.value, within.value)
    assert (3, 2) == (paper.evidence["num_asked"], within.evidence["num_asked"])


def test_a_video_of_cuts_only_has_no_pair_within_a_shot(lock: Lock) -> None:
    """Two frames of two scenes say nothing about either."""
    result = DynamicsWithinShots(lock=lock).measure(greys(0, 200), fps=8.0)

    assert (None, "no_pair_within_a_shot") == (result.value, result.unscored_reason)


@pytest.mark.parametrize(("fps", "expected"), [(8.0, 5.0), (12.0, 3.75), (24.0, 5.0)])
def test_the_magnitude_is_a_speed_in_frames_of_256_pixels(
    lock: Lock, fps: float, expected: float
) -> None:
    """2 and 3 px between samples of a frame of 128 px are 4 and 6 px of one of 256 px."""
    video = greys(20, 30, 0, repeat=max(1, round(fps / 8)))

    result = DynamicsMagnitude(lock=lock).measure(video, fps=fps)

    assert expected == pytest.approx(result.value, rel=1e-3)
    assert 3 == result.num_frames


def test_the_size_of_a_pass_changes_nothing(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are handed to the network in passes that overlap by one frame."""
    video = greys(10, 20, 30, 40)
    expected = DynamicsMagnitude(lock=lock).measure(video, fps=8.0)
    monkeypatch.setattr(flow, "pairs_per_pass", lambda *_: 2)

    assert expected == DynamicsMagnitude(lock=lock).measure(video, fps=8.0)


def test_all_forms_share_one_flow(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics that see the same frames ask the network once for each pair."""
    video = greys(10, 40, 30, 40)
    passes = []
    true_flows = flow.padded_flows
    monkeypatch.setattr(flow, "pairs_per_pass", lambda *_: 2)
    monkeypatch.setattr(
        flow, "padded_flows", lambda net, clip: passes.append(len(clip)) or true_flows(net, clip)
    )
    metrics = [resolve(f"dynamics{form}")(lock=lock) for form in ("", ".fixed", ".magnitude")]
    vbench, fixed, magnitude = together(metrics, video, 8.0)

    assert [3, 2] == passes
    assert fixed == metrics[1].measure(video, fps=8.0)
    assert [1.0, 4.0, 3.0] == pytest.approx(vbench.evidence["per_pair_px"], rel=1e-3)
    assert 16 / 3 == pytest.approx(magnitude.value, rel=1e-3)


@pytest.mark.parametrize("fps", [0.0, float("inf")])
def test_an_unknown_rate_has_no_speed(lock: Lock, fps: float) -> None:
    """Where the time between frames is unknown, only VBench's rule has an answer."""
    video = greys(31, 31, 31)

    with pytest.raises(PermanentError, match="give the video's true rate"):
        DynamicsFixed(lock=lock).measure(video, fps=fps)
    if fps == 0.0:
        assert 1 == Dynamics(lock=lock).measure(video, fps=fps).evidence["interval_frames"]


def test_a_frame_without_five_percent_is_refused(lock: Lock) -> None:
    """Of 16 pixels 5 % are none."""
    with pytest.raises(PermanentError, match="frames of 4x4 pixels"):
        DynamicsMagnitude(lock=lock).measure(greys(0, 0, height=4, width=4))


def test_without_weights_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing weights are an error with the command that brings them, never another number."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))

    with pytest.raises(WeightsError, match="`pfp weights fetch raft-large-c-t-v1`"):
        Dynamics().measure(greys(1, 2))
