"""The order of windows: the same for a seed, complete, one shape a batch, dealt out fairly."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.train.order import WindowOrder, WindowPlan

KINDS = [(16, 12, 20), (16, 20, 12), (16, 8, 8)]
PLAN = WindowPlan(batch_size=4, history_frames=5, num_targets=2, continue_share=0.5)

shapes = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from(KINDS)).map(lambda s: (s[0], *s[1])), max_size=40
)


def usable(clips: list[tuple[int, ...]], plan: WindowPlan = PLAN) -> list[int]:
    """The rows that are long enough."""
    return [row for row, shape in enumerate(clips) if shape[0] >= plan.history_frames]


@settings(max_examples=60, deadline=None)
@given(
    clips=shapes,
    batch_size=st.integers(1, 5),
    history=st.integers(0, 6).map(lambda k: 2 * k + 1),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    data=st.data(),
)
def test_every_window_lies_in_its_clip_and_in_step(
    clips: list[tuple[int, ...]],
    batch_size: int,
    history: int,
    share: float,
    data: st.DataObject,
) -> None:
    """Even starts, targets in or right behind the history, one shape a batch, no short clip."""
    plan = WindowPlan(
        batch_size=batch_size,
        history_frames=history,
        num_targets=data.draw(st.integers(1, history)),
        continue_share=share,
    )
    if not usable(clips, plan):
        with pytest.raises(InputError, match=f"none of {len(clips)} clips has {history} latent"):
            WindowOrder(clips, plan, seed=0)
        return
    order = WindowOrder(clips, plan, seed=data.draw(st.integers(0, 99)))
    for step in range(2 * order.steps_per_epoch):
        choices = order.at(step)
        assert batch_size == len(choices)
        assert 1 == len({clips[choice.row][1:] for choice in choices})
        for row, start, targets in choices:
            assert start % 2 == 0
            assert plan.num_targets == len(set(targets))
            assert list(targets) == sorted(targets)
            assert 0 <= start + targets[0]
            assert max(start + history, start + targets[-1] + 1) <= clips[row][0]
            follows = targets[0] >= history
            assert not follows or targets == tuple(range(history, history + plan.num_targets))


@settings(max_examples=40, deadline=None)
@given(clips=shapes.filter(usable), world_size=st.integers(1, 5), seed=st.integers(0, 99))
def test_an_epoch_of_all_ranks_shows_every_clip(
    clips: list[tuple[int, ...]], world_size: int, seed: int
) -> None:
    """At least once each, and only what fills the last batch and the last turn is shown again."""
    orders = [
        WindowOrder(clips, PLAN, seed=seed, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    steps = orders[0].steps_per_epoch
    for epoch in range(2):
        seen = Counter(
            choice.row
            for order in orders
            for step in range(epoch * steps, (epoch + 1) * steps)
            for choice in order.at(step)
        )
        assert set(usable(clips)) == set(seen)
        fewest_batches = len(usable(clips)) / PLAN.batch_size
        num_kinds = len({clips[row][1:] for row in usable(clips)})
        assert steps * world_size < fewest_batches + num_kinds + world_size


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    """A loader that begins in the middle of an epoch gets what the killed one would have got."""
    clips = [(9 + row % 7, *KINDS[row % 3]) for row in range(37)]
    whole = WindowOrder(clips, PLAN, seed=3)
    expected = [whole.at(step) for step in range(40)]

    resumed = WindowOrder(clips, PLAN, seed=3)

    assert expected[23:] == [resumed.at(step) for step in range(23, 40)]
    assert expected[7] == resumed.at(7)


def test_seeds_epochs_and_ranks_differ() -> None:
    """Nothing is shown in the same order twice."""
    clips = [(9 + row % 7, *KINDS[0]) for row in range(40)]
    order = WindowOrder(clips, PLAN, seed=3)
    epoch = [[order.at(step) for step in range(k * 10, k * 10 + 10)] for k in range(2)]
    other_seed = WindowOrder(clips, PLAN, seed=4)
    other_rank = WindowOrder(clips, PLAN, seed=3, rank=1, world_size=2)

    assert epoch[0] != epoch[1]
    assert epoch[0] != [other_seed.at(step) for step in range(10)]
    first = WindowOrder(clips, PLAN, seed=3, rank=0, world_size=2)
    rows = [{c.row for step in range(5) for c in each.at(step)} for each in (first, other_rank)]
    assert not rows[0] & rows[1]


def test_continuations_have_their_share() -> None:
    """Of long clips about the asked share of batches continues, of short ones none."""
    plan = WindowPlan(batch_size=1, history_frames=5, num_targets=2, continue_share=0.3)
    orders = [WindowOrder([(length, *KINDS[0])] * 10, plan, seed=0) for length in (9, 6)]

    follows = [sum(order.at(step)[0].targets[0] == 5 for step in range(1000)) for order in orders]

    assert 255 <= follows[0] <= 345  # three standard deviations
    assert 0 == follows[1]


def test_every_start_and_every_target_comes_up() -> None:
    """Frame sets are random over the whole history: nothing for a fixed position to exploit."""
    order = WindowOrder([(12, *KINDS[0])], PLAN, seed=0)
    choices = [choice for step in range(300) for choice in order.at(step)]

    retrieved = [choice for choice in choices if choice.targets[0] < 5]
    assert {0, 2, 4, 6} == {choice.start for choice in retrieved}
    assert 10 == len({choice.targets for choice in retrieved})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history_frames": 4}, "history_frames is 4; give an odd number"),
        ({"num_targets": 6}, "num_targets is 6; give 1 to 5"),
        ({"batch_size": 0}, "batch_size 0 starts at 1"),
        ({"continue_share": 1.5}, r"continue_share 1\.5 lies in"),
    ],
)
def test_impossible_plans_are_refused(change: dict[str, float], message: str) -> None:
    """Before anything is read."""
    values = {"batch_size": 4, "history_frames": 5, "num_targets": 2, "continue_share": 0.5}
    with pytest.raises(ConfigError, match=message):
        WindowPlan(**(values | change))  # type: ignore[arg-type]


def test_a_rank_outside_the_world_is_refused() -> None:
    """It would read somebody else's batches."""
    with pytest.raises(ConfigError, match=r"rank 2 is not in \[0, 2\)"):
        WindowOrder([(9, *KINDS[0])], PLAN, seed=0, rank=2, world_size=2)
