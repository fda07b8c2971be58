"""Measures of frames on drawn ones, against the values that their drawing implies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pfp.ingest.frame_measures import SIDE, FrameGauge, FrameMeasures
from pfp.ingest.seconds import lengths

FPS = 10
Frames = npt.NDArray[np.uint8]


def flat(level: int, num: int = 1) -> Frames:
    """Grey frames of one code value."""
    return np.full((num, SIDE, SIDE, 3), level, np.uint8)


def busy(num: int, *, moving: bool) -> Frames:
    """Frames of vertical stripes, which step aside by a cell each time if they move."""
    stripes = (np.arange(SIDE + num) // 8 % 2 * 160 + 40).astype(np.uint8)
    rows = [stripes[index : index + SIDE] if moving else stripes[:SIDE] for index in range(num)]
    return np.stack([np.broadcast_to(row[None, :, None], (SIDE, SIDE, 3)) for row in rows])


def measured(frames: Frames, fps: float = FPS) -> FrameMeasures:
    """What the gauge makes of frames at a steady rate."""
    gauge = FrameGauge()
    for index, frame in enumerate(frames):
        gauge.push(index / fps, frame)
    result = gauge.result(len(frames) / fps)
    assert result is not None
    return result


def test_luma_is_that_of_bt709() -> None:
    """Pure red weighs 0.2126, green 0.7152, blue 0.0722."""
    red = np.zeros((4, SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 200

    assert 0.2126 * 200 == pytest.approx(measured(red).luma_mean, rel=1e-5)


def test_the_deviation_is_within_a_frame() -> None:
    """Half black, half white deviates by 127.5; frames that differ from each other do not add."""
    halves = flat(0, 4)
    halves[:, :, SIDE // 2 :] = 255

    assert 127.5 == pytest.approx(measured(halves).luma_std, rel=1e-5)
    assert 0 == measured(np.concatenate([flat(0, 2), flat(255, 2)])).luma_std


def test_black_and_uniform_are_shares_of_time() -> None:
    """Three black, one grey, four busy frames: 3/8 black, 4/8 uniform."""
    frames = np.concatenate([flat(5, 3), flat(128, 1), busy(4, moving=True)])

    result = measured(frames)

    fractions = (result.black_fraction, result.uniform_fraction)
    assert (3 / 8, 4 / 8) == pytest.approx(fractions)


def test_motion_is_in_levels_per_second() -> None:
    """Brightness that rises by 10 code values a second is motion of 10, at any rate."""
    for fps in (5, 10, 25):
        ramp = np.concatenate([flat(round(20 + 10 * index / fps)) for index in range(4 * fps)])

        assert 10 == pytest.approx(measured(ramp, fps).motion or 0, rel=0.1)


def test_motion_of_one_frame_is_unknown() -> None:
    """Not zero: nothing was compared."""
    assert measured(flat(100)).motion is None


def test_a_frozen_tail_is_counted_to_the_end() -> None:
    """Two seconds of movement, then the last frame for six: three quarters frozen."""
    moving = busy(20, moving=True)
    frames = np.concatenate([moving, moving[-1:].repeat(60, axis=0)])

    result = measured(frames)

    assert 0.75 == pytest.approx(result.frozen_fraction, abs=0.02)
    assert 6.0 == pytest.approx(result.frozen_tail_seconds, abs=0.11)


def test_standing_still_for_a_moment_is_no_freeze() -> None:
    """Repeats below half a second, as in a slow video in a fast container."""
    assert 0 == measured(busy(20, moving=True).repeat(4, axis=0)).frozen_fraction


def test_slow_change_is_no_freeze() -> None:
    """Ten code values a second: no two neighbours differ visibly, but the change adds up."""
    frames = np.concatenate([flat(50 + index) for index in range(100)])

    assert 0 == measured(frames).frozen_fraction


def scenes() -> Frames:
    """Movement, black, a freeze and one colour, each for a time that is no whole second."""
    moving = busy(27, moving=True)
    return np.concatenate([moving, flat(5, 12), busy(13, moving=False), flat(128, 3), moving])


@pytest.mark.parametrize("fps", [3, 10, 24, 29.97])
def test_the_track_adds_up_to_the_whole(fps: float) -> None:
    """Each measure of a video is the mean over its seconds, the last one weighing what it lasts."""
    frames = scenes()
    duration = len(frames) / fps
    gauge = FrameGauge()
    for index, frame in enumerate(frames):
        gauge.push(index / fps, frame)
    whole, track = gauge.result(duration), gauge.track(duration)

    assert whole is not None
    for name in ("luma_mean", "luma_std"):
        expected = getattr(whole, name)
        assert expected == pytest.approx(np.average(track[name], weights=lengths(duration)))
    for name in ("frozen", "black", "uniform"):
        expected = getattr(whole, f"{name}_fraction")
        assert 0.01 < expected
        assert expected == pytest.approx(np.average(track[name], weights=lengths(duration)))


def test_motion_of_the_track_adds_up_where_frames_were_compared() -> None:
    """Every third of 10 frames a second is compared with the one before, from 0 to 8.1 s of 8.2."""
    frames = scenes()[:82]
    gauge = FrameGauge()
    for index, frame in enumerate(frames):
        gauge.push(index / FPS, frame)
    whole, motion = gauge.result(8.2), gauge.track(8.2)["motion"]

    assert whole is not None
    assert whole.motion == pytest.approx(np.average(motion, weights=[1] * 8 + [0.1]))


def test_the_track_tells_when() -> None:
    """Two seconds of movement, one and a half of black, and a grey one that flickers into view."""
    frames = np.concatenate([busy(20, moving=True), flat(5, 15), busy(15, moving=True)])
    gauge = FrameGauge()
    for index, frame in enumerate(frames):
        gauge.push(index / FPS, frame)
    track = gauge.track(5.0)

    assert [0, 0, 1, 0.5, 0] == pytest.approx(track["black"])
    assert [0, 0, 1, 0.5, 0] == pytest.approx(track["frozen"])
    assert track["motion"][1] > 100
    assert 0 == pytest.approx(track["motion"][2], abs=60)  # but for the step into black
    assert [5, 5] == pytest.approx([track["luma_mean"][2], track["luma_mean"][2]])


def test_a_second_in_which_nothing_was_compared_has_no_motion() -> None:
    """Of 2.1 s the last tenth: unknown, not zero."""
    gauge = FrameGauge()
    for seconds in (0.0, 0.5, 1.0, 1.5, 2.0):
        gauge.push(seconds, flat(100)[0])

    assert [0.0, 0.0] == gauge.track(2.1)["motion"][:2].tolist()
    assert np.isnan(gauge.track(2.1)["motion"][2])
