"""VBench's rules for motion, against its published values and against plain statements of them."""

from __future__ import annotations

import numpy as np
import pytest

from pfp.eval.metrics import dynamic_degree


@pytest.mark.parametrize(
    ("fps", "interval", "sampled_fps"),
    [
        (24, 3, 8.0),
        (25, 3, 8.333),
        (30, 4, 7.5),
        (16, 2, 8.0),
        (12, 2, 6.0),
        (20, 2, 10.0),
        (28, 4, 7.0),
        (60, 8, 7.5),
        (23.976, 3, 7.992),
        (8, 1, 8.0),
        (2, 1, 2.0),
        (0, 1, 0.0),
    ],
)
def test_about_eight_frames_a_second_are_taken(
    fps: float, interval: int, sampled_fps: float
) -> None:
    """Halves are rounded to the even number, and an unknown rate takes every frame."""
    assert interval == dynamic_degree.sampling_interval(fps)
    assert sampled_fps == pytest.approx(fps / dynamic_degree.sampling_interval(fps), abs=1e-3)


def test_the_count_table_is_the_reference_s() -> None:
    """How many pairs must move, for each number of sampled frames up to 20 and some beyond."""
    table = {1: 0, 2: 0}
    table |= dict.fromkeys(range(3, 6), 1) | dict.fromkeys(range(6, 11), 2)
    table |= dict.fromkeys(range(11, 14), 3) | dict.fromkeys(range(14, 19), 4)
    table |= {19: 5, 20: 5, 26: 6, 27: 7, 160: 40}

    assert table == {num: dynamic_degree.num_needed(num) for num in table}


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(480, 832, 11.25), (832, 480, 11.25), (720, 1280, 16.875), (256, 256, 6.0)],
)
def test_the_threshold_grows_with_the_shorter_side(
    height: int, width: int, expected: float
) -> None:
    """6 px at 256."""
    assert expected == dynamic_degree.threshold_px(height, width)


def test_the_longest_five_percent_are_averaged() -> None:
    """Against a full sort in float64, for a size of which 5 % is no whole number."""
    flow = np.random.default_rng(0).normal(0, 5, (2, 37, 53)).astype(np.float32)
    length = np.hypot(flow[0].astype(np.float64), flow[1].astype(np.float64)).ravel()
    num_top = 98  # 5 % of 1961 vectors, rounded down
    expected = sorted(length, reverse=True)[:num_top]

    assert np.mean(expected) == pytest.approx(dynamic_degree.top_mean_px(flow), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_reference_s_sum_bit_for_bit(seed: int) -> None:
    """In float32, summed from the longest on: a threshold may lie one rounding away."""
    flow = np.random.default_rng(seed).normal(0, 9, (2, 128, 224)).astype(np.float32)
    length = np.sqrt(flow[0] ** 2 + flow[1] ** 2).flatten()
    expected = np.mean(abs(np.sort(-length))[: int(128 * 224 * 0.05)]).item()

    assert expected == dynamic_degree.top_mean_px(flow)


@pytest.mark.parametrize(("area_share", "expected"), [(0.20, 13.0), (0.05, 13.0), (0.025, 6.5)])
def test_a_moving_square_counts_by_its_area(area_share: float, expected: float) -> None:
    """A square that moves by (5, -12) px counts in full from 5 % of the frame on, else in part."""
    flow = np.zeros((2, 200, 200), np.float32)
    side = round((200 * 200 * area_share) ** 0.5)
    square = np.zeros((200, 200), bool)
    square[10 : 10 + side, 20 : 20 + side] = True
    flow[0, square], flow[1, square] = 5.0, -12.0

    assert expected == pytest.approx(dynamic_degree.top_mean_px(flow), rel=0.03)


def test_a_flow_without_five_percent_is_refused() -> None:
    """Of 19 vectors 5 % are none, and the mean of none is no number."""
    with pytest.raises(ValueError, match="19 vectors"):
        dynamic_degree.top_mean_px(np.ones((2, 1, 19), np.float32))


@pytest.mark.parametrize(
    ("magnitudes", "needed", "expected"),
    [
        ([7.0, 0.0, 7.0, 0.0], 2, True),
        ([7.0, 0.0, 6.0, 0.0], 2, False),  # the threshold itself is not above it
        ([0.0], 0, True),  # two samples of a still image
        ([], 0, False),  # one sample
    ],
)
def test_enough_pairs_must_exceed_the_threshold(
    magnitudes: list[float], needed: int, *, expected: bool
) -> None:
    """The count is asked after each pair: with none needed any pair will do, but none at all."""
    assert expected is dynamic_degree.is_moving(magnitudes, threshold=6.0, needed=needed)


@pytest.mark.parametrize(
    ("fps", "expected"), [(24, 1.0), (16, 1.0), (12, 4 / 3), (20, 0.8), (30, 16 / 15), (4, 2.0)]
)
def test_samples_lie_farther_apart_than_the_reference_thinks(fps: float, expected: float) -> None:
    """Time between samples in eighths of a second."""
    interval = dynamic_degree.sampling_interval(fps)

    assert expected == pytest.approx(dynamic_degree.intervals_of_reference(interval, fps))


def test_the_same_speed_has_one_magnitude() -> None:
    """A point that crosses the frame's shorter side in 2 s, at three sizes and frame rates."""
    speeds = set()
    for side, fps in ((256, 24.0), (480, 12.0), (720, 30.0)):
        interval = dynamic_degree.sampling_interval(fps)
        px = side / 2.0 * interval / fps
        intervals = dynamic_degree.intervals_of_reference(interval, fps)
        speed = dynamic_degree.normalised_px(px, height=side, width=2 * side, intervals=intervals)
        speeds.add(round(speed, 9))

    assert {16.0} == speeds
