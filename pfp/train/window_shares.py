"""What the windows of a training will be, told before it begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from pfp.train.sampler import WindowPlan, WindowSampler

NUM_LOOKED_AT: Final = 1000  # batches; shares are right to some 3 % of the samples


def told_windows(hr_shapes: Sequence[tuple[int, ...]], plan: WindowPlan, *, seed: int) -> str:
    """One line: how many samples have which history, and how many ask for what follows it.

    ``hr_shapes`` are the ``(T, C, H, W)`` of the clips that are trained on. Counted in the first
    batches, because a batch's shortest clip decides where histories are shortened.
    """
    if not hr_shapes:
        return "no clip is trained on, and no window cut"
    sampler = WindowSampler(hr_shapes, plan, seed=seed)
    windows = [window for step in range(NUM_LOOKED_AT) for window in sampler.at(step)]
    of_history = Counter(window.history for window in windows)
    follow = sum(window.targets[0] >= window.history for window in windows)
    shares = ", ".join(
        f"{_percent(count / len(windows))} {length or 'none'}"
        for length, count in sorted(of_history.items())
    )
    return (
        f"latent frames of history, by share of samples: {shares}; "
        f"{_percent(follow / len(windows))} ask for the section that follows, "
        f"{_percent(1 - follow / len(windows))} for frames of the history"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
