"""Windows over strips give what they give over whole images, and what SciPy gives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.eval.metrics.windows import STRIP_ROWS, in_strips, weighted_means

TAPS = np.array([0.1, 0.4, 0.3, 0.15, 0.05])  # not symmetric, so that a turned window shows


@given(height=st.integers(5, 3 * STRIP_ROWS), width=st.integers(5, 20), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_strips_make_the_whole(height: int, width: int, seed: int) -> None:
    """At any height, also of one row more or less than a strip, nothing is lost or shown twice."""
    image_HWC = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    found = in_strips(lambda strip_HWC: weighted_means(strip_HWC, TAPS), image_HWC, side=5)

    rows = scipy.ndimage.correlate1d(image_HWC.astype(np.float64), TAPS, axis=0)
    expected = scipy.ndimage.correlate1d(rows, TAPS, axis=1)[2:-2, 2:-2]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


def test_images_are_cut_alike() -> None:
    """Work on two images sees the same rows of both."""
    first_HWC = np.arange(100.0)[:, None, None] * np.ones((1, 4, 1))

    difference = in_strips(lambda x, y: (y - x)[1:-1], first_HWC, first_HWC + 7, side=3)

    assert (98, 4, 1) == difference.shape
    assert {7.0} == set(difference.ravel())


@pytest.mark.parametrize("height", [STRIP_ROWS + 2, STRIP_ROWS + 3, 2 * STRIP_ROWS + 2])
def test_no_strip_is_empty(height: int) -> None:
    """Around a whole number of strips each of them has rows."""
    seen: list[int] = []

    def work(strip_HWC: np.ndarray) -> np.ndarray:
        seen.append(len(strip_HWC) - 2)
        return strip_HWC[1:-1]

    in_strips(work, np.zeros((height, 3, 1)), side=3)

    assert min(seen) >= 1
    assert height - 2 == sum(seen)
    assert max(seen) <= STRIP_ROWS
