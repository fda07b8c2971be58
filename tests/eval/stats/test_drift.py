"""Drift curves and slopes, against NumPy's and SciPy's lines and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.eval.metrics.psnr import Psnr
from pfp.eval.stats.aggregate import Bootstrap, summarise
from pfp.eval.stats.drift import Track, drift, slope_of

QUICK = Bootstrap(num_draws=200)


def falling(cluster: str, *, start: float, slope: float, num_frames: int, fps: float) -> Track:
    """A metric that falls evenly."""
    values = [start + slope * i / fps for i in range(num_frames)]
    return Track.of_frames(cluster, values, fps=fps)


def test_bins_by_hand() -> None:
    """Frames fall into half-open bins; a video's bin is the mean of its frames there."""
    tracks = [
        Track.of_frames("a", [1.0, 3.0, 5.0, 7.0, 9.0], fps=2.0),  # 0, 0.5, 1, 1.5, 2 s
        Track.of_frames("b", [4.0, 4.0], fps=2.0),
    ]

    curve = drift(tracks, bin_seconds=1.0, bootstrap=QUICK)

    assert [(b.start_seconds, b.end_seconds) for b in curve.bins] == [(0, 1), (1, 2), (2, 3)]
    assert [b.summary.mean for b in curve.bins] == [3.0, 6.0, 9.0]
    assert [b.summary.n for b in curve.bins] == [2, 1, 1]
    assert [b.summary.coverage for b in curve.bins] == [1.0, 0.5, 0.5]
    assert curve.bins[1].summary.low is None  # one video has no spread
    assert curve.num_videos == 2


def test_intervals_are_those_of_the_table() -> None:
    """A bin's mean and interval are what ``summarise`` says of the videos' means there."""
    rng = np.random.default_rng(1)
    values = rng.normal(30, 3, (12, 24))
    tracks = [Track.of_frames(f"clip{i:02d}", list(v), fps=24.0) for i, v in enumerate(values)]
    expected = summarise(
        {f"clip{i:02d}": float(v[6:12].mean()) for i, v in enumerate(values)},
        num_expected=12,
        bootstrap=QUICK,
    )

    found = drift(tracks, bin_seconds=0.25, bootstrap=QUICK).bins[1].summary

    assert found.mean == pytest.approx(expected.mean)
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)


def test_the_slope_is_scipy_s() -> None:
    """One video's slope is that of SciPy's linear regression, at uneven times and with gaps."""
    rng = np.random.default_rng(2)
    values: list[float | None] = [float(v) for v in rng.normal(20, 2, 30)]
    values[4] = values[17] = None
    frames = sorted(rng.choice(300, 30, replace=False).tolist())
    known = [i for i, v in enumerate(values) if v is not None]
    expected = scipy.stats.linregress([frames[i] / 24 for i in known], [values[i] for i in known])

    track = Track.of_frames("a", values, fps=24.0, frames=frames)

    assert slope_of(track) == pytest.approx(expected.slope, rel=1e-9)


def test_the_slope_is_the_mean_over_clusters_of_videos_with_themselves() -> None:
    """Poor long videos beside good short ones bend the curve and leave the slope alone."""
    tracks = [
        falling("a", start=30, slope=-0.5, num_frames=48, fps=24.0),
        falling("a", start=20, slope=-0.5, num_frames=480, fps=24.0),
        falling("b", start=10, slope=-1.5, num_frames=480, fps=24.0),
    ]

    curve = drift(tracks, bin_seconds=2.0, bootstrap=QUICK)

    assert curve.slope_per_second.mean == pytest.approx(-1.0)
    assert (None, None) == (curve.slope_per_second.low, curve.slope_per_second.high)
    assert (curve.slope_per_second.n, curve.slope_per_second.num_expected) == (2, 2)
    first, second = curve.bins[0].summary.mean, curve.bins[1].summary.mean
    assert first is not None
    assert second is not None
    assert second - first < -3.0  # the good video has ended


def test_nulls_count_as_what_they_stand_for() -> None:
    """An identical frame's null is left out or counts as the cap, as the caller says."""
    true = np.zeros((3, 8, 8, 3), np.uint8)
    made = true.copy()
    made[2] = 255
    evidence = Psnr().measure(made, true).evidence

    without = Track.of_evidence("a", evidence, fps=1.0)
    capped = Track.of_evidence("a", evidence, fps=1.0, null_value=100.0)

    assert without.value_T.tolist() == [0.0]
    assert without.seconds_T.tolist() == [2.0]
    assert capped.value_T.tolist() == [100.0, 100.0, 0.0]
    assert slope_of(without) is None
    assert slope_of(capped) == pytest.approx(-50.0)


def test_evidence_that_starts_later_is_drawn_later() -> None:
    """A metric that sees a part of the video says where it starts and at which rate."""
    evidence = {"per_frame": [1.0, 2.0], "first_frame": 32, "fps": 16}

    assert Track.of_evidence("a", evidence, fps=24.0).seconds_T.tolist() == [2.0, 2.0625]


@pytest.mark.parametrize("fps", [24.0, 30.0, 23.976, 12.0])
def test_a_frame_on_an_edge_opens_the_next_bin(fps: float) -> None:
    """Each second of video has as many frames in its bin as its rate says."""
    num_frames = round(fps) * 10
    track = Track.of_frames("a", list(range(num_frames)), fps=round(fps))

    curve = drift([track, track], bin_seconds=0.1 * 10, bootstrap=QUICK)

    expected = [round(fps) * k + (round(fps) - 1) / 2 for k in range(10)]
    assert [b.summary.mean for b in curve.bins] == pytest.approx(expected)


@given(
    values=st.lists(st.floats(-100, 100), min_size=2, max_size=20),
    shift=st.floats(-50, 50),
    scale=st.floats(0.1, 10),
)
@settings(max_examples=40, deadline=None)
def test_slopes_scale_and_do_not_shift(values: list[float], shift: float, scale: float) -> None:
    """Adding a constant leaves a slope alone, and a factor multiplies it."""
    slope = slope_of(Track.of_frames("a", values, fps=10.0))
    moved = slope_of(Track.of_frames("a", [scale * v + shift for v in values], fps=10.0))

    assert slope is not None
    assert moved == pytest.approx(scale * slope, abs=1e-6)


def test_nothing_has_no_curve() -> None:
    """Without a video, or without a value, there is no bin and no slope."""
    empty = drift([], bootstrap=QUICK)
    unknown = drift([Track.of_frames("a", [None, None], fps=2.0)], bootstrap=QUICK)

    for curve in (empty, unknown):
        assert curve.bins == ()
        assert curve.slope_per_second.mean is None


def test_it_can_be_written_as_json() -> None:
    """The result is plain JSON with bins, slope and how intervals were made."""
    tracks = [
        falling(c, start=s, slope=-1.0, num_frames=20, fps=10.0) for c, s in (("a", 5), ("b", 7))
    ]

    found = json.loads(json.dumps(drift(tracks, bootstrap=QUICK).to_json()))

    assert found["slope_per_second"]["mean"] == pytest.approx(-1.0)
    assert [b["start_seconds"] for b in found["bins"]] == [0.0, 1.0]
    assert found["bins"][0]["summary"]["n"] == 2
    assert found["bootstrap"]["num_draws"] == 200


@pytest.mark.parametrize("bin_seconds", [0.0, -1.0, float("nan"), 1e-6])
def test_bins_without_a_length_are_refused(bin_seconds: float) -> None:
    """A length that is not positive, or that makes too many bins, is an error that quotes it."""
    track = Track.of_frames("a", [1.0, 2.0], fps=1.0)

    with pytest.raises(ConfigError, match="use a positive length"):
        drift([track], bin_seconds=bin_seconds, bootstrap=QUICK)


def test_evidence_without_frames_is_refused() -> None:
    """A metric that keeps no values of frames has no drift, and the message says what it keeps."""
    with pytest.raises(InputError, match="has answer, question and no per_frame"):
        Track.of_evidence("a", {"question": 1, "answer": 2}, fps=24.0)


@pytest.mark.parametrize(("frames", "fps"), [([0], 24.0), (None, 0.0)])
def test_values_need_times(frames: list[int] | None, fps: float) -> None:
    """Values without as many frame numbers, or without a rate, are refused."""
    with pytest.raises(InputError, match="one number per value and a positive rate"):
        Track.of_frames("a", [1.0, 2.0], fps=fps, frames=frames)
