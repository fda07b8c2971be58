"""One number against one threshold: what every filter is made of, and what ``why`` shows.

Whole columns are compared, so that five million clips are decided upon in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pfp.schema.verdict import Dropped

Column: TypeAlias = pa.ChunkedArray | pa.Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bound:
    """``value`` must not lie below (``is_min``) or above ``threshold``; equal is inside.

    ``value`` has a number for each clip; null is unknown: the clip cannot pass, with its own
    reason. ``reason`` is the snake_case name under which a clip is dropped, ``what`` the measured
    thing in words with its unit, ``which`` for each clip what of it was seen, where there are
    kinds. The bound is asked of clips where ``asked`` is true; None is all.
    """

    reason: str
    what: str
    value: Column
    threshold: float
    is_min: bool = False
    which: Column | None = None
    asked: Column | None = None

    def holds(self) -> npt.NDArray[np.bool_]:
        """For each clip whether its value is known and inside, or not asked for."""
        compare = pc.greater_equal if self.is_min else pc.less_equal
        inside = pc.fill_null(compare(self.value, self.threshold), fill_value=False)
        if self.asked is not None:
            inside = pc.or_(inside, pc.invert(self.asked))
        return np.asarray(inside, bool)

    def is_asked(self, row: int) -> bool:
        """Whether the bound is for the clip in that row."""
        return self.asked is None or bool(self.asked[row].as_py())

    def refusal(self, row: int) -> Dropped:
        """The verdict of a clip for which the bound does not hold, with value and threshold."""
        value = self._value(row)
        if value is None:
            return Dropped(
                reason=f"{self.reason}_unknown",
                detail=f"{self._what(row)} could not be measured",
                threshold=self.threshold,
            )
        return Dropped(
            reason=self.reason, detail=self.text(row), score=value, threshold=self.threshold
        )

    def text(self, row: int) -> str:
        """The comparison in words: ``seconds of video 2.97, at least 3.75 wanted``."""
        value = self._value(row)
        known = "unknown" if value is None else f"{value:.4g}"
        side = "at least" if self.is_min else "at most"
        return f"{self._what(row)} {known}, {side} {self.threshold:.4g} wanted"

    def _value(self, row: int) -> float | None:
        value: Any = self.value[row].as_py()
        return None if value is None else float(value)

    def _what(self, row: int) -> str:
        return self.what if self.which is None else f"{self.what} ({self.which[row].as_py()})"


def first_refusals(bounds: Sequence[Bound], asked: npt.NDArray[np.bool_]) -> dict[int, Dropped]:
    """For each clip that is asked for and that a bound refuses, by row: the first that does so."""
    first = np.full(len(asked), len(bounds))
    for number, bound in reversed(list(enumerate(bounds))):
        first[~bound.holds()] = number
    refused = np.flatnonzero(asked & (first < len(bounds))).tolist()
    return {row: bounds[first[row]].refusal(row) for row in refused}


def quotient(numerator: Column, denominator: Column) -> Column:
    """One over the other for each clip; null where either is unknown or the latter is 0."""
    known = pc.if_else(pc.equal(denominator, 0), None, denominator)
    return pc.divide(pc.cast(numerator, pa.float64()), pc.cast(known, pa.float64()))


def is_other(kinds: Column, usual: str) -> Column:
    """1 for each clip of another kind than the usual one, 0 for one of that; null is unknown."""
    return pc.cast(pc.not_equal(kinds, usual), pa.float64())
