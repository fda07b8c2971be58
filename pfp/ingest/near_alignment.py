"""Lays one video of a pair over the other, and tells how well the two agree.

The shorter one lies on a line in the longer one: it begins somewhere and runs at nearly the same
speed. Lines through the seeds of a pair are tried first, then the best of them is moved a little at
both ends, which finds the speed, too.

Axes: P pairs, S seeds, L lines, J moments of the shorter video.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pfp.ingest.near_candidates import Flags, Indices, Pairs, Samples
from pfp.ingest.signatures import MIRRORED, Words

Floats: TypeAlias = npt.NDArray[np.float64]

# PAL plays film 4.2 % faster; copies that are to escape such searches, 5 %. One sample more or less
# at both ends is room for rounding.
SPEEDS: Final = (0.95, 1.0, 1.05)
MAX_SPEED_CHANGE: Final = 0.07

FRAME_BITS: Final = 22  # a picture that differs in more is another (SEED_BITS tells of what)
UNRELATED_BITS: Final = 32  # what two words differ in by chance

_FEW_MOMENTS: Final = 16  # to choose between lines
_MIN_SHARE: Final = 0.4  # of them at which pictures must be like: a shared intro is not followed up
_MANY_MOMENTS: Final = 64  # to judge the best: each half second of 32 s
_ROUNDS: Final = ((2, 24), (1, 32), (1, 32))  # how far the ends are moved, and at how many moments
_BATCH: Final = 512  # arrays of some megabytes, which caches hold


class Alignments(NamedTuple):
    """How pairs lie over each other, one value a pair.

    ``begin`` and ``end`` are where the first and the last sample of the shorter video lie in the
    longer one. ``contained`` is the share of the shorter one's pictures that are found there, and
    ``bits`` the mean in which these differ. ``change_bits`` is that of the changes, over the
    ``num_changes`` moments at which both tell of one.
    """

    longer: Indices
    shorter: Indices
    begin: Floats
    end: Floats
    is_mirrored: Flags
    contained: Floats
    bits: Floats
    change_bits: Floats
    num_changes: Indices


def align(samples: Samples, pairs: Pairs) -> Alignments:
    """The best alignments of pairs; those that only have a few pictures in common are left out."""
    parts = [_align(samples, batch) for batch in _batches(pairs)]
    parts = parts or [_align(samples, pairs)]
    return joined(parts)


def joined(parts: Sequence[Alignments]) -> Alignments:
    """All of them one after the other."""
    return Alignments._make(np.concatenate(column) for column in zip(*parts, strict=True))


def taken(found: Alignments, index: Indices) -> Alignments:
    """Those at an index."""
    return Alignments._make(column[index] for column in found)


def _batches(pairs: Pairs) -> Iterator[Pairs]:
    for start in range(0, len(pairs.first), _BATCH):
        yield Pairs(*(side[start : start + _BATCH] for side in pairs))


def _align(samples: Samples, pairs: Pairs) -> Alignments:
    is_second_shorter = samples.num_samples(pairs.second) <= samples.num_samples(pairs.first)
    longer = np.where(is_second_shorter, pairs.first, pairs.second)
    shorter = np.where(is_second_shorter, pairs.second, pairs.first)
    at_PS2 = np.where(is_second_shorter[:, None, None], pairs.at_PS2, pairs.at_PS2[..., ::-1])
    mirror = _mirror_words(samples, longer, shorter, at_PS2)
    lines_PL2 = _lines(at_PS2.astype(np.float64), samples.num_samples(shorter))
    overlay = _Overlay(samples, longer, shorter, mirror)
    line_P2, share_P = overlay.best(lines_PL2, _FEW_MOMENTS)
    hope = np.flatnonzero(share_P >= _MIN_SHARE)
    line_P2, shorter = line_P2[hope], shorter[hope]
    overlay = _Overlay(samples, longer[hope], shorter, mirror[hope])
    for reach, num_moments in _ROUNDS:
        line_P2, _ = overlay.best(_moved(line_P2, reach, samples.num_samples(shorter)), num_moments)
    return overlay.judged(line_P2)


def _mirror_words(samples: Samples, longer: Indices, shorter: Indices, at_PS2: Indices) -> Words:
    """What turns words of the longer video into those of its mirror image, where that is nearer."""
    one = samples.words_N2[samples.starts[longer][:, None] + at_PS2[..., 0], 0]
    other = samples.words_N2[samples.starts[shorter][:, None] + at_PS2[..., 1], 0]
    bits = np.bitwise_count(one ^ other).sum(axis=1, dtype=np.int64)
    mirrored_bits = np.bitwise_count(one ^ other ^ MIRRORED).sum(axis=1, dtype=np.int64)
    return np.where(mirrored_bits < bits, MIRRORED, np.uint64(0))


def _lines(at_PS2: Floats, num_shorter: Indices) -> Floats:
    """Lines to try: through each seed at each speed, and through the first and the last seed."""
    last_P = (num_shorter - 1).astype(np.float64)
    speeds_P = [np.full((len(last_P), 1), speed) for speed in SPEEDS]
    span_P2 = at_PS2[:, -1] - at_PS2[:, 0]
    slope_P = np.divide(
        span_P2[:, 0], span_P2[:, 1], out=np.ones(len(last_P)), where=span_P2[:, 1] != 0
    )
    speeds_P.append(slope_P.clip(1 - MAX_SPEED_CHANGE, 1 + MAX_SPEED_CHANGE)[:, None])
    lines = [
        np.stack(
            [
                at_PS2[..., 0] - speed * at_PS2[..., 1],
                at_PS2[..., 0] + speed * (last_P[:, None] - at_PS2[..., 1]),
            ],
            axis=-1,
        )
        for speed in speeds_P
    ]
    return np.concatenate(lines, axis=1)


def _moved(line_P2: Floats, reach: int, num_shorter: Indices) -> Floats:
    """The line and those whose ends lie up to ``reach`` samples away, none much too fast."""
    steps = np.arange(-reach, reach + 1)
    moves_L2 = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    lines_PL2 = line_P2[:, None] + moves_L2
    wanted_P1 = (num_shorter - 1)[:, None]
    excess_PL = np.abs(lines_PL2[..., 1] - lines_PL2[..., 0] - wanted_P1)
    is_allowed_PL = excess_PL <= MAX_SPEED_CHANGE * wanted_P1 + 1
    return np.where(is_allowed_PL[..., None], lines_PL2, line_P2[:, None])


class _Overlay:
    """Pairs of videos whose words are compared along lines."""

    def __init__(self, samples: Samples, longer: Indices, shorter: Indices, mirror: Words) -> None:
        self._words_N2 = samples.words_N2
        self._longer, self._shorter, self._mirror = longer, shorter, mirror
        self._starts = samples.starts[longer], samples.starts[shorter]
        self._nums = samples.num_samples(longer), samples.num_samples(shorter)

    def best(self, lines_PL2: Floats, num_moments: int) -> tuple[Floats, Floats]:
        """Of each pair's lines the one along which pictures and changes differ least, ``(P, 2)``.

        What lies outside of the longer video, or says nothing there, counts as unrelated. And the
        share of the moments at which the pictures along it are like.
        """
        bits_PLJ2, is_known_PLJ2, is_told_PJ = self._bits(lines_PL2, num_moments)
        bits_PLJ2[~is_known_PLJ2] = UNRELATED_BITS
        best_P = bits_PLJ2.sum(axis=(2, 3), dtype=np.int32).argmin(axis=1)
        every = np.arange(len(best_P))
        is_like_PJ = bits_PLJ2[every, best_P, :, 0] <= FRAME_BITS
        return lines_PL2[every, best_P], _mean(is_like_PJ, is_told_PJ)

    def judged(self, line_P2: Floats) -> Alignments:
        """How well the pairs agree along their lines."""
        bits_PLJ2, is_known_PLJ2, is_told_PJ = self._bits(line_P2[:, None], _MANY_MOMENTS)
        bits_PJ2, is_known_PJ2 = bits_PLJ2[:, 0], is_known_PLJ2[:, 0]
        is_found_PJ = is_known_PJ2[..., 0] & (bits_PJ2[..., 0] <= FRAME_BITS)
        is_change_PJ = is_found_PJ & is_known_PJ2[..., 1]
        return Alignments(
            longer=self._longer,
            shorter=self._shorter,
            begin=line_P2[:, 0],
            end=line_P2[:, 1],
            is_mirrored=self._mirror != 0,
            contained=_mean(is_found_PJ, is_told_PJ),
            bits=_mean(bits_PJ2[..., 0], is_found_PJ),
            change_bits=_mean(bits_PJ2[..., 1], is_change_PJ),
            num_changes=is_change_PJ.sum(axis=1),
        )

    def _bits(
        self, lines_PL2: Floats, num_moments: int
    ) -> tuple[npt.NDArray[np.uint8], Flags, Flags]:
        """Bits in which pictures and changes differ at moments, and whether both tell of them.

        ``(P, L, J, 2)`` each. And whether the shorter video shows anything then, ``(P, J)``.
        """
        share_J = np.linspace(0, 1, num_moments)
        at_PJ = np.rint(share_J * (self._nums[1] - 1)[:, None]).astype(np.int64)
        is_repeated_PJ = np.diff(at_PJ, axis=1, prepend=-1) == 0  # in short videos
        other_PJ2 = self._words_N2[self._starts[1][:, None] + at_PJ]
        other_PJ2[is_repeated_PJ] = 0
        share_P1J = (at_PJ / np.maximum(self._nums[1] - 1, 1)[:, None])[:, None]
        begin, end = lines_PL2[..., :1], lines_PL2[..., 1:]
        there_PLJ = np.rint(begin + (end - begin) * share_P1J).astype(np.int64)
        inside_PLJ = there_PLJ.clip(0, (self._nums[0] - 1)[:, None, None])
        one_PLJ2 = self._words_N2[self._starts[0][:, None, None] + inside_PLJ]
        is_told_PJ = other_PJ2[..., 0] != 0
        is_known_PLJ2 = (one_PLJ2 != 0) & (other_PJ2 != 0)[:, None]
        is_known_PLJ2 &= (inside_PLJ == there_PLJ)[..., None]
        other_PJ2 ^= self._mirror[:, None, None]
        one_PLJ2 ^= other_PJ2[:, None]
        return np.bitwise_count(one_PLJ2), is_known_PLJ2, is_told_PJ


def _mean(values: npt.NDArray[np.uint8] | Flags, is_counted: Flags) -> Floats:
    """Over the last axis, nan where nothing counts."""
    total = (values * is_counted).sum(axis=-1, dtype=np.int64)
    num = is_counted.sum(axis=-1)
    means: Floats = np.divide(total, num, out=np.full(len(num), np.nan), where=num > 0)
    return means
