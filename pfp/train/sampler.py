"""Samples the windows of each step: a pure function of (seed, step, rank), so nothing to save.

A loader that is killed in the middle of an epoch goes on exactly by being told the step; there is
no shuffle buffer to fill, because any window of any clip is one cheap read.

Targets of retrieval are random frame sets Omega, each position of the history asked for equally
often (section 3.1). That is the guard against the cheat of a fixed position: an encoder that knew
which frames would be asked for, such as the last, could spend all of its tokens on those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pfp.errors import ConfigError, InputError
from pfp.schema.windows import TIME_STRIDE, check_time_stride


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """How windows are cut.

    A sample is a history of ``history_frames`` latent frames, and targets to denoise:
    ``num_targets`` random ones of the history (retrieval), or with the probability
    ``continue_share``, and where the clip is long enough, the section that follows it. A section
    has ``num_targets`` latent frames too, or one of ``section_lengths``. Where several lengths are
    given, of histories or sections, each step draws one, the same for the batch and for all ranks.

    With ``shorten_history`` every sample continues: a batch with a clip that is too short for the
    drawn history and section takes the longest history that leaves room for the section. It needs
    a ``continue_share`` of 1. A history may then also have no latent frame: 0 among
    ``history_frames`` trains how a video begins, always with the clip's first latents.

    ``time_stride`` is T of the rate HxWxT, the largest where encoders of several are trained at
    once: windows begin at its multiples, and a history has a multiple of it and one latent frame
    more, so that HR and LR are in step and end together.
    """

    batch_size: int
    history_frames: int | tuple[int, ...]
    num_targets: int
    continue_share: float
    section_lengths: tuple[int, ...] = ()
    time_stride: int = TIME_STRIDE
    shorten_history: bool = False

    @property
    def histories(self) -> tuple[int, ...]:
        """The lengths that a history may have."""
        lengths = self.history_frames
        return lengths if isinstance(lengths, tuple) else (lengths,)

    @property
    def sections(self) -> tuple[int, ...]:
        """The lengths that a section may have."""
        return self.section_lengths or (self.num_targets,)

    @property
    def shortest_clip(self) -> int:
        """The latent frames that a clip must have to be trained on."""
        if self.shorten_history:
            return min(1, *self.histories) + max(self.sections)
        return max(self.histories)

    def fitting(self, history: int, room: int) -> int:
        """The longest history in step with LR of at most ``history`` and ``room`` latent frames."""
        if history <= room:
            return history
        return room and room - (room - 1) % self.time_stride

    def __post_init__(self) -> None:
        """Refuses what cannot be cut."""
        stride = self.time_stride
        check_time_stride("time_stride", stride)
        if not self.histories:
            raise ConfigError("history_frames is empty; give one length or several")
        for length in self.histories:
            if length < 0 or (length and length % stride != 1 % stride):
                raise ConfigError(
                    f"history_frames is {length}; give a multiple of {stride} and one more, so "
                    "that the high- and the low-resolution history end together"
                )
        if self.shorten_history:
            self._check_that_all_continue()
        else:
            self._check_that_all_can_be_asked()
        if self.batch_size < 1 or not 0 <= self.continue_share <= 1:
            raise ConfigError(
                f"batch_size {self.batch_size} starts at 1, continue_share {self.continue_share} "
                "lies in [0, 1]; give other values"
            )

    def _check_that_all_continue(self) -> None:
        if self.continue_share != 1:
            raise ConfigError(
                f"continue_share is {self.continue_share}, and shorten_history makes every sample "
                "continue; give continue_share=1, or shorten_history=false"
            )
        for name, lengths in (("num_targets", (self.num_targets,)), ("sections", self.sections)):
            if min(lengths) < 1:
                raise ConfigError(f"{name} has {min(lengths)}; give 1 or more")

    def _check_that_all_can_be_asked(self) -> None:
        shortest = min(self.histories)
        if shortest < 1:
            raise ConfigError(
                "history_frames has 0, and of no history nothing can be retrieved; leave it out, "
                "or give shorten_history=true and continue_share=1"
            )
        if not 1 <= self.num_targets <= shortest:
            raise ConfigError(f"num_targets is {self.num_targets}; give 1 to {shortest}")
        for length in self.sections:
            if not 1 <= length <= shortest:
                raise ConfigError(
                    f"section_lengths has {length}; give 1 to {shortest}, for clips too short to "
                    "go on are asked for as many frames of their history"
                )


class SampledWindow(NamedTuple):
    """One sample: latents ``[start, start + history)`` of a clip, and targets counted from start.

    ``start`` is a multiple of the plan's ``time_stride``, so that HR and LR frames are in step.
    """

    row: int
    start: int
    history: int
    targets: tuple[int, ...]


class _Lengths(NamedTuple):
    history: int
    section: int


class WindowSampler:
    """An endless sequence of batches of one shape each, dealt out to ``world_size`` ranks.

    An epoch shows every clip that is as long as the longest history (with ``shorten_history``, as
    the plan's ``shortest_clip``) once, in one random window: clips are shuffled within their shape
    and cut into batches, the batches of all shapes are shuffled and dealt out in turn. Where a
    batch's shortest clip decides on the history, clips of like lengths come together. Where a
    shape's clips do not fill the last batch, or the batches the last turn, some are shown again
    from the epoch's beginning. Each rank draws for itself whether its batch goes on. ``shapes_N4``
    holds the ``(T, C, H, W)`` of each row's HR latents.

    ``InputError`` when no clip is long enough.
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
        self.plan = plan
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._num_latents = shapes[:, 0]
        self._buckets = _buckets(shapes, plan.shortest_clip)
        if not self._buckets:
            raise InputError(
                f"none of {len(shapes)} clips has {plan.shortest_clip} latent frames; "
                "give longer clips or a shorter history"
            )
        num_batches = sum(-(-len(rows) // plan.batch_size) for rows in self._buckets)
        self.steps_per_epoch = -(-num_batches // world_size)
        self._epoch: tuple[int, list[NDArray[np.int64]]] | None = None

    def at(self, step: int) -> list[SampledWindow]:
        """This rank's batch of a step, ``batch_size`` samples of one shape."""
        epoch, turn = divmod(step, self.steps_per_epoch)
        batches = self._batches_of(epoch)
        rows = batches[(turn * self._world_size + self._rank) % len(batches)]
        rng = _generator(self._seed, 1, step, self._rank)
        follows = bool(rng.random() < self.plan.continue_share)
        lengths = self._lengths(step)
        if self.plan.shorten_history:
            room = int(self._num_latents[rows].min()) - lengths.section
            lengths = lengths._replace(history=self.plan.fitting(lengths.history, room))
        return [self._choose(int(row), rng, lengths, follows=follows) for row in rows]

    def _lengths(self, step: int) -> _Lengths:
        """What all samples of all ranks have at a step."""
        rng = _generator(self._seed, 2, step, 0)
        history, section = (
            choices[int(rng.integers(len(choices)))]
            for choices in (self.plan.histories, self.plan.sections)
        )
        return _Lengths(history, section)

    def _choose(
        self, row: int, rng: np.random.Generator, lengths: _Lengths, *, follows: bool
    ) -> SampledWindow:
        history, stride = lengths.history, self.plan.time_stride
        num_latents = int(self._num_latents[row])
        # A batch has targets of one length, so a clip that is too short to go on has as many, too.
        num_targets = lengths.section if follows else self.plan.num_targets
        follows = follows and num_latents >= history + num_targets
        needed = history + num_targets * follows
        start = 0  # a video without a history begins with its first latent
        if history:
            start = stride * int(rng.integers((num_latents - needed) // stride + 1))
        if follows:
            targets = np.arange(history, needed)
        else:
            targets = np.sort(rng.choice(history, num_targets, replace=False))
        return SampledWindow(row, start, history, tuple(targets.tolist()))

    def _batches_of(self, epoch: int) -> list[NDArray[np.int64]]:
        """All batches of an epoch, in the order in which ranks take them."""
        if self._epoch is None or self._epoch[0] != epoch:
            rng = _generator(self._seed, 0, epoch, 0)
            batches = [
                batch
                for rows in self._buckets
                for batch in _cut(self._alike(rng.permutation(rows)), self.plan.batch_size)
            ]
            self._epoch = epoch, [batches[index] for index in rng.permutation(len(batches))]
        return self._epoch[1]

    def _alike(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows whose clips allow equally long histories together, where histories are shortened.

        The longest come first, since the last batch is filled up from the beginning.
        """
        if not self.plan.shorten_history:
            return rows
        most = max(self.plan.histories) + max(self.plan.sections)
        return rows[np.argsort(-np.minimum(self._num_latents[rows], most), kind="stable")]


def _buckets(shapes_N4: NDArray[np.int64], shortest_clip: int) -> list[NDArray[np.int64]]:
    """The rows of long enough clips, one array for each ``(C, H, W)``."""
    long_enough = np.flatnonzero(shapes_N4[:, 0] >= shortest_clip)
    kinds, kind_of = np.unique(shapes_N4[long_enough, 1:], axis=0, return_inverse=True)
    return [long_enough[kind_of.reshape(-1) == kind] for kind in range(len(kinds))]


def _cut(rows: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Whole batches; the last is filled up from the beginning, in circles if need be."""
    num_batches = -(-len(rows) // batch_size)
    return list(np.resize(rows, num_batches * batch_size).reshape(num_batches, batch_size))


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
