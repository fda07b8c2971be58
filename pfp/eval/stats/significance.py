"""Which methods differ for sure: the compact letter display of Piepho (2004), as in field trials.

Two methods share a letter exactly if their difference is not significant. Methods that share too
few clips to be compared have no letters: who was not compared is not "not different".
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import combinations
from string import ascii_lowercase
from typing import Final, TypeAlias

from pfp.eval.stats.aggregate import Bootstrap, holm, paired_p_value

MAX_PAIRED_METHODS: Final = 12  # with more, letters say little and pairs are many

# Pairs of names -> Holm-adjusted p value; None for pairs that share too few clips.
Pairs: TypeAlias = Mapping[frozenset[str], float | None]


def all_pairs(
    values: Mapping[str, Mapping[str, float]], names: Sequence[str], bootstrap: Bootstrap
) -> dict[frozenset[str], float | None]:
    """Every name against every other, adjusted for their number.

    values: by name and clip.
    """
    return _adjusted(values, list(combinations(names, 2)), bootstrap)


def one_against_all(
    values: Mapping[str, Mapping[str, float]],
    name: str,
    others: Sequence[str],
    bootstrap: Bootstrap,
) -> dict[frozenset[str], float | None]:
    """One name against each of others, adjusted for their number."""
    return _adjusted(values, [(name, other) for other in others], bootstrap)


def _adjusted(
    values: Mapping[str, Mapping[str, float]],
    pairs: Sequence[tuple[str, str]],
    bootstrap: Bootstrap,
) -> dict[frozenset[str], float | None]:
    found = [paired_p_value(values[a], values[b], bootstrap=bootstrap) for a, b in pairs]
    return dict(zip(map(frozenset, pairs), holm(found), strict=True))


def compact_letters_of(names: Sequence[str], pairs: Pairs, *, level: float) -> dict[str, str]:
    """The letters of those names of which any two were compared, none if that is one alone.

    names: in the order of the table; pairs: all of them.
    """
    compared = _comparable(names, pairs)
    if len(compared) < 2:
        return {}
    return compact_letter_display(
        compared, {pair for pair, p in pairs.items() if p is not None and p < level}
    )


def _comparable(names: Sequence[str], pairs: Pairs) -> list[str]:
    """Without whoever lacks most comparisons, the last of several, until nobody lacks one."""
    left = list(names)
    while left:
        missing = {
            name: sum(pairs[frozenset((name, other))] is None for other in left if other != name)
            for name in left
        }
        worst = max(reversed(left), key=missing.__getitem__)
        if not missing[worst]:
            break
        left.remove(worst)
    return left


def compact_letter_display(
    names: Sequence[str], different: Container[frozenset[str]]
) -> dict[str, str]:
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
