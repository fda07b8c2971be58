"""Noise levels against the distribution's closed form and against rejection."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from pfp.errors import ConfigError
from pfp.train.noise_schedule import sample_noise_levels
from pfp.train.settings import RangeMode

NUM = 20_000


def seeded(seed: int = 0) -> torch.Generator:
    """Random numbers."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
def test_times_follow_the_shifted_logit_normal(shift: float) -> None:
    """The median of the shifted time is shift/(1+shift): sigmoid(0) = 1/2, shifted."""
    times = sample_noise_levels(NUM, seeded(), shift=shift)

    assert math.isclose(shift / (1 + shift), times.median().item(), abs_tol=0.01)
    assert 0 < times.min().item() < times.max().item() < 1


@pytest.mark.parametrize(("low", "high"), [(0.2, 1.0), (0.875, 1.0), (0.0, 0.875)])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_truncated_times_are_those_that_rejection_would_keep(
    low: float, high: float, shift: float
) -> None:
    """Kolmogorov and Smirnov cannot tell them from draws of which others were thrown away."""
    logits = norm.rvs(size=400_000, random_state=1)
    times = shift / (shift + np.exp(-logits))
    kept = times[(times > low) & (times < high)]

    found = sample_noise_levels(NUM, seeded(), shift=shift, low=low, high=high, mode="truncated")

    assert kstest(found.numpy(), kept).pvalue > 0.01


@pytest.mark.parametrize(
    ("mode", "shift", "mean"),
    [
        ("rescaled", 5.0, 0.835),
        ("truncated", 5.0, 0.795),
        ("rescaled", 1.0, 0.6),
        ("truncated", 1.0, 0.532),
    ],
)
def test_the_two_readings_of_a_range_differ(mode: RangeMode, shift: float, mean: float) -> None:
    """L(0.2, 1) moved into the range lies higher than L(0.2, 1) cut out of L(0, 1)."""
    times = sample_noise_levels(NUM, seeded(), shift=shift, low=0.2, mode=mode)

    assert math.isclose(mean, times.mean().item(), abs_tol=0.006)


@given(
    st.floats(0, 0.9),
    st.floats(0.05, 1),
    st.floats(0.1, 20),
    st.sampled_from(["truncated", "rescaled"]),
)
@example(5e-324, 0.5, 3.0, "truncated")
@example(0.9, 0.1 - 2**-53, 0.1, "truncated")
def test_times_lie_in_their_range(low: float, width: float, shift: float, mode: RangeMode) -> None:
    """Whatever the range, the shift and the reading."""
    high = min(1.0, low + width)

    times = sample_noise_levels(50, seeded(), shift=shift, low=low, high=high, mode=mode)

    assert low - 1e-6 <= times.min().item() <= times.max().item() <= high + 1e-6
    assert bool(times.isfinite().all())


@pytest.mark.parametrize(
    "wrong", [{"low": 0.5, "high": 0.5}, {"low": -0.1}, {"high": 1.2}, {"shift": 0.0}]
)
def test_ranges_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    """One sentence with the numbers."""
    with pytest.raises(ConfigError, match="give"):
        sample_noise_levels(1, seeded(), **wrong)  # type: ignore[arg-type]
