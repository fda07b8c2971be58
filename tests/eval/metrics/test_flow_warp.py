"""Warping error through RAFT with weights made by hand, on scenes whose motion is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pfp.errors import WeightsError
from pfp.eval.metrics.flow_warp import FlowWarp
from pfp.io.weights import Lock
from pfp.measures import flow
from tests.eval.metrics.raft_by_hand import constant_flow, lock_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights, for one update of the flow."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(flow, "NUM_UPDATES", 1)
    return tmp_path


@pytest.fixture
def still(folder: Path) -> Lock:
    """Weights that see no motion anywhere."""
    return lock_of(constant_flow(0, 0), folder)


def noisy(num_frames: int, height: int = 128, width: int = 136) -> np.ndarray:
    """An image, and noise that is new in each frame."""
    rng = np.random.default_rng(0)
    scene = rng.integers(40, 200, (1, height // 8 + 1, width // 8 + 1, 3))
    scene = scene.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    noise = rng.integers(-20, 21, (num_frames, height, width, 3))
    return (scene + noise).astype(np.uint8)


@pytest.mark.parametrize("size", [(128, 136), (60, 45)])
def test_without_motion_it_is_the_squared_difference(still: Lock, size: tuple[int, int]) -> None:
    """Mean over pairs of the mean squared difference of RGB in [0, 1]; small frames as well."""
    video = noisy(3, *size)
    steps = np.diff(video.astype(np.float64), axis=0) / 255
    expected = np.square(steps).mean(axis=(1, 2, 3))

    result = FlowWarp(lock=still).measure(video)

    assert list(expected) == pytest.approx(result.evidence["per_pair"], rel=1e-5)
    assert expected.mean() == pytest.approx(result.value, rel=1e-5)
    assert [1.0, 1.0] == result.evidence["visible_share"]
    assert (3, 2) == (result.num_frames, result.evidence["num_judged"])


def test_a_still_image_has_no_error(still: Lock) -> None:
    """The same frame again is perfectly consistent, which is why dynamics stands beside it."""
    result = FlowWarp(lock=still).measure(noisy(1).repeat(2, 0))

    assert 0.0 == pytest.approx(result.value, abs=1e-12)


def test_motion_that_the_flow_explains_is_no_error(
    still: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that pans by 4 px a frame: the next frame is looked up where the flow leads."""
    wide = noisy(1, 128, 200)[0]
    video = np.stack([wide[:, i * 4 : i * 4 + 136] for i in range(3)])

    def true_flows(network: object, frames_THWC: np.ndarray) -> tuple[Tensor, Tensor]:
        del network
        there = torch.zeros(len(frames_THWC) - 1, 2, 128, 136)
        there[:, 0] = -4.0  # what is at x comes to lie 4 px to the left
        return there, -there

    blind = FlowWarp(lock=still).measure(video)
    monkeypatch.setattr(flow, "flows_both_ways", true_flows)
    result = FlowWarp(lock=still).measure(video)

    assert 0.0 == pytest.approx(result.value, abs=1e-10)
    assert [132 / 136] * 2 == pytest.approx(result.evidence["visible_share"])
    assert blind.value is not None
    assert blind.value > 0.005


def test_a_cut_is_not_compared(still: Lock) -> None:
    """The pair across a cut has an error in the evidence, but it is not in the mean."""
    scene = noisy(2)
    video = np.concatenate([scene, 255 - scene[:, :, ::-1]])
    expected = FlowWarp(lock=still).measure(scene).value

    result = FlowWarp(lock=still).measure(video)

    assert [1] == result.evidence["cut_pairs"]
    assert expected == pytest.approx(result.value, rel=1e-6)
    assert result.evidence["per_pair"][1] > 5 * expected
    assert 2 == result.evidence["num_judged"]


def test_flows_that_contradict_each_other_leave_nothing_to_judge(folder: Path) -> None:
    """Four pixels to the right there and four to the right back: no pixel returns."""
    result = FlowWarp(lock=lock_of(constant_flow(4, 0), folder)).measure(noisy(2))

    assert (None, "too_little_visible") == (result.value, result.unscored_reason)
    assert [None] == result.evidence["per_pair"]
    assert 0.0 == result.evidence["mean_visible_share"]


@pytest.mark.parametrize(("rows", "expected"), [(12, None), (14, 0.0)])
def test_a_pair_of_which_little_is_visible_is_not_judged(
    still: Lock, monkeypatch: pytest.MonkeyPatch, rows: int, expected: float | None
) -> None:
    """A tenth of the frame must be seen in both: 12.8 of 128 rows."""

    def partly(network: object, frames_THWC: np.ndarray) -> tuple[Tensor, Tensor]:
        del network
        there = torch.zeros(len(frames_THWC) - 1, 2, 128, 136)
        back = torch.zeros_like(there)
        back[:, :, rows:] = 9.0
        return there, back

    monkeypatch.setattr(flow, "flows_both_ways", partly)
    result = FlowWarp(lock=still).measure(noisy(1).repeat(2, 0))

    assert rows / 128 == pytest.approx(result.evidence["visible_share"][0])
    assert (expected is None) is (result.unscored_reason == "too_little_visible")
    if expected is not None:
        assert expected == pytest.approx(result.value, abs=1e-12)


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        (noisy(1), "single_frame"),
        (np.concatenate([noisy(1), 255 - noisy(1)]), "no_pair_within_a_shot"),
    ],
    ids=["an image", "a cut"],
)
def test_without_a_pair_it_says_why(still: Lock, video: np.ndarray, reason: str) -> None:
    """A single frame has no successor, and two frames of two scenes are not one scene."""
    result = FlowWarp(lock=still).measure(video)

    assert (None, reason) == (result.value, result.unscored_reason)
    assert result.evidence["mean_visible_share"] is None


def test_the_size_of_a_pass_changes_nothing(still: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are handed to the network in passes that overlap by one frame."""
    video = noisy(4)
    expected = FlowWarp(lock=still).measure(video)
    monkeypatch.setattr(flow, "pairs_per_pass", lambda *_: 2)

    assert expected == FlowWarp(lock=still).measure(video)


def test_without_weights_it_says_how_to_get_them(folder: Path) -> None:
    """Missing weights are an error with the command that brings them, never another number."""
    assert not list(folder.iterdir())

    with pytest.raises(WeightsError, match="`pfp weights fetch raft-large-c-t-v1`"):
        FlowWarp().measure(noisy(2))
