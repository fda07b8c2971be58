"""Which clips are taken where some kinds are too many: shares by a column, chosen by digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pfp.errors import ConfigError
from pfp.ingest.spans import Ints
from pfp.schema.verdict import Dropped

REST: Final = "other"
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What shares of the clips the kinds in a column have; what these leave is for all others.

    As many clips are taken as the scarcest of these kinds allows. Of a kind those are taken whose
    ids have the lowest digests, so that further clips change little.
    """

    column: str
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuses shares that no choice can have."""
        total = sum(self.shares.values())
        if not self.shares or min(self.shares.values()) <= 0 or total > 1 + 1e-9:
            message = (
                f"quota of {self.column}: shares {dict(self.shares)} are not above 0 and at most 1 "
                "in all; correct them"
            )
            raise ConfigError(message)
        if REST in self.shares:
            message = (
                f"quota of {self.column}: {REST} is what the other shares leave; leave the line "
                f"{REST}: {self.shares[REST]:g} out"
            )
            raise ConfigError(message)

    def surplus(self, kinds: pa.Array, clip_ids: pa.Array) -> Surplus:
        """The clips that are too many, of those of these kinds and ids."""
        names = np.array([kind if kind in self.shares else REST for kind in kinds.to_pylist()])
        counts = {name: int((names == name).sum()) for name in (*self.shares, REST)}
        total = min(counts[name] / share for name, share in self.shares.items())
        rest = max(0.0, 1 - sum(self.shares.values()))
        num_taken = {name: int(share * total + _ROUNDING) for name, share in self.shares.items()}
        num_taken[REST] = min(counts[REST], int(rest * total + _ROUNDING))
        is_over = np.zeros(len(names), bool)
        order = np.argsort(np.array(list(map(_digest, clip_ids.to_pylist())), "S32"))
        for name, number in num_taken.items():
            is_over[order[names[order] == name][number:]] = True
        return Surplus(self, np.flatnonzero(is_over), names[is_over], counts, num_taken)


@dataclass(frozen=True, slots=True)
class Surplus:
    """The rows of the clips that are too many, and how many there were of each kind."""

    quota: Quota
    rows: Ints
    kinds: npt.NDArray[np.str_]
    num_clips: Mapping[str, int]
    num_taken: Mapping[str, int]

    def verdicts(self) -> Iterator[Dropped]:
        """Why each of them is dropped."""
        for kind in self.kinds.tolist():
            yield Dropped(
                reason=f"quota_{self.quota.column}",
                detail=f"{self.num_taken[kind]} of {self.num_clips[kind]} {kind} clips are taken",
                score=float(self.num_clips[kind]),
                threshold=float(self.num_taken[kind]),
            )


def _digest(clip_id: str) -> bytes:
    return hashlib.sha256(clip_id.encode()).hexdigest()[:32].encode()
