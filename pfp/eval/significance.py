"""Which methods differ for sure: letters, as tables of field trials have them (Piepho 2004).

Two methods share a letter exactly if their difference is not significant.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import combinations
from string import ascii_lowercase
from typing import Final

MAX_METHODS: Final = 12  # every pair costs a bootstrap


def letters(names: Sequence[str], different: Container[frozenset[str]]) -> dict[str, str]:
    """The letters of each name, ``a`` for the group that the first name is in.

    names: in the order of the table; different: the pairs that differ. By insertion and absorption:
    one group of all is split at every pair that differs, and groups inside others go.
    """
    groups = [frozenset(names)]
    for pair in map(frozenset, combinations(names, 2)):
        if pair not in different:
            continue
        split = [group - {name} for group in groups if pair <= group for name in pair]
        groups = _largest([group for group in groups if not pair <= group] + split)
    places = {name: place for place, name in enumerate(names)}
    groups.sort(key=lambda group: sorted(places[name] for name in group))
    marks = {group: _mark(number) for number, group in enumerate(groups)}
    return {name: "".join(marks[group] for group in groups if name in group) for name in names}


def _largest(groups: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The groups that lie in no other, each once."""
    distinct = list(dict.fromkeys(groups))
    return [group for group in distinct if not any(group < other for other in distinct)]


def _mark(number: int) -> str:
    return ascii_lowercase[number] if number < len(ascii_lowercase) else f"({number + 1})"
