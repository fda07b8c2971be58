"""From pairs of near duplicates to one video kept for each group.

Nobody is merged through a third: a video is dropped only for one that is kept and that it was
compared with itself, so that no chain of small differences joins what is unlike.

Axes: E directed edges, two a pair; V videos.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.ingest.near_alignment import Alignments, Floats
from pfp.ingest.near_candidates import MAX_SEEDS, Flags, Indices, Pairs, Samples

PREFERENCE: Final = (
    ("pixels", "descending"),
    ("duration_seconds", "descending"),
    ("video_uri", "ascending"),
)


def preference(videos: pa.Table) -> Indices:
    """The rank of each video, 0 for the one that all others would be dropped for."""
    pixels = pc.multiply(*(pc.cast(videos[side], pa.int64()) for side in ("width", "height")))
    table = pa.table(
        {
            "pixels": pc.fill_null(pixels, 0),
            "duration_seconds": pc.fill_null(videos["duration_seconds"], 0.0),
            "video_uri": videos["video_uri"],
        }
    )
    order = pc.sort_indices(table, sort_keys=list(PREFERENCE)).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def groups(verified: Alignments, rank: Indices) -> Indices:
    """Of which pairs the worse video is dropped for the better: one a video, which is then kept."""
    by_rank = np.sort(np.stack([rank[verified.longer], rank[verified.shorter]]), axis=0)
    order = np.lexsort(by_rank)
    is_dropped = bytearray(len(rank))
    chosen = []
    # A loop, since each answer needs those before it: over pairs, of which there are few.
    for pair, better, worse in zip(order.tolist(), *by_rank[:, order].tolist(), strict=True):
        if not is_dropped[better] and not is_dropped[worse]:
            is_dropped[worse] = True
            chosen.append(pair)
    return np.array(chosen, np.int64)


class _Edges(NamedTuple):
    """``place there = offset + speed * place here`` for places here in ``[first, last]``."""

    here: Indices
    there: Indices
    offset: Floats
    speed: Floats
    first: Floats
    last: Floats


def by_neighbours(samples: Samples, verified: Alignments, rank: Indices) -> Pairs:
    """Pairs that were not compared, of a video and the best copy of one of its copies."""
    edges = _edges(samples, verified)
    best = _best_edges(edges, rank)
    one = np.flatnonzero(best[edges.here] >= 0)
    other = best[edges.here[one]]
    is_new = _is_new(edges, one, other, verified, len(rank))
    return _through(samples, edges, one[is_new], other[is_new])


def _edges(samples: Samples, verified: Alignments) -> _Edges:
    last_short = (samples.num_samples(verified.shorter) - 1).astype(np.float64)
    last_long = (samples.num_samples(verified.longer) - 1).astype(np.float64)
    speed = (verified.end - verified.begin) / last_short
    up = (verified.shorter, verified.longer, verified.begin, speed, 0 * speed, last_short)
    down = (
        verified.longer,
        verified.shorter,
        -verified.begin / speed,
        1 / speed,
        verified.begin.clip(0, last_long),
        verified.end.clip(0, last_long),
    )
    return _Edges(*(np.concatenate(pair) for pair in zip(up, down, strict=True)))


def _best_edges(edges: _Edges, rank: Indices) -> Indices:
    """Of each video the edge to the best of those it was found alike with, -1 if it is better."""
    best = np.full(len(rank), -1)
    order = np.argsort(-rank[edges.there], kind="stable")  # the last one written stays
    order = order[rank[edges.there[order]] < rank[edges.here[order]]]
    best[edges.here[order]] = order
    return best


def _is_new(
    edges: _Edges, one: Indices, other: Indices, verified: Alignments, num_videos: int
) -> Flags:
    """Whether the ends of two edges are two videos, not paired yet, named here the first time."""
    keys = _pair_keys(edges.there[one], edges.there[other], num_videos)
    known = _pair_keys(verified.longer, verified.shorter, num_videos)
    is_first = np.zeros(len(keys), bool)
    is_first[np.unique(keys, return_index=True)[1]] = True
    is_new: Flags = is_first & (edges.there[one] != edges.there[other]) & ~np.isin(keys, known)
    return is_new


def _pair_keys(one: Indices, other: Indices, num_videos: int) -> Indices:
    return np.minimum(one, other) * num_videos + np.maximum(one, other)


def _through(samples: Samples, edges: _Edges, one: Indices, other: Indices) -> Pairs:
    """The pairs of two edges' ends, with seeds where what lies between them shows both."""
    low = np.maximum(edges.first[one], edges.first[other])
    high = np.minimum(edges.last[one], edges.last[other])
    is_shared = high > low
    one, other, low, high = (each[is_shared] for each in (one, other, low, high))
    places = np.linspace(low, high, MAX_SEEDS, axis=1)
    ends = [edges.there[one], edges.there[other]]
    at_PS2 = np.stack([_places(samples, edges, each, places) for each in (one, other)], axis=-1)
    is_turned = ends[0] > ends[1]
    at_PS2[is_turned] = at_PS2[is_turned][..., ::-1]
    return Pairs(np.minimum(*ends), np.maximum(*ends), at_PS2)


def _places(samples: Samples, edges: _Edges, index: Indices, places: Floats) -> Indices:
    """The samples there that lie over places here."""
    there = np.rint(edges.offset[index, None] + edges.speed[index, None] * places)
    last = samples.num_samples(edges.there[index]) - 1
    return there.astype(np.int64).clip(0, last[:, None])
