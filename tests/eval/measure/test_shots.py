"""Shots as spans of frames: which frames are whose, and a shot that has none."""

from __future__ import annotations

import pytest

from pfp.errors import Unmeasurable
from pfp.eval.measure.shots import ShotsByTime, shots_within, storyboard_shots
from pfp.schema import Shot


def shot(start_seconds: float, end_seconds: float) -> Shot:
    """A captioned span."""
    return Shot(start_seconds=start_seconds, end_seconds=end_seconds, caption="A dog.")


def times(shots: tuple[Shot, ...] | list[Shot]) -> list[tuple[float, float]]:
    """When they are."""
    return [(each.start_seconds, each.end_seconds) for each in shots]


@pytest.mark.parametrize(
    ("start_seconds", "end_seconds", "expected"),
    [
        (0.0, 1.0, range(10)),
        (0.3, 0.5, range(3, 5)),  # a frame that begins with the shot is its own, at its end not
        (0.31, 0.5, range(4, 5)),
        (0.3, 0.51, range(3, 6)),
        (1.5, 9.0, range(15, 20)),  # a shot may end after the video
        (1.9, 2.0, range(19, 20)),
        (1 / 3, 2 / 3, range(4, 7)),  # times are rounded, and frames stay whose they are
    ],
)
def test_a_shot_has_the_frames_that_begin_in_it(
    start_seconds: float, end_seconds: float, expected: range
) -> None:
    """Of 20 frames at 10 fps; the span is half open."""
    assert [expected] == storyboard_shots([shot(start_seconds, end_seconds)], 20, 10.0)


def test_gaps_between_shots_are_no_shot() -> None:
    """And shots come in the order of the storyboard."""
    spans = storyboard_shots([shot(1.0, 1.5), shot(0.0, 0.5)], 20, 10.0)

    assert [range(10, 15), range(5)] == spans


@pytest.mark.parametrize(
    ("start_seconds", "end_seconds"), [(0.31, 0.39), (2.0, 3.0), (0.5, 0.5), (7.0, 9.0)]
)
def test_a_shot_without_frames_is_named(start_seconds: float, end_seconds: float) -> None:
    """It lies between two frames, or after the last: a value over the others would be of them."""
    shots = [shot(0.0, 1.0), shot(start_seconds, end_seconds)]

    with pytest.raises(
        Unmeasurable, match=r"shot 1 of the storyboard, .* has no frame in 20"
    ) as it:
        storyboard_shots(shots, 20, 10.0)
    assert "shot_without_frames" == it.value.reason


def test_a_video_without_a_storyboard_has_no_shots() -> None:
    """Which is another reason, with another cure."""
    with pytest.raises(Unmeasurable, match="give one in the manifest") as it:
        storyboard_shots([], 20, 10.0)
    assert "no_storyboard" == it.value.reason


def test_shots_of_a_clip_begin_at_its_start() -> None:
    """What reaches beyond its ends is cut off; what only touches them is another clip's."""
    shots = [shot(0.0, 1.0), shot(0.5, 1.5), shot(1.2, 3.0), shot(2.0, 3.0)]

    found = shots_within(shots, range(10, 20), 10.0, only_with_frames=False)

    assert [(0.0, 0.5), (0.2, 1.0)] == [
        (pytest.approx(start), pytest.approx(end)) for start, end in times(found)
    ]


def test_an_empty_shot_of_a_clip_is_left_out_where_frames_are_asked_for() -> None:
    """One between two frames touches the clip and shows nothing of it."""
    shots = [shot(1.0, 1.2), shot(1.21, 1.29), shot(1.3, 1.4)]
    clip = range(10, 20)

    all_of = shots_within(shots, clip, 10.0, only_with_frames=False)
    with_frames = shots_within(shots, clip, 10.0, only_with_frames=True)

    assert (3, 2) == (len(all_of), len(with_frames))
    assert all_of[1] not in with_frames


def test_shots_near_a_time_are_found_without_looking_at_all() -> None:
    """In the order that they came in; overlapping and long ones are not missed."""
    shots = [shot(5.0, 6.0), shot(0.0, 9.0), shot(1.0, 2.0), shot(2.0, 3.0)]
    by_time = ShotsByTime(shots)

    assert times(shots) == times(by_time.near(2.0, 5.0))
    assert [(0.0, 9.0)] == [each for each in times(by_time.near(6.5, 7.0)) if each[1] > 6.5]
    assert [] == by_time.near(9.1, 10.0)
    assert [] == ShotsByTime([]).near(0.0, 1.0)
