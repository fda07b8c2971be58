"""Which windows each step trains on: a pure function of (seed, step, rank), so nothing to save.

A loader that is killed in the middle of an epoch goes on exactly by being told the step; there is
no shuffle buffer to fill, because any window of any clip is one cheap read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pfp.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """How windows are cut.

    A sample is ``history_frames`` latent frames (odd, so that HR and LR end together) and
    ``num_targets`` to denoise: random ones of the history, or with the probability
    ``continue_share``, and where the clip is long enough, the ones that follow it.
    """

    batch_size: int
    history_frames: int
    num_targets: int
    continue_share: float

    def __post_init__(self) -> None:
        """Refuses what cannot be cut."""
        if self.history_frames < 1 or self.history_frames % 2 == 0:
            raise ConfigError(
                f"history_frames is {self.history_frames}; give an odd number, so that the high- "
                "and the low-resolution history end together"
            )
        if not 1 <= self.num_targets <= self.history_frames:
            raise ConfigError(f"num_targets is {self.num_targets}; give 1 to {self.history_frames}")
        if self.batch_size < 1 or not 0 <= self.continue_share <= 1:
            raise ConfigError(
                f"batch_size {self.batch_size} starts at 1, continue_share {self.continue_share} "
                "lies in [0, 1]; give other values"
            )


class WindowChoice(NamedTuple):
    """One sample: latents ``[start, start + history)`` of a clip, and targets counted from start.

    ``start`` is even, so that the window's HR and LR frames are in step.
    """

    row: int
    start: int
    targets: tuple[int, ...]


class WindowOrder:
    """An endless sequence of batches of one shape each, dealt out to ``world_size`` ranks.

    An epoch shows every long enough clip once, in one random window: clips are shuffled within
    their shape and cut into batches, the batches of all shapes are shuffled and dealt out in turn.
    Where a shape's clips do not fill the last batch, or the batches the last turn, some are shown
    again from the epoch's beginning. ``shapes_N4`` holds the ``(T, C, H, W)`` of each row.

    ``InputError`` when no clip is as long as a history.
    """

    def __init__(
        self,
        shapes_N4: NDArray[Any] | Sequence[tuple[int, ...]],
        plan: WindowPlan,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} is not in [0, {world_size}); give each process its own")
        shapes = np.asarray(shapes_N4, dtype=np.int64).reshape(-1, 4)
        self._plan = plan
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._num_latents = shapes[:, 0]
        self._buckets = _buckets(shapes, plan.history_frames)
        if not self._buckets:
            raise InputError(
                f"none of {len(shapes)} clips has {plan.history_frames} latent frames; "
                "give longer clips or a shorter history"
            )
        num_batches = sum(-(-len(rows) // plan.batch_size) for rows in self._buckets)
        self.steps_per_epoch = -(-num_batches // world_size)
        self._epoch: tuple[int, list[NDArray[np.int64]]] | None = None

    def at(self, step: int) -> list[WindowChoice]:
        """This rank's batch of a step, ``batch_size`` samples of one shape."""
        epoch, turn = divmod(step, self.steps_per_epoch)
        batches = self._batches_of(epoch)
        rows = batches[(turn * self._world_size + self._rank) % len(batches)]
        rng = _generator(self._seed, 1, step, self._rank)
        follows = bool(rng.random() < self._plan.continue_share)
        return [self._choose(int(row), rng, follows=follows) for row in rows]

    def _choose(self, row: int, rng: np.random.Generator, *, follows: bool) -> WindowChoice:
        plan, num_latents = self._plan, int(self._num_latents[row])
        follows = follows and num_latents >= plan.history_frames + plan.num_targets
        needed = plan.history_frames + plan.num_targets * follows
        start = 2 * int(rng.integers((num_latents - needed) // 2 + 1))
        if follows:
            targets = np.arange(plan.history_frames, needed)
        else:
            targets = np.sort(rng.choice(plan.history_frames, plan.num_targets, replace=False))
        return WindowChoice(row, start, tuple(targets.tolist()))

    def _batches_of(self, epoch: int) -> list[NDArray[np.int64]]:
        """All batches of an epoch, in the order in which ranks take them."""
        if self._epoch is None or self._epoch[0] != epoch:
            rng = _generator(self._seed, 0, epoch, 0)
            batches = [
                batch
                for rows in self._buckets
                for batch in _cut(rng.permutation(rows), self._plan.batch_size)
            ]
            self._epoch = epoch, [batches[index] for index in rng.permutation(len(batches))]
        return self._epoch[1]


def _buckets(shapes_N4: NDArray[np.int64], history_frames: int) -> list[NDArray[np.int64]]:
    """The rows of long enough clips, one array for each ``(C, H, W)``."""
    long_enough = np.flatnonzero(shapes_N4[:, 0] >= history_frames)
    kinds, kind_of = np.unique(shapes_N4[long_enough, 1:], axis=0, return_inverse=True)
    return [long_enough[kind_of.reshape(-1) == kind] for kind in range(len(kinds))]


def _cut(rows: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Whole batches; the last is filled up from the beginning, in circles if need be."""
    num_batches = -(-len(rows) // batch_size)
    return list(np.resize(rows, num_batches * batch_size).reshape(num_batches, batch_size))


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
