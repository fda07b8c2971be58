"""What is told of a training's windows before it begins."""

from __future__ import annotations

import re

from pfp.train.sampler import WindowPlan
from pfp.train.window_shares import told_windows

RETRIEVING = WindowPlan(batch_size=2, history_frames=5, num_targets=2, continue_share=0.5)


def test_shares_are_those_of_the_windows() -> None:
    """Half of the clips hold a history and no section: these retrieve, whatever is asked."""
    plan = WindowPlan(batch_size=1, history_frames=5, num_targets=2, continue_share=1.0)

    told = told_windows([(5, 16, 8, 8), (20, 16, 8, 8)], plan, seed=0)

    assert told == (
        "latent frames of history, by share of samples: 100.0% 5; "
        "50.0% ask for the section that follows, 50.0% for frames of the history"
    )


def test_shortened_histories_are_told() -> None:
    """None, one and what is left of eleven, about a third each; no sample retrieves."""
    plan = WindowPlan(
        batch_size=2,
        history_frames=(0, 1, 11),
        num_targets=2,
        continue_share=1.0,
        shorten_history=True,
    )

    told = told_windows([(8, 16, 8, 8)] * 3, plan, seed=0)

    shares = re.findall(r"([\d.]+)% (\w+)[,;]", told)
    assert ["none", "1", "5"] == [length for _, length in shares]
    assert all(29 < float(share) < 38 for share, _ in shares)
    assert "100.0% ask for the section that follows, 0.0% for" in told


def test_nothing_to_train_on_is_said() -> None:
    """All clips may be held out."""
    assert "no clip is trained on, and no window cut" == told_windows([], RETRIEVING, seed=0)
