"""The rule for hard cuts, on moving scenes whose cuts are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pfp.measures import cuts


def scene(seed: int, num_frames: int, speed: int = 0) -> np.ndarray:
    """A smooth random image under a camera that pans by ``speed`` pixels a frame."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (6, 7 + num_frames * speed // 16, 3), dtype=np.uint8)
    wide = cells.repeat(16, 0).repeat(16, 1)
    return np.stack([wide[:90, i * speed : i * speed + 90] for i in range(num_frames)])


def cuts_of(frames_THWC: np.ndarray) -> list[int]:
    """The cuts of a video."""
    layouts = [cuts.layout_of(frame) for frame in frames_THWC]
    steps = [cuts.step_between(a, b) for a, b in pairwise(layouts)]
    return cuts.find_cuts(steps)


@pytest.mark.parametrize("speed", [0, 2, 6])
def test_a_cut_between_scenes_is_found(speed: int) -> None:
    """Step i leads from frame i to frame i + 1, whether the camera rests or pans."""
    video = np.concatenate([scene(0, 5, speed), scene(1, 4, speed), scene(2, 5, speed)])

    assert [4, 8] == cuts_of(video)


@pytest.mark.parametrize("speed", [0, 4, 24])
def test_a_moving_camera_is_no_cut(speed: int) -> None:
    """However fast a pan, its steps are like the ones beside them."""
    assert [] == cuts_of(scene(3, 8, speed))


def test_a_change_of_light_is_no_cut() -> None:
    """A frame that suddenly gets brighter keeps its layout."""
    dark = scene(4, 4) // 2

    assert [] == cuts_of(np.concatenate([dark, dark + 100]))


def test_two_frames_suffice() -> None:
    """A video of one frame from each of two scenes has a cut, and a single frame has none."""
    assert [0] == cuts_of(np.concatenate([scene(0, 1), scene(1, 1)]))
    assert [] == cuts_of(scene(0, 1))


@pytest.mark.parametrize(("height", "width"), [(90, 47), (16, 16), (5, 300), (1, 1)])
def test_layouts_are_means_over_cells(height: int, width: int) -> None:
    """Each pixel counts in exactly one cell, whatever the size: against a loop."""
    frame = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = min(16, height), min(16, width)
    expected = np.zeros((rows, columns, 3))
    for r in range(rows):
        for c in range(columns):
            top, bottom = r * height // rows, (r + 1) * height // rows
            left, right = c * width // columns, (c + 1) * width // columns
            expected[r, c] = frame[top:bottom, left:right].mean(axis=(0, 1))

    np.testing.assert_allclose(expected, cuts.layout_of(frame), rtol=1e-6)


@pytest.mark.parametrize(
    ("difference", "correlation", "expected"),
    [(8.0, 0.75, True), (7.99, 0.75, False), (8.0, 0.76, False)],
)
def test_a_change_is_large_and_leaves_little(
    difference: float, correlation: float, *, expected: bool
) -> None:
    """Eight code values and a correlation of 0.75 are a change, just so."""
    assert expected == cuts.is_change(difference, correlation)


def test_a_step_stands_out_from_its_neighbours() -> None:
    """1.6 times as large as the larger one beside it, plus one code value, is enough, just so."""
    assert cuts.stands_out(1.6 * (9.0 + 1.0), 9.0)
    assert not cuts.stands_out(15.9, 9.0)
