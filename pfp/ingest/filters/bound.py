"""One number against one threshold: what every filter is made of, and what ``why`` shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pfp.schema.verdict import KEPT, Dropped, Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """``value`` must not lie below (``is_min``) or above ``threshold``; equal is inside.

    ``reason`` is the snake_case name under which a clip is dropped, ``what`` the measured thing in
    words with its unit. A value of None is unknown: the clip cannot pass, with its own reason.
    """

    reason: str
    what: str
    value: float | None
    threshold: float
    is_min: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value is known and inside."""
        if self.value is None:
            return False
        return self.value >= self.threshold if self.is_min else self.value <= self.threshold

    def verdict(self) -> Kept | Dropped:
        """Kept, or Dropped with the value and the threshold."""
        if self.holds:
            return KEPT
        if self.value is None:
            return Dropped(
                reason=f"{self.reason}_unknown",
                detail=f"{self.what} could not be measured",
                threshold=self.threshold,
            )
        return Dropped(
            reason=self.reason,
            detail=self.text(),
            score=self.value,
            threshold=self.threshold,
        )

    def text(self) -> str:
        """The comparison in words: ``duration 2.97 s, at least 3.75``."""
        known = "unknown" if self.value is None else f"{self.value:.4g}"
        side = "at least" if self.is_min else "at most"
        return f"{self.what} {known}, {side} {self.threshold:.4g} wanted"


def judge(bounds: Iterable[Bound]) -> Kept | Dropped:
    """Kept when all bounds hold, else Dropped for the first that does not."""
    for bound in bounds:
        if not bound.holds:
            return bound.verdict()
    return KEPT
