"""Round numbers along scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.pages.ticks import nice_ticks


@given(low=st.floats(-1000, 1000), spread=st.floats(1e-4, 1000))
def test_ticks_cover_the_range_in_round_steps(low: float, spread: float) -> None:
    """Two to seven ticks in even steps of 1, 2 or 5 enclose the values."""
    high = low + spread
    ticks = nice_ticks(low, high)
    steps = np.diff(ticks)

    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 7
    assert np.allclose(steps, steps[0])
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-6


@pytest.mark.parametrize("rounding", [0.0, 1e-16, 1e-13])
@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 35.578078557646])
def test_one_value_has_ticks_too(value: float, rounding: float) -> None:
    """A chart of equal values, or of what differs by rounding, still has a scale."""
    ticks = nice_ticks(value, value + abs(value) * rounding)

    assert ticks[0] <= value <= ticks[-1]
    assert ticks[0] < ticks[-1]
