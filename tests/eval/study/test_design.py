"""Designs of user studies: balanced whatever the numbers, drawn by the seed, or refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.eval.study.design import Design, Showing, make_design


@st.composite
def designs(draw: st.DrawFn) -> Design:
    """Any design of up to 6 models, 12 prompts and 9 raters."""
    num_models, num_prompts = draw(st.integers(2, 6)), draw(st.integers(1, 12))
    size = draw(st.integers(1, math.comb(num_models, 2) * num_prompts))
    return make_design(
        num_models=num_models,
        num_prompts=num_prompts,
        pairs_per_rater=size,
        num_raters=draw(st.integers(1, 9)),
        repeats_per_rater=draw(st.integers(0, size // 3)),
        seed=draw(st.integers(0, 99)),
    )


def pair_of(showing: Showing) -> tuple[int, int]:
    """The two models, whatever their sides."""
    return min(showing.left, showing.right), max(showing.left, showing.right)


def comparison_of(showing: Showing) -> tuple[int, int, int]:
    """The two models and the prompt."""
    return (*pair_of(showing), showing.prompt)


def once(slot: Iterable[Showing]) -> list[Showing]:
    """What a rater sees, repeats left out."""
    return list({comparison_of(showing): showing for showing in reversed(list(slot))}.values())


def spread(counts: Counter[object], num_kinds: int) -> int:
    """The largest count less the smallest, kinds that never occur among them."""
    found = [*counts.values(), *[0] * (num_kinds - len(counts))]
    return max(found) - min(found)


@settings(deadline=None, max_examples=150)
@given(designs())
def test_everything_is_shown_equally_often(design: Design) -> None:
    """Pairs and comparisons differ by at most 1 over all raters, prompts by at most 2."""
    shown = [showing for slot in design.raters for showing in once(slot)]
    num_pairs = math.comb(design.num_models, 2)

    assert len(shown) == design.num_votes
    assert spread(Counter(map(pair_of, shown)), num_pairs) <= 1
    assert spread(Counter(map(comparison_of, shown)), num_pairs * design.num_prompts) <= 1
    assert spread(Counter(showing.prompt for showing in shown), design.num_prompts) <= 2


@settings(deadline=None, max_examples=150)
@given(designs())
def test_every_rater_has_a_balanced_share(design: Design) -> None:
    """One rater sees each comparison at most once, pairs up to 1 and prompts up to 2 alike."""
    num_pairs = math.comb(design.num_models, 2)
    for slot in design.raters:
        shown = once(slot)

        assert len(shown) == design.pairs_per_rater
        assert spread(Counter(map(pair_of, shown)), num_pairs) <= 1
        assert spread(Counter(showing.prompt for showing in shown), design.num_prompts) <= 2


@settings(deadline=None, max_examples=150)
@given(designs())
def test_sides_are_balanced(design: Design) -> None:
    """Of each pair each model is left half the time up to 1, and of each comparison, too."""
    shown = [showing for slot in design.raters for showing in once(slot)]
    for kind in (pair_of, comparison_of):
        lead: Counter[object] = Counter()
        for showing in shown:
            lead[kind(showing)] += 1 if showing.left < showing.right else -1

        assert max(map(abs, lead.values())) <= 1


@settings(deadline=None, max_examples=150)
@given(designs())
def test_repeats_come_late_and_swapped(design: Design) -> None:
    """Exactly the asked number comes twice, sides swapped, with a third of the pairs between."""
    for slot in design.raters:
        first: dict[tuple[int, int, int], int] = {}
        num_repeats = 0
        for position, showing in enumerate(slot):
            before = first.setdefault(comparison_of(showing), position)
            if before == position:
                continue
            num_repeats += 1
            assert slot[before].swapped() == showing
            assert position - before > len(slot) // 3 - design.repeats_per_rater

        assert num_repeats == design.repeats_per_rater


def test_an_even_number_of_raters_is_exactly_even() -> None:
    """With the number of raters that the design names, comparisons and prompts are all equal."""
    design = make_design(num_models=4, num_prompts=10, pairs_per_rater=24)
    full = make_design(
        num_models=4, num_prompts=10, pairs_per_rater=24, num_raters=design.even_raters
    )
    shown = [showing for slot in full.raters for showing in once(slot)]

    assert design.even_raters == 5
    assert set(Counter(map(comparison_of, shown)).values()) == {2}
    assert set(Counter(showing.prompt for showing in shown).values()) == {12}


def test_defaults_see_everything_once() -> None:
    """Thirty pairs each, three repeats, and as many raters as cover all comparisons."""
    design = make_design(num_models=4, num_prompts=20)

    assert (len(design.raters), design.pairs_per_rater) == (4, 30)
    assert design.repeats_per_rater == 3
    assert len({comparison_of(one) for slot in design.raters for one in slot}) == 120


def test_the_seed_decides() -> None:
    """Equal seeds give equal designs, another one other orders and sides."""
    made = [make_design(num_models=3, num_prompts=5, seed=seed) for seed in (7, 7, 8)]

    assert made[0] == made[1]
    assert made[0] != made[2]


def test_raters_have_orders_of_their_own() -> None:
    """Raters who see the same comparisons see them in different orders."""
    design = make_design(num_models=3, num_prompts=8, num_raters=4, repeats_per_rater=0)
    orders = [tuple(map(comparison_of, slot)) for slot in design.raters]

    assert len({frozenset(order) for order in orders}) == 1
    assert len(set(orders)) == 4


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"num_models": 1}, "give two models"),
        ({"num_prompts": 0}, "a prompt on which all have a video"),
        ({"seed": -1}, "a seed from 0 on"),
        ({"pairs_per_rater": 0}, "there are 15 different ones"),
        ({"pairs_per_rater": 16}, "there are 15 different ones"),
        ({"num_raters": 0}, "give one or more"),
        ({"pairs_per_rater": 9, "repeats_per_rater": 4}, "give 0 to 3, a third"),
        ({"repeats_per_rater": -1}, "give 0 to 5, a third"),
    ],
)
def test_impossible_designs_are_refused(wrong: dict[str, int], cure: str) -> None:
    """Each refusal names the number and what is possible."""
    with pytest.raises(ConfigError, match=cure):
        make_design(**{"num_models": 3, "num_prompts": 5, **wrong})
