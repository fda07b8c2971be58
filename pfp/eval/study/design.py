"""Which rater sees which comparison, in which order and on which side: balanced and seeded.

Axes: R raters, N comparisons of one rater, K pairs of models, C prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from pfp.errors import ConfigError

DEFAULT_PAIRS: Final = 30
MAX_DEFAULT_REPEATS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """One comparison as it is shown: the numbers of its prompt and of the models on both sides."""

    prompt: int
    left: int
    right: int

    def swapped(self) -> Showing:
        """The same two videos with their sides exchanged."""
        return Showing(prompt=self.prompt, left=self.right, right=self.left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The showings of each rater in order, repeats among them, and what they consist of."""

    num_models: int
    num_prompts: int
    pairs_per_rater: int
    repeats_per_rater: int
    raters: tuple[tuple[Showing, ...], ...]

    @property
    def num_pairs(self) -> int:
        """Pairs of models."""
        return math.comb(self.num_models, 2)

    @property
    def num_comparisons(self) -> int:
        """Different comparisons: every pair of models on every prompt."""
        return self.num_pairs * self.num_prompts

    @property
    def num_votes(self) -> int:
        """Votes if every rater votes on everything; repeats are no votes."""
        return len(self.raters) * self.pairs_per_rater

    @property
    def even_raters(self) -> int:
        """The fewest raters who see each comparison equally often; multiples of them do, too."""
        return self.num_comparisons // math.gcd(self.num_comparisons, self.pairs_per_rater)


def make_design(
    *,
    num_models: int,
    num_prompts: int,
    pairs_per_rater: int | None = None,
    num_raters: int | None = None,
    repeats_per_rater: int | None = None,
    seed: int = 0,
) -> Design:
    """A balanced incomplete design.

    All comparisons stand in one cycle, in which pairs of models and prompts both go round; a rater
    gets the next N of it, shuffled. So over any raters in a row each comparison and each pair of
    models is seen equally often up to 1, each prompt up to 2. A pair's sides alternate along the
    cycle, so each model of it is on the left in half of its showings up to 1. A repeat shows
    something of a rater's first third again in the last third, with its sides swapped.

    Args:
        num_models: M, at least 2.
        num_prompts: C, at least 1.
        pairs_per_rater: N; default 30, or all comparisons if they are fewer.
        num_raters: R; default as many as see every comparison once.
        repeats_per_rater: default a tenth of N, at most 3.
        seed: of orders and sides.

    Raises:
        ConfigError: there is nothing to compare, or a number is out of range.
    """
    if num_models < 2 or num_prompts < 1 or seed < 0:
        raise ConfigError(
            f"{num_models} models, {num_prompts} prompts, seed {seed}: give two models or more, a "
            "prompt on which all have a video, and a seed from 0 on"
        )
    total = math.comb(num_models, 2) * num_prompts
    size = min(DEFAULT_PAIRS, total) if pairs_per_rater is None else pairs_per_rater
    if not 1 <= size <= total:
        raise ConfigError(f"{size} pairs per rater; there are {total} different ones, give 1 to it")
    raters = math.ceil(total / size) if num_raters is None else num_raters
    if raters < 1:
        raise ConfigError(f"{raters} raters; give one or more")
    default_repeats = min(MAX_DEFAULT_REPEATS, size // 10)
    repeats = default_repeats if repeats_per_rater is None else repeats_per_rater
    if not 0 <= repeats <= size // 3:
        raise ConfigError(
            f"{repeats} repeats among {size} pairs; give 0 to {size // 3}, a third, so that "
            "something else is seen between"
        )
    cycle = _Cycle(num_models, num_prompts, seed)
    return Design(
        num_models=num_models,
        num_prompts=num_prompts,
        pairs_per_rater=size,
        repeats_per_rater=repeats,
        raters=tuple(
            _shuffled(
                [cycle.showing(turn) for turn in range(rater * size, (rater + 1) * size)],
                repeats,
                np.random.default_rng([seed, 1, rater]),
            )
            for rater in range(raters)
        ),
    )


class _Cycle:
    """All comparisons in an endless row; the names of pairs and prompts in it are drawn."""

    def __init__(self, num_models: int, num_prompts: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        pairs = list(combinations(range(num_models), 2))
        self._pairs = [pairs[int(i)] for i in rng.permutation(len(pairs))]
        self._prompts = [int(i) for i in rng.permutation(num_prompts)]
        self._flips = [int(flip) for flip in rng.integers(0, 2, len(pairs))]
        self._lap = math.lcm(len(pairs), num_prompts)

    def showing(self, turn: int) -> Showing:
        """The comparison at that place.

        Within a lap pairs and prompts go round together and meet once each way; every lap starts
        one prompt later, until all have met (the Chinese remainder theorem).
        """
        num_pairs, num_prompts = len(self._pairs), len(self._prompts)
        round_, place = divmod(turn, num_pairs * num_prompts)
        pair = place % num_pairs
        prompt = (place + place // self._lap) % num_prompts
        # An even number of prompts brings each comparison back on the side it had, but for this.
        again = round_ if num_prompts % 2 == 0 else 0
        one, other = self._pairs[pair]
        if (turn // num_pairs + again + self._flips[pair]) % 2:
            one, other = other, one
        return Showing(prompt=self._prompts[prompt], left=one, right=other)


def _shuffled(
    showings: list[Showing], num_repeats: int, rng: np.random.Generator
) -> tuple[Showing, ...]:
    """The showings in an order of the rater's own, with repeats put into the last third."""
    order = [showings[int(i)] for i in rng.permutation(len(showings))]
    third = len(order) // 3
    again = [order[int(i)].swapped() for i in rng.permutation(third)[:num_repeats]]
    for showing in again:
        order.insert(int(rng.integers(len(showings) - third, len(order) + 1)), showing)
    return tuple(order)
