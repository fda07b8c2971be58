"""Transitions that are made, and how boundaries are counted."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.shots import (
    FPS,
    HEIGHT,
    KINDS,
    LENGTHS_SECONDS,
    WIDTH,
    Found,
    Transition,
    f1,
    joined_takes,
    matched,
)


def test_joined_takes_change_where_their_transitions_say() -> None:
    """Takes of one grey each: the level moves inside of transitions and nowhere else."""
    takes = [np.full((120, HEIGHT, WIDTH, 3), level, np.uint8) for level in (60, 120, 180)]

    frames_THWC, transitions = joined_takes(takes, np.random.default_rng(0))

    assert sorted(KINDS) == sorted(each.kind for each in transitions)
    changes_T = np.abs(np.diff(frames_THWC[:, 0].astype(float).mean(axis=(1, 2)))) > 0.5
    expected_T = np.zeros_like(changes_T)
    for each in transitions:
        start, end = round(each.start_seconds * FPS), round(each.end_seconds * FPS)
        expected_T[start - 1 : end] = True
        low, high = LENGTHS_SECONDS.get(each.kind, (0, 0))
        assert low - 0.021 <= each.end_seconds - each.start_seconds <= high + 0.021
    assert not (changes_T & ~expected_T).any()
    assert 20 == np.diff(np.concatenate([[0], changes_T, [0]]).astype(int)).clip(0).sum()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], 0.0),
        ([Found("cut", 1.1), Found("dissolve", 5.9)], 1.0),  # a little beside, and inside
        ([Found("cut", 1.3)], 0.0),  # too far
        ([Found("cut", 1.0), Found("cut", 1.1)], 2 / 3),  # one of the two is made up
        ([Found("dissolve", 1.0)], 1.0),  # where it lies counts, not what it is called
    ],
)
def test_boundaries_are_counted_once(found: list[Found], expected: float) -> None:
    """The F1 of cuts, of which there is one."""
    truth = [Transition("cut", 1.0, 1.0), Transition("dissolve", 5.0, 6.0)]

    assert f1(matched(truth, found), "cut") == pytest.approx(expected)
