"""Near duplicates: which pairs are found, and which one of a pair stays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.ingest import near_duplicates
from pfp.ingest.near_duplicates import NearDuplicates, mean_bits
from pfp.schema.measured import MeasuredRecord
from tests.ingest.conftest import MakeClip

RULE = NearDuplicates(max_mean_bits=2, max_duration_difference=0.02)
HASHES = ["0123456789abcdef", "fedcba9876543210", "00ff00ff00ff00ff", "1212343456567878", "a" * 16]


def flipped(phash: str, bits: tuple[int, ...]) -> str:
    """The hash with some bits turned over."""
    value = int(phash, 16)
    for bit in bits:
        value ^= 1 << int(bit)
    return f"{value:016x}"


def test_a_recoded_copy_is_found(make_clip: MakeClip) -> None:
    """Ten bits of 320, a frame shorter: the clip with fewer pixels goes."""
    large = make_clip(video_uri="file:///b.mp4", phashes=HASHES)
    small = make_clip(
        video_uri="file:///a.mp4",
        width=640,
        height=360,
        duration_seconds=29.96,
        phashes=[flipped(phash, (3, 40)) for phash in HASHES],
    )

    assert {"file:///a.mp4": (large, 2.0)} == RULE.find([small, large])


def test_of_equals_the_first_by_name_stays(make_clip: MakeClip) -> None:
    """Whatever their order in the table."""
    clips = [make_clip(video_uri=f"file:///{name}.mp4") for name in "cab"]

    found = RULE.find(clips)

    assert ["file:///b.mp4", "file:///c.mp4"] == sorted(found)
    assert {"file:///a.mp4"} == {kept.video_uri for kept, _ in found.values()}


@pytest.mark.parametrize(
    "changes",
    [
        {"phashes": [flipped(phash, (3, 40, 50)) for phash in HASHES]},
        {"duration_seconds": 30.0 * 1.03},
        {"phashes": []},
        {"phashes": HASHES[:3]},
        {"duration_seconds": None},
    ],
)
def test_what_differs_is_kept(make_clip: MakeClip, changes: dict[str, object]) -> None:
    """Three bits a hash, a longer clip, or nothing to compare."""
    one = make_clip(video_uri="file:///a.mp4", phashes=HASHES)
    other = make_clip(**{"video_uri": "file:///b.mp4", "phashes": HASHES, **changes})

    assert {} == RULE.find([one, other])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_index_misses_no_pair(make_clip: MakeClip, seed: int) -> None:
    """Against a comparison of every clip with every clip that is kept."""
    rng = np.random.default_rng(seed)
    clips = [
        make_clip(
            video_uri=f"file:///{index:02d}.mp4",
            duration_seconds=float(30 * rng.choice([1, 1.015, 1.019, 1.021, 1.05])),
            phashes=[
                flipped(phash, tuple(rng.choice(64, rng.integers(0, 4), replace=False)))
                for phash in HASHES
            ],
        )
        for index in range(12)
    ]

    assert set(brute_force(clips)) == set(RULE.find(clips))


def brute_force(clips: list[MeasuredRecord]) -> list[str]:
    """The near duplicates by definition, of clips of one size in order of their URI."""
    kept: list[MeasuredRecord] = []
    dropped = []
    for clip in clips:
        if any(is_near(clip, other) for other in kept):
            dropped.append(clip.video_uri)
        else:
            kept.append(clip)
    return dropped


def is_near(one: MeasuredRecord, other: MeasuredRecord) -> bool:
    """Mean bits and durations within the rule."""
    seconds = sorted((one.duration_seconds or 0, other.duration_seconds or 0))
    bits = [
        (int(a, 16) ^ int(b, 16)).bit_count()
        for a, b in zip(one.phashes, other.phashes, strict=True)
    ]
    return sum(bits) / 5 <= 2 and seconds[1] - seconds[0] <= 0.02 * seconds[1]


def test_mean_bits_counts_over_all_hashes(make_clip: MakeClip) -> None:
    """Five times two bits are two bits on average."""
    one = make_clip(phashes=HASHES)
    other = make_clip(phashes=[flipped(phash, (0, 63)) for phash in HASHES])

    assert 2.0 == mean_bits(one, other)


def test_unrelated_hashes_are_never_near(make_clip: MakeClip) -> None:
    """Random hashes lie some 32 bits apart."""
    rng = np.random.default_rng(0)
    clips = [
        make_clip(video_uri=f"file:///{i}.mp4", phashes=[rng.bytes(8).hex() for _ in range(5)])
        for i in range(40)
    ]

    assert {} == RULE.find(clips)
    assert min(mean_bits(a, b) for a, b in itertools.combinations(clips, 2)) > 15


def test_beginnings_that_many_clips_share_are_not_compared(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips that begin and end in black have bands in common and nothing else.

    Each pair would be compared if all bands counted: a million comparisons here.
    """
    rng = np.random.default_rng(0)
    clips = [
        make_clip(
            video_uri=f"file:///{number:04d}.mp4",
            phashes=["0" * 16, *(f"{int(bits):016x}" for bits in row), "0" * 16],
        )
        for number, row in enumerate(rng.integers(0, 2**63, (1000, 3)))
    ]
    num_compared = itertools.count()

    def counted(one: MeasuredRecord, other: MeasuredRecord) -> float:
        next(num_compared)
        return mean_bits(one, other)

    monkeypatch.setattr(near_duplicates, "mean_bits", counted)
    assert {} == RULE.find(clips)
    assert next(num_compared) < 1000
