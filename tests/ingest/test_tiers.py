"""Tiers and quotas: which clips are of which kind, and which are too many."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.ingest.quotas import Quota
from pfp.ingest.recipe import Recipe, parse_recipe
from pfp.ingest.select import judge
from pfp.ingest.tiers import assign_tiers, check_quotas, limit_to_quotas
from pfp.schema import ClipRecord, Dropped
from pfp.schema.measured import MeasuredRecord
from tests.ingest.conftest import MakeClip, outcome
from tests.ingest.test_select import clips_in

KINDS = st.lists(st.sampled_from(["portrait", "landscape", "square"]), max_size=60)


def recipe(**parts: Any) -> Recipe:
    """A recipe of these parts, whose clips are whole videos."""
    return parse_recipe({"name": "x", **parts}, "x")


def clips_of(records: list[MeasuredRecord], of: Recipe) -> list[ClipRecord]:
    """The clips that tiers and quotas leave, with those that they drop."""
    candidates = judge([MeasuredRecord.table(records)], of)
    candidates = limit_to_quotas(assign_tiers(candidates, of.tiers), of.quotas)
    return clips_in(candidates, of)


def videos(make_clip: MakeClip, orientations: list[str]) -> list[MeasuredRecord]:
    """A video of each orientation, of its own bytes."""
    return [
        make_clip(
            video_uri=f"file:///{n:03}", video_sha256=f"{n:04x}" * 16, orientation=orientation
        )
        for n, orientation in enumerate(orientations)
    ]


def test_a_clip_is_of_the_first_tier_that_takes_it(make_clip: MakeClip) -> None:
    """Every filter of a tier must hold; a clip that none takes has no tier."""
    of = recipe(
        tiers={
            "high": {
                "resolution": {"min_side_pixels": 720},
                "motion": {"min_levels_per_second": 5},
            },
            "standard": {"resolution": {"min_side_pixels": 480}},
        }
    )
    records = [
        make_clip(video_sha256=str(n) * 64, height=height, motion=motion)
        for n, (height, motion) in enumerate([(720, 5.0), (720, 4.0), (480, 9.0), (479, 9.0)])
    ]

    assert ["high", "standard", "standard", None] == [clip.tier for clip in clips_of(records, of)]


def test_clips_that_are_too_many_are_dropped_with_the_numbers(make_clip: MakeClip) -> None:
    """Half upright and half wide: of six wide clips as many stay as there are upright ones."""
    of = recipe(quotas={"orientation": {"portrait": 0.5, "landscape": 0.5}})

    clips = clips_of(videos(make_clip, ["portrait"] * 2 + ["landscape"] * 6), of)

    assert {"kept": 4, "quota_orientation": 4} == Counter(map(outcome, clips))
    assert clips[-1].orientation == "landscape"
    assert Dropped(
        reason="quota_orientation",
        detail="2 of 6 landscape clips are taken",
        score=6.0,
        threshold=2.0,
    ) in [clip.verdict for clip in clips]


@given(KINDS, st.integers(1, 9), st.integers(1, 9))
def test_shares_are_kept_and_nothing_is_dropped_without_need(
    make_clip: MakeClip, kinds: list[str], one: int, other: int
) -> None:
    """No kind has more than its share, and one more clip of the scarcest would be room for more."""
    shares = {"portrait": one / 20, "landscape": other / 20}
    of = recipe(quotas={"orientation": shares})
    kept = Counter(
        clip.orientation
        for clip in clips_of(videos(make_clip, kinds), of)
        if outcome(clip) == "kept"
    )
    total = min(kinds.count(kind) / share for kind, share in shares.items())

    for kind, share in shares.items():
        assert kept[kind] == int(share * total + 1e-6)
    assert kept["square"] == min(
        kinds.count("square"), int((1 - sum(shares.values())) * total + 1e-6)
    )
    assert any(kept[kind] == kinds.count(kind) for kind in shares)


def test_which_are_taken_follows_from_digests_not_from_the_order(make_clip: MakeClip) -> None:
    """Of ten wide clips three are taken, the same whatever order they come in."""
    of = recipe(quotas={"orientation": {"portrait": 0.5, "landscape": 0.5}})
    records = videos(make_clip, ["portrait"] * 3 + ["landscape"] * 10)

    def wide(found: list[ClipRecord]) -> set[str]:
        return {c.clip_id for c in found if c.orientation == "landscape" and outcome(c) == "kept"}

    assert 3 == len(wide(clips_of(records, of)))
    assert wide(clips_of(records, of)) == wide(clips_of(records[::-1], of))


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": 0.6, "b": 0.5}, {"a": -1.0}])
def test_shares_that_no_choice_has_are_refused(shares: dict[str, float]) -> None:
    """With the column and the shares."""
    with pytest.raises(ConfigError, match="quota of orientation: shares"):
        Quota(column="orientation", shares=shares)


def told(sources: list[str | None]) -> pa.Table:
    """A manifest that says of each of ``videos`` where it is from, the last one first."""
    uris = [f"file:///{n:03}" for n in range(len(sources))]
    rows = {"video_uri": uris[::-1], "source": pa.array(sources[::-1], pa.string())}
    return pa.table({**rows, "licence": pa.nulls(len(uris), pa.string())})


def test_quotas_by_source_are_of_what_the_manifest_says(make_clip: MakeClip) -> None:
    """A file without a source, or that the manifest does not name, is of the others."""
    of = recipe(quotas={"source": {"youtube": 0.5, "pexels": 0.25}})
    sources = ["pexels", *["youtube"] * 5, None, "pixabay"]
    records = videos(make_clip, ["square"] * 9)
    candidates = assign_tiers(judge([MeasuredRecord.table(records)], of), of.tiers)

    clips = clips_in(limit_to_quotas(candidates, of.quotas, told(sources)), of)

    kept = [int(clip.video_uri[-3:]) for clip in clips if outcome(clip) == "kept"]
    found = Counter((*sources, None)[number] for number in kept)
    assert (1, 2) == (found["pexels"], found["youtube"])
    assert 1 == found[None] + found["pixabay"]


@pytest.mark.parametrize("manifest", [told(["youtube", None]), None])
def test_a_quota_of_a_source_that_no_file_has_is_refused(manifest: pa.Table | None) -> None:
    """It would leave no clip at all; the message names the sources that there are."""
    of = recipe(quotas={"tier": {"high": 0.5}, "source": {"youtube": 0.5, "yotube": 0.5}})

    with pytest.raises(ConfigError, match=r"no file has '(youtube|yotube)' .*there: .*; correct"):
        check_quotas(of.quotas, manifest)


def test_the_others_have_no_share_of_their_own() -> None:
    """They are what shares leave; a source of that name is one of them."""
    with pytest.raises(ConfigError, match=r"other is what the other shares leave.*other: 0\.5"):
        Quota(column="source", shares={"youtube": 0.5, "other": 0.5})


def test_no_clips_have_no_surplus() -> None:
    """An empty table is a table."""
    quota = Quota(column="orientation", shares={"portrait": 0.5})

    assert [] == list(
        quota.surplus(pa.array([], pa.string()), pa.array([], pa.string())).verdicts()
    )
