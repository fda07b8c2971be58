"""The compact letter display: what shares a letter, and what must not."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.eval.stats.significance import compact_letter_display

NAMES = ("p", "q", "r", "s", "t", "u")
PAIRS = [frozenset(pair) for pair in combinations(NAMES, 2)]


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_share_a_letter_exactly_if_they_do_not_differ(different: set[frozenset[str]]) -> None:
    """Whatever the pairs that differ, letters say the same."""
    found = compact_letter_display(NAMES, different)

    for a, b in combinations(NAMES, 2):
        assert (frozenset((a, b)) in different) == (not set(found[a]) & set(found[b]))


@given(st.sets(st.sampled_from(PAIRS)))
def test_no_letter_is_there_in_vain(different: set[frozenset[str]]) -> None:
    """No group of a letter lies within that of another."""
    found = compact_letter_display(NAMES, different)
    groups = {
        mark: {name for name in NAMES if mark in found[name]}
        for mark in set("".join(found.values()))
    }

    assert not any(groups[a] <= groups[b] for a in groups for b in groups if a != b)


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        ([], {"p": "a", "q": "a", "r": "a"}),
        (["pr"], {"p": "a", "q": "ab", "r": "b"}),
        (["pq", "pr", "qr"], {"p": "a", "q": "b", "r": "c"}),
    ],
    ids=["all alike", "ends differ", "all differ"],
)
def test_letters_follow_the_table(different: list[str], expected: dict[str, str]) -> None:
    """The first in the table has the letter a, those below it later ones."""
    assert expected == compact_letter_display(
        ("p", "q", "r"), {frozenset(pair) for pair in different}
    )
