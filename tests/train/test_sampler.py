"""The order of windows: the same for a seed, complete, one shape a batch, dealt out fairly."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.train.sampler import WindowPlan, WindowSampler
from pipelines.train.config import PRESETS, finetuned

KINDS = [(16, 12, 20), (16, 20, 12), (16, 8, 8)]
PLAN = WindowPlan(batch_size=4, history_frames=5, num_targets=2, continue_share=0.5)

shapes = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from(KINDS)).map(lambda s: (s[0], *s[1])), max_size=40
)


def usable(clips: list[tuple[int, ...]], plan: WindowPlan = PLAN) -> list[int]:
    """The rows that are long enough."""
    return [row for row, shape in enumerate(clips) if shape[0] >= max(plan.histories)]


@settings(max_examples=60, deadline=None)
@given(
    clips=shapes,
    batch_size=st.integers(1, 5),
    strides=st.tuples(
        st.sampled_from([1, 2, 4, 8]), st.lists(st.integers(0, 6), min_size=1, max_size=3)
    ),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    data=st.data(),
)
def test_every_window_lies_in_its_clip_and_in_step(
    clips: list[tuple[int, ...]],
    batch_size: int,
    strides: tuple[int, list[int]],
    share: float,
    data: st.DataObject,
) -> None:
    """Starts at multiples of T, targets in or behind the history, one shape a batch, no short clip.

    Histories and sections have the lengths that were given, one each for the whole batch.
    """
    stride, counts = strides
    histories = [stride * count + 1 for count in counts]
    sizes = st.integers(1, min(histories))
    plan = WindowPlan(
        batch_size=batch_size,
        history_frames=histories[0] if len(histories) == 1 else tuple(histories),
        num_targets=data.draw(sizes),
        continue_share=share,
        section_lengths=tuple(data.draw(st.lists(sizes, max_size=3))),
        time_stride=stride,
    )
    if not usable(clips, plan):
        longest = max(histories)
        with pytest.raises(InputError, match=f"none of {len(clips)} clips has {longest} latent"):
            WindowSampler(clips, plan, seed=0)
        return
    sampler = WindowSampler(clips, plan, seed=data.draw(st.integers(0, 99)))
    for step in range(2 * sampler.steps_per_epoch):
        choices = sampler.at(step)
        assert batch_size == len(choices)
        assert 1 == len({clips[choice.row][1:] for choice in choices})
        assert 1 == len({(choice.history, len(choice.targets)) for choice in choices})
        for row, start, history, targets in choices:
            assert history in histories
            assert start % stride == 0
            # The history ends with the last HR latent of a token, so with its last LR latent.
            assert (start + history - 1) % stride == 0
            assert list(targets) == sorted(set(targets))
            assert 0 <= start
            assert 0 <= targets[0]
            assert max(start + history, start + targets[-1] + 1) <= clips[row][0]
            assert len(targets) in {plan.num_targets, *plan.section_lengths}
            if targets[-1] >= history:
                assert targets == tuple(range(history, history + len(targets)))
                assert len(targets) in (plan.section_lengths or [plan.num_targets])


@settings(max_examples=40, deadline=None)
@given(clips=shapes.filter(usable), world_size=st.integers(1, 5), seed=st.integers(0, 99))
def test_an_epoch_of_all_ranks_shows_every_clip(
    clips: list[tuple[int, ...]], world_size: int, seed: int
) -> None:
    """At least once each, and only what fills the last batch and the last turn is shown again."""
    samplers = [
        WindowSampler(clips, PLAN, seed=seed, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    steps = samplers[0].steps_per_epoch
    for epoch in range(2):
        seen = Counter(
            choice.row
            for sampler in samplers
            for step in range(epoch * steps, (epoch + 1) * steps)
            for choice in sampler.at(step)
        )
        assert set(usable(clips)) == set(seen)
        fewest_batches = len(usable(clips)) / PLAN.batch_size
        num_kinds = len({clips[row][1:] for row in usable(clips)})
        assert steps * world_size < fewest_batches + num_kinds + world_size


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    """A loader that begins in the middle of an epoch gets what the killed one would have got."""
    clips = [(9 + row % 7, *KINDS[row % 3]) for row in range(37)]
    whole = WindowSampler(clips, PLAN, seed=3)
    expected = [whole.at(step) for step in range(40)]

    resumed = WindowSampler(clips, PLAN, seed=3)

    assert expected[23:] == [resumed.at(step) for step in range(23, 40)]
    assert expected[7] == resumed.at(7)


def test_seeds_epochs_and_ranks_differ() -> None:
    """Nothing is shown in the same order twice."""
    clips = [(9 + row % 7, *KINDS[0]) for row in range(40)]
    sampler = WindowSampler(clips, PLAN, seed=3)
    epoch = [[sampler.at(step) for step in range(k * 10, k * 10 + 10)] for k in range(2)]
    other_seed = WindowSampler(clips, PLAN, seed=4)
    other_rank = WindowSampler(clips, PLAN, seed=3, rank=1, world_size=2)

    assert epoch[0] != epoch[1]
    assert epoch[0] != [other_seed.at(step) for step in range(10)]
    first = WindowSampler(clips, PLAN, seed=3, rank=0, world_size=2)
    rows = [{c.row for step in range(5) for c in each.at(step)} for each in (first, other_rank)]
    assert not rows[0] & rows[1]


def test_continuations_have_their_share() -> None:
    """Of long clips about the asked share of batches continues, of short ones none."""
    plan = WindowPlan(batch_size=1, history_frames=5, num_targets=2, continue_share=0.3)
    samplers = [WindowSampler([(length, *KINDS[0])] * 10, plan, seed=0) for length in (9, 6)]

    follows = [
        sum(sampler.at(step)[0].targets[0] == 5 for step in range(1000)) for sampler in samplers
    ]

    assert 255 <= follows[0] <= 345  # three standard deviations
    assert 0 == follows[1]


def test_every_start_and_every_target_comes_up() -> None:
    """Frame sets are random over the whole history: nothing for a fixed position to exploit."""
    sampler = WindowSampler([(12, *KINDS[0])], PLAN, seed=0)
    choices = [choice for step in range(300) for choice in sampler.at(step)]

    retrieved = [choice for choice in choices if choice.targets[0] < 5]
    assert {0, 2, 4, 6} == {choice.start for choice in retrieved}
    assert 10 == len({choice.targets for choice in retrieved})


@pytest.mark.parametrize(
    ("history", "num_targets", "stride"), [(11, 2, 2), (9, 1, 8), (7, 3, 1), (17, 4, 4)]
)
def test_every_position_is_asked_for_equally_often(
    history: int, num_targets: int, stride: int
) -> None:
    """An encoder can spend its tokens on no position: not the last, not an LR token's own.

    Counts of a position over n sets are binomial with p = targets / history; four standard
    deviations of it, 0.6 in a thousand for all positions here together.
    """
    plan = WindowPlan(
        batch_size=4,
        history_frames=history,
        num_targets=num_targets,
        continue_share=0.0,
        time_stride=stride,
    )
    sampler = WindowSampler([(3 * history, *KINDS[0])] * 7, plan, seed=1)
    sets = [choice.targets for step in range(1000) for choice in sampler.at(step)]

    counts = np.bincount(np.concatenate(sets), minlength=history)

    share = num_targets / history
    bound = 4 * np.sqrt(len(sets) * share * (1 - share))
    assert history == len(counts)
    assert np.abs(counts - len(sets) * share).max() < bound


def test_positions_are_equally_frequent_in_histories_of_any_length() -> None:
    """Of a step's own history, whatever its length: no place in it is preferred."""
    plan = replace(PLAN, history_frames=(5, 9), continue_share=0.0)
    sampler = WindowSampler([(20, *KINDS[0])] * 7, plan, seed=1)
    choices = [choice for step in range(1000) for choice in sampler.at(step)]

    for history in (5, 9):
        sets = [choice.targets for choice in choices if choice.history == history]
        counts = np.bincount(np.concatenate(sets), minlength=history)
        share = 2 / history
        bound = 4 * np.sqrt(len(sets) * share * (1 - share))
        assert np.abs(counts - len(sets) * share).max() < bound


LENGTHS = WindowPlan(
    batch_size=2,
    history_frames=(5, 7, 11),
    num_targets=2,
    continue_share=0.5,
    section_lengths=(1, 3, 5),
)


def test_a_step_has_one_length_on_all_ranks() -> None:
    """Ranks wait for the slowest, so all of them take histories and sections of one length."""
    clips = [(40, *KINDS[row % 2]) for row in range(23)]
    ranks = [WindowSampler(clips, LENGTHS, seed=3, rank=rank, world_size=4) for rank in range(4)]

    for step in range(60):
        choices = [choice for sampler in ranks for choice in sampler.at(step)]
        sections = {len(each.targets) for each in choices if each.targets[0] >= each.history}
        asked = {len(each.targets) for each in choices if each.targets[0] < each.history}
        assert 1 == len({choice.history for choice in choices})
        assert len(sections) <= 1
        assert asked <= {2}


def test_lengths_are_drawn_equally_often_and_follow_the_seed() -> None:
    """A pure function of (seed, step); histories and sections are drawn apart."""
    clips = [(40, *KINDS[0])] * 9
    plan = replace(LENGTHS, continue_share=1.0)
    sampler = WindowSampler(clips, plan, seed=3)

    drawn = [(each.history, len(each.targets)) for each in (sampler.at(s)[0] for s in range(1800))]

    counts = Counter(drawn)
    assert 9 == len(counts)
    assert max(abs(count - 200) for count in counts.values()) < 4 * np.sqrt(1800 * 8 / 81)
    later = WindowSampler(clips, plan, seed=3)
    assert [sampler.at(step) for step in (70, 3)] == [later.at(step) for step in (70, 3)]
    other = WindowSampler(clips, plan, seed=4)
    assert drawn[:30] != [(c.history, len(c.targets)) for c in (other.at(s)[0] for s in range(30))]


def test_a_clip_too_short_to_go_on_is_asked_for_as_many_frames() -> None:
    """A batch has targets of one length, so the short clip of a continuing batch has as many."""
    plan = replace(LENGTHS, history_frames=5, continue_share=1.0, section_lengths=(4,))
    sampler = WindowSampler([(5, *KINDS[0]), (9, *KINDS[0])], plan, seed=0)

    choices = {choice.row: choice.targets for choice in sampler.at(0)}

    assert (5, 6, 7, 8) == choices[1]
    assert 4 == len(set(choices[0]))
    assert max(choices[0]) < 5


def test_the_default_plan_draws_what_it_always_drew() -> None:
    """Trained checkpoints can be made again: windows of T = 2 and fixed lengths do not move."""
    clips = [(9 + row % 7, *KINDS[row % 3]) for row in range(37)]
    sampler = WindowSampler(clips, PLAN, seed=3)

    drawn = [tuple(choice[:2]) + choice.targets for step in (0, 9) for choice in sampler.at(step)]

    assert drawn == [
        *((22, 4, 2, 3), (25, 8, 2, 4), (1, 4, 0, 3), (31, 4, 1, 3)),
        *((15, 0, 5, 6), (33, 4, 5, 6), (0, 0, 5, 6), (18, 2, 5, 6)),
    ]


GROWING = WindowPlan(
    batch_size=3,
    history_frames=(0, 1, 3, 7, 15),
    num_targets=3,
    continue_share=1.0,
    section_lengths=(1, 2, 3),
    shorten_history=True,
)


@settings(max_examples=60, deadline=None)
@given(clips=shapes, histories=st.sets(st.sampled_from([0, 1, 5, 9, 33]), min_size=1))
def test_no_sample_is_retrieval_where_histories_are_shortened(
    clips: list[tuple[int, ...]], histories: set[int]
) -> None:
    """All go on, with the longest history in step that leaves the batch's shortest clip a section.

    Clips that hold no section after the shortest history are never shown.
    """
    plan = replace(GROWING, history_frames=tuple(sorted(histories)), time_stride=4)
    long_enough = {row for row, clip in enumerate(clips) if clip[0] >= 3 + min(1, *histories)}
    if not long_enough:
        with pytest.raises(InputError, match=f"has {3 + min(1, *histories)} latent frames"):
            WindowSampler(clips, plan, seed=0)
        return
    sampler = WindowSampler(clips, plan, seed=0)

    seen = set()
    for step in range(sampler.steps_per_epoch):
        choices = sampler.at(step)
        ((history, section),) = {(each.history, len(each.targets)) for each in choices}
        room = min(clips[each.row][0] for each in choices) - section
        fit = [length for length in (0, *range(1, 40, 4)) if length <= room]
        assert history in histories or history == max(fit)
        seen |= {each.row for each in choices}
        for row, start, _, targets in choices:
            assert targets == tuple(range(history, history + section))
            assert start + history + section <= clips[row][0]
            assert start % 4 == 0
    assert long_enough == seen


def test_twenty_seconds_have_all_histories_that_they_hold() -> None:
    """120 latent frames: none to 63 as drawn, 119 with a section of one, 117 with two or three."""
    plan = replace(GROWING, history_frames=(0, 1, 3, 7, 15, 31, 63, 119, 239))
    sampler = WindowSampler([(120, *KINDS[0])] * 10, plan, seed=0)

    drawn = Counter(
        (each.history, len(each.targets)) for each in (sampler.at(s)[0] for s in range(2700))
    )

    lengths = {history for history, _ in drawn}
    assert {0, 1, 3, 7, 15, 31, 63, 117, 119} == lengths
    assert all(sum(drawn[length, n] for n in (1, 2, 3)) > 230 for length in lengths - {117, 119})
    assert {(117, 2), (117, 3), (119, 1)} == {key for key in drawn if key[0] > 63}
    longer = WindowSampler([(260, *KINDS[0])] * 10, plan, seed=0)
    assert 239 == max(longer.at(step)[0].history for step in range(100))


def test_a_video_without_history_begins_with_its_first_latents() -> None:
    """Its first latent stands for one frame, as in generation; a history begins anywhere."""
    sampler = WindowSampler([(30, *KINDS[0])] * 10, GROWING, seed=0)
    choices = [each for step in range(200) for each in sampler.at(step)]

    assert {0} == {each.start for each in choices if not each.history}
    assert {0} != {each.start for each in choices if each.history == 1}


def test_clips_of_like_lengths_come_together() -> None:
    """One short clip would cost a batch of long ones its history: only one batch here mixes."""
    clips = [(4 + 16 * (row % 2), *KINDS[0]) for row in range(32)]
    sampler = WindowSampler(clips, replace(GROWING, history_frames=15), seed=0)

    mixed = [len({clips[each.row][0] for each in sampler.at(step)}) > 1 for step in range(11)]

    assert sampler.steps_per_epoch == len(mixed)
    assert sum(mixed) <= 2  # where the long ones end, and the batch that is filled up


# Drawn before histories could be shortened; A14B's windows have been of 3 then and are of 2 now.
DRAWN = {
    "demo": "c30dec6cafd74a2b",
    "debug": "323369c2db3947f1",
    "small": "74450a337995a693",
    "tiny": "162582f10a8fc61d",
    "wan22_5b": "996b1da191ecf9a4",
    "hunyuan": "996b1da191ecf9a4",
}


@pytest.mark.parametrize("name", DRAWN)
def test_presets_draw_what_they_always_drew(name: str) -> None:
    """Every window of 60 steps, of clips as long as a history or up to six frames longer."""
    plan = PRESETS[name]().windows

    assert DRAWN[name] == windows_sha256(plan, max(plan.histories))


def test_fine_tuning_of_long_clips_draws_what_it_always_drew() -> None:
    """Where no clip is too short nothing moves."""
    assert "a095a2a39625460b" == windows_sha256(finetuned(PRESETS["demo"]()).windows, 20)


def windows_sha256(plan: WindowPlan, num_latents: int) -> str:
    """The digest of a second rank's windows of two kinds of clips, of so many frames or more."""
    clips = [(num_latents + row % 7, 16, 12 + 8 * (row % 2), 20) for row in range(37)]
    sampler = WindowSampler(clips, plan, seed=3, rank=1, world_size=2)
    drawn = [[[*each[:3], list(each.targets)] for each in sampler.at(step)] for step in range(60)]
    return hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history_frames": (0, 5)}, "history_frames has 0, and of no history nothing"),
        ({"history_frames": -3}, "history_frames is -3; give a multiple of 2"),
        ({"shorten_history": True}, r"continue_share is 0\.5, and shorten_history makes"),
        ({"history_frames": 4}, "history_frames is 4; give a multiple of 2 and one more"),
        ({"history_frames": (5, 8)}, "history_frames is 8; give a multiple of 2 and one more"),
        ({"history_frames": ()}, "history_frames is empty; give one length"),
        ({"time_stride": 8}, "history_frames is 5; give a multiple of 8 and one more"),
        ({"time_stride": 3}, "time_stride is 3; give a power of two"),
        ({"num_targets": 6}, "num_targets is 6; give 1 to 5"),
        ({"history_frames": (5, 9), "num_targets": 6}, "num_targets is 6; give 1 to 5"),
        ({"section_lengths": (2, 6)}, "section_lengths has 6; give 1 to 5"),
        ({"section_lengths": (0,)}, "section_lengths has 0; give 1 to 5"),
        ({"batch_size": 0}, "batch_size 0 starts at 1"),
        ({"continue_share": 1.5}, r"continue_share 1\.5 lies in"),
    ],
)
def test_impossible_plans_are_refused(change: dict[str, Any], message: str) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match=message):
        replace(PLAN, **change)


def test_a_rank_outside_the_world_is_refused() -> None:
    """It would read somebody else's batches."""
    with pytest.raises(ConfigError, match=r"rank 2 is not in \[0, 2\)"):
        WindowSampler([(9, *KINDS[0])], PLAN, seed=0, rank=2, world_size=2)
