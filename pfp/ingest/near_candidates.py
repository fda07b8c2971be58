"""Which pairs of videos may show the same: those with like samples, found by banded hashing.

Six keys are made of each sample (locality-sensitive hashing by bits, Indyk and Motwani 1998);
samples with an equal key are compared, and those that agree become seeds: pairs of samples at which
two videos may be laid over each other. Keys are split by value into parts, which are independent of
each other and can be worked off one by one, or by many workers.

Axes: N samples of all videos one after the other, V videos, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pfp.ingest.signatures import MIRRORED, NUM_BYTES, WORDS, Words, words_of

Indices: TypeAlias = npt.NDArray[np.int64]
_Int32s: TypeAlias = npt.NDArray[np.int32]
Flags: TypeAlias = npt.NDArray[np.bool_]

MAX_SAMPLES_OF_PART: Final = 1 << 25  # 8 bytes each, four times over
MAX_SEEDS: Final = 6  # of a pair; more tell nothing new
MAX_PARTNERS: Final = 32  # of a video, those with the most seeds

# A like picture in a copy that is cropped off one corner, the worst that is looked for, differs in
# 10 bits on average and in 15 at most; unlike ones differ in 32 with a deviation of 4.
SEED_BITS: Final = 18
LATER_BITS: Final = 22  # two seconds on
LATER_SAMPLES: Final = 4

# More samples than that share a key when it says no more than "a title on black": all pairs of them
# would be compared in vain. Each sample is compared with the next few of its key and the first.
MAX_RUN: Final = 20_000
NUM_NEIGHBOURS: Final = 8

_SCANNED: Final = 1 << 21  # samples at a time, so that what is computed on the way stays small
_PART_SHIFT: Final = np.uint64(32)
# Odd: 2^64 over the golden ratio (Fibonacci hashing), and what SplitMix64 multiplies by.
_SHUFFLES: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The signatures of videos: ``words_N2``, and where those of video v begin, ``starts[v]``.

    ``videos_N`` has the index of the video of each sample: a search for it would take longer than
    all else.
    """

    words_N2: Words
    starts: Indices  # (V + 1,)
    videos_N: _Int32s

    @classmethod
    def of(cls, column: pa.ChunkedArray, is_wanted: Flags | None = None) -> Samples:
        """Of a binary column; videos that are not wanted have none.

        Nothing is copied when all of one chunk are wanted, and the words once otherwise.
        """
        parts = [_words_and_counts(chunk) for chunk in column.chunks]
        counts = np.concatenate([np.empty(0, np.int64), *(counts for _, counts in parts)])
        if is_wanted is None and len(parts) == 1:
            return cls._of(parts[0][0], counts)
        is_wanted = np.ones(len(counts), bool) if is_wanted is None else is_wanted
        words_N2 = np.empty((int(counts[is_wanted].sum()), WORDS), np.uint64)
        row = filled = 0
        for words, counts_here in parts:
            here = words[np.repeat(is_wanted[row : row + len(counts_here)], counts_here)]
            words_N2[filled : filled + len(here)] = here
            row, filled = row + len(counts_here), filled + len(here)
        return cls._of(words_N2, counts * is_wanted)

    @classmethod
    def _of(cls, words_N2: Words, counts: Indices) -> Samples:
        videos = np.arange(len(counts), dtype=np.int32)
        starts = np.concatenate([[0], counts.cumsum()])
        return cls(words_N2=words_N2, starts=starts, videos_N=np.repeat(videos, counts))

    def num_samples(self, videos: Indices) -> Indices:
        """Of each of some videos."""
        return self.starts[videos + 1] - self.starts[videos]


def _words_and_counts(chunk: pa.Array) -> tuple[Words, Indices]:
    """Null is no samples; it takes no bytes either, as Arrow's writers have it."""
    if not len(chunk):
        return np.empty((0, WORDS), np.uint64), np.empty(0, np.int64)
    _, offset_buffer, content = chunk.buffers()
    is_large = pa.types.is_large_binary(chunk.type)
    offsets = np.frombuffer(offset_buffer, np.int64 if is_large else np.int32)
    offsets = offsets[chunk.offset : chunk.offset + len(chunk) + 1]
    held = np.frombuffer(content or b"", np.uint8)[offsets[0] : offsets[-1]]
    return words_of(held), np.diff(offsets).astype(np.int64) // NUM_BYTES


class Key(NamedTuple):
    """Thirty bits: those of two masks, of two words, the second of them ``later`` samples on."""

    word: int
    mask: int
    other_word: int
    other_mask: int
    later: int = 0


_SEEN, _CHANGE = 0, 1  # the words of a sample
# The low bits are those of the low frequencies, of which a crop changes fewest; fifteen of two
# words are therefore sturdier than thirty of one. In a picture in which some of them are near 0,
# others must do. Chosen by how many seeds the worst pair of a video and its copy has.
_LOW, _NEXT, _EVEN = 0x7FFF, 0x7FFF00, 0x15555555
KEYS: Final = (
    Key(_SEEN, _LOW, _SEEN, _LOW, later=2),
    Key(_SEEN, _EVEN, _SEEN, _EVEN, later=4),
    Key(_SEEN, _LOW, _CHANGE, _LOW),
    Key(_CHANGE, _LOW, _CHANGE, _NEXT, later=2),
    Key(_CHANGE, _NEXT, _CHANGE, _LOW, later=2),
    Key(_CHANGE, _LOW, _CHANGE, _LOW, later=4),
)


class Seeds(NamedTuple):
    """Pairs of like samples: of ``first`` and of a later video, ``second``."""

    first: Indices
    second: Indices


def num_parts(samples: Samples) -> int:
    """Into how many parts, a power of 2, keys must be split so that one part fits into memory."""
    return 1 << max(0, (len(samples.words_N2) - 1) // MAX_SAMPLES_OF_PART).bit_length()


def candidates(samples: Samples, key: Key, part: int, parts: int) -> Seeds:
    """The seeds of those samples whose key falls into a part, 0 to ``parts`` - 1."""
    keys, at = _keys_in_part(samples, key, part, parts)
    # Key and position in one number: sorting these takes a third of the time of an argsort.
    position_mask = np.uint64((1 << len(keys).bit_length()) - 1)
    keys = (keys & ~position_mask) | np.arange(len(keys), dtype=np.uint64)
    keys.sort()
    at = at[(keys & position_mask).astype(np.int64)]
    keys &= ~position_mask
    return concatenated([_alike(samples, *pair) for pair in _neighbours(keys, at)])


def concatenated(seeds: Iterable[Seeds]) -> Seeds:
    """All of them one after the other."""
    pairs = list(seeds) or [Seeds(np.empty(0, np.int64), np.empty(0, np.int64))]
    return Seeds(*(np.concatenate(side) for side in zip(*pairs, strict=True)))


def _keys_in_part(samples: Samples, key: Key, part: int, parts: int) -> tuple[Words, Indices]:
    """Keys, shuffled over all 64 bits, and the samples that have them."""
    found: list[tuple[Words, Indices]] = []
    for start in range(0, len(samples.words_N2), _SCANNED):
        keys, at = _keys(samples, key, start, min(start + _SCANNED, len(samples.words_N2)))
        is_here = (keys >> _PART_SHIFT) & np.uint64(parts - 1) == part
        found.append((keys[is_here], at[is_here]))
    found = found or [(np.empty(0, np.uint64), np.empty(0, np.int64))]
    return np.concatenate([keys for keys, _ in found]), np.concatenate([at for _, at in found])


def _keys(samples: Samples, key: Key, start: int, stop: int) -> tuple[Words, Indices]:
    """The shuffled keys of samples, equal for mirrored ones; repeats in a row are left out."""
    ends = samples.starts[samples.videos_N[start:stop] + 1]  # of the videos
    at = np.arange(start, stop)
    at = at[at + key.later < ends]
    one, other = samples.words_N2[at, key.word], samples.words_N2[at + key.later, key.other_word]
    keys = np.minimum(_mixed(key, one, other), _mixed(key, one ^ MIRRORED, other ^ MIRRORED))
    is_told = (one != 0) & (other != 0)
    is_told[1:] &= (keys[1:] != keys[:-1]) | (ends[at[1:] - start] != ends[at[:-1] - start])
    return keys[is_told], at[is_told]


def _mixed(key: Key, one: Words, other: Words) -> Words:
    """The bits of both words, spread over 64."""
    return (one & np.uint64(key.mask)) * _SHUFFLES[0] + (other & np.uint64(key.other_mask)) * (
        _SHUFFLES[1]
    )


def _neighbours(keys: Words, at: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of samples of one key, in order: each with the next few, and with the first."""
    is_new = np.concatenate([[True], keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, bool)
    run_starts = np.flatnonzero(is_new)
    lengths = np.diff(run_starts, append=len(keys))
    is_usable = np.repeat((lengths > 1) & (lengths <= MAX_RUN), lengths)
    at, firsts = at[is_usable], np.repeat(at[run_starts], lengths)[is_usable]
    for start in range(0, len(at), _SCANNED):
        here = np.arange(start, min(start + _SCANNED, len(at)))
        yield firsts[here], at[here]
        for step in range(1, NUM_NEIGHBOURS + 1):
            there = here[here + step < len(at)]
            there = there[firsts[there] == firsts[there + step]]
            yield at[there], at[there + step]


def _alike(samples: Samples, one: Indices, other: Indices) -> Seeds:
    """Those pairs of different videos whose pictures agree, now and two seconds on."""
    words = samples.words_N2[:, 0]
    is_near, is_mirrored = _near(words[one], words[other], SEED_BITS)
    one, other, is_mirrored = one[is_near], other[is_near], is_mirrored[is_near]
    videos = samples.videos_N[one], samples.videos_N[other]
    step = _later_step(samples, (one, other), videos)
    flip = np.where(is_mirrored, MIRRORED, np.uint64(0))
    later_one, later_other = words[one + step], words[other + step]
    bits = np.bitwise_count(later_one ^ later_other ^ flip)
    is_near = (bits <= LATER_BITS) | (later_one == 0) | (later_other == 0)
    is_near &= videos[0] != videos[1]
    return Seeds(one[is_near], other[is_near])


def _near(one: Words, other: Words, max_bits: int) -> tuple[Flags, Flags]:
    """Whether words agree as they are or mirrored, and whether mirrored is the better."""
    bits = np.bitwise_count(one ^ other)
    mirrored_bits = np.bitwise_count(one ^ other ^ MIRRORED)
    return np.minimum(bits, mirrored_bits) <= max_bits, mirrored_bits < bits


def _later_step(
    samples: Samples, pair: tuple[Indices, Indices], videos: tuple[_Int32s, _Int32s]
) -> Indices:
    """Two seconds on, or back at the end of a video, or 0 where neither is in both videos."""
    on = [at + LATER_SAMPLES < samples.starts[v + 1] for at, v in zip(pair, videos, strict=True)]
    back = [at - LATER_SAMPLES >= samples.starts[v] for at, v in zip(pair, videos, strict=True)]
    return np.where(on[0] & on[1], LATER_SAMPLES, np.where(back[0] & back[1], -LATER_SAMPLES, 0))


class Pairs(NamedTuple):
    """Pairs of videos, ``first`` below ``second``, and up to ``MAX_SEEDS`` seeds of each.

    ``at_PS2`` holds samples of both, counted from the beginning of their videos.
    """

    first: Indices
    second: Indices
    at_PS2: Indices

    def seeds(self, samples: Samples) -> Seeds:
        """The seeds that are left."""
        starts = (samples.starts[side][:, None] for side in (self.first, self.second))
        return Seeds(
            *((start + self.at_PS2[..., side]).ravel() for side, start in enumerate(starts))
        )


def pairs_of(samples: Samples, seeds: Seeds) -> Pairs:
    """The videos of the seeds, each pair once, and of each video those with the most seeds."""
    second = samples.videos_N[seeds.second].astype(np.int64)
    # One number to sort by: the second video, and the first one's sample, hence the first video.
    order = np.argsort(second * len(samples.words_N2) + seeds.first)
    first, second = samples.videos_N[seeds.first[order]].astype(np.int64), second[order]
    at_S2 = np.stack([seeds.first, seeds.second], axis=1)[order]
    at_S2 -= samples.starts[np.stack([first, second], axis=1)]
    starts = np.flatnonzero(
        np.concatenate([[True], (np.diff(first) != 0) | (np.diff(second) != 0)])[: len(first)]
    )
    counts = np.diff(starts, append=len(first))
    # Evenly over the seeds of a pair, the first and the last of them included.
    steps = np.arange(MAX_SEEDS)[None] * np.maximum(counts - 1, 0)[:, None] // (MAX_SEEDS - 1)
    at_PS2 = at_S2[starts[:, None] + steps]
    pairs = Pairs(first[starts], second[starts], at_PS2)
    is_wanted = _within_partners(pairs, counts)
    return Pairs(*(side[is_wanted] for side in pairs))


def _within_partners(pairs: Pairs, counts: Indices) -> Flags:
    """Whether a pair is among the ``MAX_PARTNERS`` with the most seeds of its second video."""
    order = np.lexsort((pairs.first, -counts, pairs.second))
    second = pairs.second[order]
    is_wanted = np.ones(len(second), bool)
    is_wanted[order[MAX_PARTNERS:]] = second[MAX_PARTNERS:] != second[:-MAX_PARTNERS]
    return is_wanted
