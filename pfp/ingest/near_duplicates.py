"""Which videos show the same as another one: copies, recoded, cut out, cropped or mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from pfp.errors import ConfigError
from pfp.ingest.near_alignment import FRAME_BITS, UNRELATED_BITS, Alignments, align, joined, taken
from pfp.ingest.near_candidates import (
    KEYS,
    Flags,
    Indices,
    Key,
    Pairs,
    Samples,
    Seeds,
    candidates,
    concatenated,
    num_parts,
    pairs_of,
)
from pfp.ingest.near_groups import by_neighbours, groups, preference
from pfp.runtime.shared_tasks import SharedTasks, TasksHere

# Where parts of keys and batches of pairs are worked off: here, or on Ray.
TasksOver: TypeAlias = Callable[[Samples], SharedTasks[Samples]]

# What ``find`` takes: videos that are still kept, each once.
INPUT: Final = pa.schema(
    [
        pa.field("video_uri", pa.string()),
        pa.field("frame_signatures", pa.large_binary()),  # of pfp.ingest.signatures
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("duration_seconds", pa.float64()),
    ]
)
# What ``find`` gives: a row for each video that shows the same as one that is kept.
OUTPUT: Final = pa.schema(
    [
        pa.field("video_uri", pa.string(), nullable=False),
        pa.field("kept_uri", pa.string(), nullable=False),
        pa.field("bits", pa.float64(), nullable=False),
        pa.field("change_bits", pa.float64(), nullable=False),
        pa.field("contained", pa.float64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # copy | excerpt | extended
        pa.field("is_mirrored", pa.bool_(), nullable=False),
    ]
)

# Two seconds in which something moves, seen in both: less is no proof that it moves alike.
MIN_CHANGES: Final = 4
# Videos of which one lasts so much longer that rounding and speed do not explain it.
WHOLE: Final = 0.9

_MAX_SEEDS_HELD: Final = 1 << 24  # 16 bytes each
_ROUNDS_OF_NEIGHBOURS: Final = 2
_PAIRS_OF_TASK: Final = 1 << 15  # some seconds of work, and 3 MB to send
_BYTES_PER_SAMPLE: Final = 40  # of a part: keys, positions, and both while they are sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """Pairs of which the shorter video is contained in the longer one.

    ``min_contained`` of its pictures are found there in order, differing in ``max_mean_bits`` of 64
    bits on average, and what changes from one half second to the next differs in
    ``max_mean_change_bits``. The latter tells copies from other takes of a fixed camera, in which
    nothing but small things changes. Videos in which less than two seconds show any change are not
    told apart, and none is dropped.
    """

    max_mean_bits: float
    max_mean_change_bits: float
    min_contained: float

    def __post_init__(self) -> None:
        """Refuses thresholds under which unlike videos would be merged."""
        _check_range("max_mean_bits", self.max_mean_bits, 0, FRAME_BITS)
        _check_range("max_mean_change_bits", self.max_mean_change_bits, 0, UNRELATED_BITS - 6)
        _check_range("min_contained", self.min_contained, 0.5, 1)

    def accepts(self, found: Alignments) -> Flags:
        """Whether pairs are near duplicates."""
        return (
            (found.bits <= self.max_mean_bits)
            & (found.change_bits <= self.max_mean_change_bits)
            & (found.num_changes >= MIN_CHANGES)
            & (found.contained >= self.min_contained)
        )

    def find(
        self,
        videos: pa.Table,
        is_wanted: Flags | None = None,
        tasks_over: TasksOver = TasksHere[Samples],
    ) -> pa.Table:
        """The near duplicates among videos, with the one kept in place of each, by URI.

        videos: the columns of ``INPUT``, in any order; those that are not wanted play no part.
        Returns ``OUTPUT``, the same wherever the tasks are done. Of each group the video with
        the most pixels stays, then the longest, then the first by URI, and each of the others was
        compared with it.
        """
        tasks = tasks_over(Samples.of(videos["frame_signatures"], is_wanted))
        samples, rank = tasks.shared, preference(videos)
        verified = self._verified(tasks, _all_pairs(tasks))
        for _ in range(_ROUNDS_OF_NEIGHBOURS):
            more = self._verified(tasks, by_neighbours(samples, verified, rank))
            verified = joined([verified, more])
        return _as_table(videos, samples, taken(verified, groups(verified, rank)), rank)

    def verify(self, samples: Samples, pairs: Pairs) -> Alignments:
        """The alignments of those pairs that are near duplicates."""
        found = align(samples, pairs)
        return taken(found, np.flatnonzero(self.accepts(found)))

    def _verified(self, tasks: SharedTasks[Samples], pairs: Pairs) -> Alignments:
        return joined(list(tasks.map(self.verify, _batches(pairs))))


def detail_of(row: Mapping[str, Any]) -> str:
    """A row of ``OUTPUT`` in words, as in the detail of a verdict."""
    kept = row["kept_uri"]
    words = {
        "copy": f"shows the same as {kept}",
        "excerpt": f"shows a part of {kept}",
        "extended": f"shows more than {kept}, but with fewer pixels",
    }[row["kind"]]
    return f"{words}, mirrored" if row["is_mirrored"] else words


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        message = f"{name} is {value}; give a number from {low} to {high}"
        raise ConfigError(message)


class _Part(NamedTuple):
    key: Key
    part: int
    parts: int


def _all_pairs(tasks: SharedTasks[Samples]) -> Pairs:
    """What all parts of all keys give, in bounded memory: pairs are thinned as they come in."""
    samples, held = tasks.shared, list[Seeds]()
    parts = num_parts(samples)
    every = (_Part(key, part, parts) for key in KEYS for part in range(parts))
    needed = _BYTES_PER_SAMPLE * len(samples.words_N2) // parts
    for seeds in tasks.map(_candidates, every, memory_bytes=needed):
        held.append(seeds)
        if sum(len(each.first) for each in held) > _MAX_SEEDS_HELD:
            held = [pairs_of(samples, concatenated(held)).seeds(samples)]
    return pairs_of(samples, concatenated(held))


def _candidates(samples: Samples, part: _Part) -> Seeds:
    return candidates(samples, *part)


def _batches(pairs: Pairs) -> Iterator[Pairs]:
    """The pairs, cut into what one task verifies; one batch, empty, when there are none."""
    for start in range(0, max(len(pairs.first), 1), _PAIRS_OF_TASK):
        yield Pairs(*(side[start : start + _PAIRS_OF_TASK] for side in pairs))


def _as_table(videos: pa.Table, samples: Samples, chosen: Alignments, rank: Indices) -> pa.Table:
    """The chosen pairs as ``OUTPUT``, by URI."""
    is_longer_kept = rank[chosen.longer] < rank[chosen.shorter]
    kept = np.where(is_longer_kept, chosen.longer, chosen.shorter)
    dropped = np.where(is_longer_kept, chosen.shorter, chosen.longer)
    is_whole = chosen.end - chosen.begin >= WHOLE * (samples.num_samples(chosen.longer) - 1)
    columns = {
        "video_uri": videos["video_uri"].take(pa.array(dropped)),
        "kept_uri": videos["video_uri"].take(pa.array(kept)),
        "bits": chosen.bits,
        "change_bits": chosen.change_bits,
        "contained": chosen.contained,
        "kind": np.where(is_whole, "copy", np.where(is_longer_kept, "excerpt", "extended")),
        "is_mirrored": chosen.is_mirrored,
    }
    return pa.table(columns, schema=OUTPUT).sort_by("video_uri")
