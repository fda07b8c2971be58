"""Sums and means second by second, against sums over a fine grid of moments."""

from __future__ import annotations

import numpy as np
import pytest

from pfp.ingest.seconds import MAX_SECONDS, HeldMean, SecondSums, lengths

STEP_SECONDS = 1e-3


def test_spans_are_parted_at_whole_seconds() -> None:
    """Against the same function of time on a grid of thousandths of a second."""
    rng = np.random.default_rng(1)
    spans = [(*sorted(rng.integers(0, 7_000, 2) * STEP_SECONDS), rng.normal()) for _ in range(40)]
    moments = (np.arange(7_000) + 0.5) * STEP_SECONDS
    sums = SecondSums()
    for begin, end, value in spans:
        sums.add(begin, end, value)

    held = [value * ((begin < moments) & (moments < end)) for begin, end, value in spans]
    expected = (np.sum(held, axis=0) * STEP_SECONDS).reshape(7, 1_000).sum(axis=1)

    np.testing.assert_allclose(expected, sums.result(7.0), atol=1e-9)


def test_a_number_holds_until_the_next() -> None:
    """1 for 1.5 s, then 3 for a second: 1, 2 and, of the half second that is left, 3."""
    mean = HeldMean()
    mean.push(0.0, 1.0)
    mean.push(1.5, 3.0)

    assert [1.0, 2.0, 3.0] == mean.result(2.5).tolist()
    assert (1.5 + 3.0) / 2.5 == mean.mean(2.5)


def test_nothing_told_nothing_known() -> None:
    """Not zero."""
    assert HeldMean().mean(2.0) is None
    assert np.isnan(HeldMean().result(2.0)).all()


def test_the_last_second_is_there_in_part() -> None:
    """A whole number of seconds has no further entry of no length."""
    assert [1.0, 1.0, 0.25] == lengths(2.25).tolist()
    assert [1.0, 1.0] == lengths(2.0).tolist()


def test_a_frame_in_a_thousand_years_costs_no_memory() -> None:
    """A file may say so in eight bytes; the mean over all of it stays right."""
    mean = HeldMean()
    for seconds, value in ((0.0, 1.0), (3e10, 2.0), (3e10 + 1, 3.0)):
        mean.push(seconds, value)

    assert MAX_SECONDS == len(mean.result(4e10)) == len(mean._sums._sums)
    assert (3e10 * 1 + 1e10 * 3) / 4e10 == pytest.approx(mean.mean(4e10))
