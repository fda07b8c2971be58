"""Near duplicates: which copies are found, what is not merged, and which video of a group stays."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from benchmarks.near_duplicate_files import COPIES
from benchmarks.near_duplicate_scenes import FPS, moving, no_merge_set
from benchmarks.near_duplicates import made_up_videos
from pfp.errors import ConfigError
from pfp.ingest import near_candidates, near_duplicates
from pfp.ingest.near_alignment import Alignments, align, taken
from pfp.ingest.near_candidates import KEYS, Samples, Seeds, candidates, concatenated, pairs_of
from pfp.ingest.near_duplicates import INPUT, NearDuplicates, detail_of
from pfp.ingest.near_groups import by_neighbours, groups, preference
from pfp.ingest.recipe import load_recipe
from pfp.ingest.signatures import signatures_of
from tests.ingest.test_signatures import small

Frames = npt.NDArray[np.uint8]
RULE = load_recipe("demo").near_duplicates or pytest.fail("the demo recipe tells copies")
SIZE = (96, 96)


def table(signatures: Mapping[str, bytes | None], **pixels: int) -> pa.Table:
    """Videos by name, all of one size but those named in ``pixels``."""
    rows = [
        {
            "video_uri": name,
            "frame_signatures": content,
            "width": pixels.get(name, 100),
            "height": 100,
            "duration_seconds": len(content or b"") / 32,
        }
        for name, content in signatures.items()
    ]
    return pa.Table.from_pylist(rows, schema=INPUT)


def found(videos: pa.Table, rule: NearDuplicates = RULE) -> dict[str, dict[str, Any]]:
    """The rows of near duplicates by URI."""
    return {row["video_uri"]: row for row in rule.find(videos).to_pylist()}


def signed(frames_THWC: Frames, *, speed: float = 1.0) -> bytes:
    """The signatures of drawn frames."""
    times = (k / FPS / speed for k in itertools.count())
    return signatures_of(zip(times, small(frames_THWC), strict=False))


@pytest.fixture(scope="module")
def clips() -> dict[str, Frames]:
    """Five videos of 18 seconds."""
    return {f"clip{seed}": moving(seed, 18, SIZE) for seed in range(10, 15)}


@pytest.fixture(scope="module")
def originals(clips: dict[str, Frames]) -> dict[str, bytes]:
    """Their signatures."""
    return {name: signed(frames) for name, frames in clips.items()}


def copied(frames_THWC: Frames, name: str) -> bytes:
    """The signatures of a copy; compression is left to the benchmark."""
    copy = COPIES[name]
    num = len(frames_THWC)
    chosen = frames_THWC[round(copy.start * num) : round(copy.end * num)]
    return signed(np.stack([copy.frame(frame) for frame in chosen]), speed=copy.speed)


@pytest.mark.parametrize("name", sorted(COPIES.keys() - {"recoded"}))
def test_every_kind_of_copy_is_found(
    clips: dict[str, Frames], originals: dict[str, bytes], name: str
) -> None:
    """Each is dropped for its own original, and nothing else is."""
    copies = {f"{key}_copy": copied(frames, name) for key, frames in clips.items()}

    rows = found(table({**originals, **copies}, **dict.fromkeys(originals, 200)))

    assert {f"{key}_copy": key for key in clips} == {
        uri: row["kept_uri"] for uri, row in rows.items()
    }
    kind = "excerpt" if name.startswith("excerpt") else "copy"
    assert {(kind, name == "mirror")} == {
        (row["kind"], row["is_mirrored"]) for row in rows.values()
    }


@pytest.fixture(scope="module")
def apart() -> dict[str, bytes]:
    """Videos that have much in common and are no copies of each other."""
    return {name: signed(frames) for name, frames in no_merge_set(*SIZE).items()}


def test_nothing_of_the_no_merge_set_is_merged(apart: dict[str, bytes]) -> None:
    """Takes of fixed cameras, one title, one black lead-in, one moving intro."""
    assert {} == found(table(apart))


def test_takes_of_a_fixed_camera_are_told_apart_by_what_changes(apart: dict[str, bytes]) -> None:
    """Their pictures agree: without the rule for changes they would be merged."""
    cameras = table({name: one for name, one in apart.items() if name.startswith("camera")})
    samples = Samples.of(cameras["frame_signatures"])
    seeds = concatenated(candidates(samples, key, 0, 1) for key in KEYS)
    pairs = align(samples, pairs_of(samples, seeds))

    assert len(pairs.bits)
    assert (pairs.bits <= RULE.max_mean_bits).all()
    assert pairs.change_bits.min() > RULE.max_mean_change_bits


def test_a_copy_of_an_excerpt_is_dropped_for_the_whole(
    clips: dict[str, Frames], originals: dict[str, bytes]
) -> None:
    """A is kept, B is an excerpt of A, C a recoded copy of B."""
    excerpt = clips["clip10"][40:110]
    videos = {"a": originals["clip10"], "b": signed(excerpt), "c": copied(excerpt, "half_size")}

    rows = found(table(videos, a=300, b=200, c=100))

    assert {"b": ("a", "excerpt"), "c": ("a", "excerpt")} == {
        uri: (row["kept_uri"], row["kind"]) for uri, row in rows.items()
    }


def test_what_is_longer_but_smaller_goes(
    clips: dict[str, Frames], originals: dict[str, bytes]
) -> None:
    """Pixels count before length, and the verdict says so."""
    videos = {"large": signed(clips["clip10"][40:110]), "long": originals["clip10"]}

    (row,) = found(table(videos, large=300, long=100)).values()

    assert ("long", "large", "extended") == (row["video_uri"], row["kept_uri"], row["kind"])
    assert "shows more than large, but with fewer pixels" == detail_of(row)


def test_details_name_what_was_kept() -> None:
    """In words."""
    row = {"kept_uri": "a", "kind": "excerpt", "is_mirrored": True}

    assert "shows a part of a, mirrored" == detail_of(row)


def test_copies_of_copies_are_compared_with_the_best(
    clips: dict[str, Frames], originals: dict[str, bytes]
) -> None:
    """The first and the last of three had no sample in common, only the middle one with each."""
    frames = clips["clip10"]
    contents = {"a": originals["clip10"], "b": signed(frames[20:150]), "c": signed(frames[40:120])}
    samples = Samples.of(table(contents)["frame_signatures"])
    pairs = pairs_of(samples, concatenated(candidates(samples, key, 0, 1) for key in KEYS))
    verified = RULE.verify(samples, pairs)
    known = taken(verified, np.flatnonzero(verified.longer + verified.shorter != 2))

    more = by_neighbours(samples, known, np.arange(3))
    (found_begin,) = RULE.verify(samples, more).begin

    assert ([0], [2]) == (more.first.tolist(), more.second.tolist())
    assert 40 / FPS * 2 == pytest.approx(found_begin, abs=1)


def alignments(*pairs: tuple[int, int]) -> Alignments:
    """Verified pairs of videos; how they lie does not matter."""
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    rest = [np.ones(len(one)) for _ in range(7)]
    return Alignments(one, other, *rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(0, 1), (1, 2)], {(0, 1)}),  # 2 was compared with 1, which is gone, not with 0
        ([(0, 1), (1, 2), (2, 0)], {(0, 1), (0, 2)}),
        ([(2, 1), (3, 2), (4, 3)], {(1, 2), (3, 4)}),
        ([], set()),
    ],
)
def test_nobody_is_merged_through_a_third(
    pairs: list[tuple[int, int]], expected: set[tuple[int, int]]
) -> None:
    """Each is dropped for a kept one that it was compared with, the best of them."""
    verified = alignments(*pairs)
    chosen = groups(verified, np.arange(5))

    sides = np.sort(np.stack([verified.longer, verified.shorter]), axis=0)[:, chosen]
    assert expected == set(zip(*sides.tolist(), strict=True))


def test_the_best_has_most_pixels_then_length_then_the_first_name() -> None:
    """And what is unknown counts least."""
    rows = [
        {"video_uri": "e", "width": None, "height": 9, "duration_seconds": 99.0},
        {"video_uri": "d", "width": 2, "height": 2, "duration_seconds": 5.0},
        {"video_uri": "b", "width": 4, "height": 1, "duration_seconds": 6.0},
        {"video_uri": "a", "width": 1, "height": 4, "duration_seconds": 6.0},
        {"video_uri": "c", "width": 3, "height": 3, "duration_seconds": None},
    ]

    assert [4, 3, 2, 1, 0] == preference(pa.Table.from_pylist(rows, schema=INPUT)).tolist()


def test_parts_of_keys_together_give_all_seeds() -> None:
    """Workers may take them in any order."""
    videos, _ = made_up_videos(400)
    samples = Samples.of(videos["frame_signatures"])

    def pairs(seeds: Seeds) -> set[tuple[int, int]]:
        return set(zip(seeds.first.tolist(), seeds.second.tolist(), strict=True))

    for key in KEYS:
        parts = [pairs(candidates(samples, key, part, 8)) for part in range(8)]
        assert sum(len(part) > 0 for part in parts) > 1
        assert pairs(candidates(samples, key, 0, 1)) == set().union(*parts)


def test_made_up_copies_are_found_and_shared_intros_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In many small parts and with few seeds held, as with millions of videos."""
    monkeypatch.setattr(near_candidates, "MAX_SAMPLES_OF_PART", 1 << 12)
    monkeypatch.setattr(near_duplicates, "_MAX_SEEDS_HELD", 5000)
    videos, original = made_up_videos(1000)

    rows = RULE.find(videos).to_pylist()

    assert len(np.unique(original)) == 1000 - len(rows)
    assert all(original[int(row["video_uri"])] == original[int(row["kept_uri"])] for row in rows)


def test_chunks_nulls_and_nothing_are_read_alike(originals: dict[str, bytes]) -> None:
    """HDR videos have no signatures; a table may be empty, or of many chunks."""
    videos = table({"none": None, "a": originals["clip10"], "empty": b"", "b": originals["clip10"]})
    chunked = pa.concat_tables([videos.slice(0, 2), videos.slice(2)])

    assert ["b"] == list(found(videos)) == list(found(chunked))
    assert 1 == RULE.find(chunked, np.array([False, True, False, True])).num_rows
    assert 0 == RULE.find(chunked, np.array([True, True, True, False])).num_rows
    assert {} == found(table({})) == found(table({"none": None}))


@pytest.mark.parametrize(
    "changes",
    [{"max_mean_bits": 23}, {"max_mean_change_bits": 27}, {"min_contained": 0.4}],
)
def test_thresholds_that_merge_unlike_videos_are_refused(changes: dict[str, float]) -> None:
    """The message names the value and the range."""
    settings = {"max_mean_bits": 16, "max_mean_change_bits": 18, "min_contained": 0.8}
    (name, value) = next(iter(changes.items()))

    with pytest.raises(ConfigError, match=f"{name} is {value}; give a number from"):
        NearDuplicates(**{**settings, **changes})
