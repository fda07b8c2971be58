"""Decisions: one clip for one measured video, each with its verdict."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from pfp.ingest import decide as decisions
from pfp.ingest.decide import clip_id_of
from pfp.ingest.recipe import Recipe, load_recipe, parse_recipe
from pfp.schema import ClipRecord, Dropped, Failed, Kept
from pfp.schema.measured import MeasuredRecord
from tests.ingest.conftest import MakeClip, outcome

DEMO = load_recipe("demo")


def decide(measured: pa.Table, recipe: Recipe) -> pa.Table:
    """The clips that a recipe makes of measured videos, by the steps of the ingest stage."""
    steps = [
        decisions.drop_by_filters(recipe.filters),
        decisions.drop_exact_duplicates(),
        decisions.drop_near_duplicates(recipe.near_duplicates),
    ]
    return decisions.decide(measured, steps, recipe)


def decided(*records: MeasuredRecord) -> dict[str, ClipRecord]:
    """The clips that the demo recipe makes of measured videos, by URI."""
    table = decide(MeasuredRecord.table(list(records)), DEMO)
    clips = [ClipRecord.from_row(row) for row in table.to_pylist()]
    return {clip.video_uri: clip for clip in clips}


def test_a_good_clip_is_kept_whole(make_clip: MakeClip) -> None:
    """Its span is the video, its hash that of the middle, its columns what was measured."""
    record = make_clip(phashes=["0" * 16, "1" * 16, "2" * 16, "3" * 16, "4" * 16])

    clip = decided(record)["file:///videos/a.mp4"]

    assert isinstance(clip.verdict, Kept)
    assert (0.0, 30.0, "2" * 16, "demo") == (
        clip.start_seconds,
        clip.end_seconds,
        clip.phash,
        clip.recipe,
    )
    assert record.shots == clip.shots


def test_what_a_clip_tells_of_its_video_is_what_was_measured(make_clip: MakeClip) -> None:
    """Every column that both records have, but for verdict and key; none is forgotten."""
    record = make_clip(changed_ns=7, rotation_degrees=90, luma_std=51.5, bar_fraction=0.01)
    clip = decided(record)[record.video_uri].to_row()
    shared = record.to_row().keys() & clip.keys() - {"verdict", "result_key"}

    assert {"video_sha256", "changed_ns", "rotation_degrees", "luma_std", "bar_fraction"} < shared
    assert {name: record.to_row()[name] for name in shared} == {name: clip[name] for name in shared}


def test_the_clip_id_comes_from_content_and_span(make_clip: MakeClip) -> None:
    """The first 16 digits of the digest of both; the path plays no part."""
    one, other = make_clip(), make_clip(video_uri="file:///elsewhere.mp4")
    expected = hashlib.sha256(f"{'a' * 64} 0.000000-30.000000".encode()).hexdigest()[:16]

    assert expected == clip_id_of(one) == clip_id_of(other)
    assert expected != clip_id_of(make_clip(duration_seconds=29.0))
    assert expected != clip_id_of(make_clip(video_sha256="b" * 64))


def test_files_that_could_not_be_read_keep_ids_of_their_own(make_clip: MakeClip) -> None:
    """Without content there is only the name to tell them apart."""
    ids = {
        clip_id_of(make_clip(video_sha256=None, video_uri=uri))
        for uri in ("file:///a", "file:///b")
    }

    assert 2 == len(ids)


def test_rejected_and_failed_files_stay_what_they_are(make_clip: MakeClip) -> None:
    """Filters are not asked about what was not measured."""
    clips = decided(
        make_clip(video_uri="file:///1", verdict=Dropped(reason="not_a_video", detail="x")),
        make_clip(video_uri="file:///2", verdict=Failed(error="PermanentError", message="x")),
    )

    assert ["not_a_video", "PermanentError"] == [outcome(clip) for clip in clips.values()]


def test_copies_are_dropped_in_favour_of_the_first(make_clip: MakeClip) -> None:
    """Byte-equal files share a clip id; the first by URI stays."""
    clips = decided(*(make_clip(video_uri=f"file:///{name}") for name in "bca"))

    assert {
        "file:///a": "kept",
        "file:///b": "exact_duplicate",
        "file:///c": "exact_duplicate",
    } == {uri: outcome(clip) for uri, clip in clips.items()}
    assert clips["file:///a"].clip_id == clips["file:///b"].duplicate_of


def test_a_copy_of_what_is_dropped_has_that_reason(make_clip: MakeClip) -> None:
    """No clip is the duplicate of one that was not kept."""
    clips = decided(*(make_clip(video_uri=f"file:///{name}", black_fraction=1.0) for name in "ab"))

    assert ["black", "black"] == [outcome(clip) for clip in clips.values()]


def test_near_duplicates_say_of_which_clip_and_how_near(make_clip: MakeClip) -> None:
    """Score and threshold are the mean bits."""
    clips = decided(
        make_clip(video_uri="file:///a"),
        make_clip(video_uri="file:///b", video_sha256="b" * 64, width=640, height=360),
    )

    near = clips["file:///b"]
    assert isinstance(near.verdict, Dropped)
    assert ("near_duplicate", 0.0, 2.0) == (
        near.verdict.reason,
        near.verdict.score,
        near.verdict.threshold,
    )
    assert clips["file:///a"].clip_id == near.duplicate_of


def test_a_recipe_without_near_duplicates_keeps_them(make_clip: MakeClip) -> None:
    """Leaving the key out switches the rule off."""
    recipe = parse_recipe({"name": "x"}, "x")
    records = [
        make_clip(video_uri="file:///a"),
        make_clip(video_uri="file:///b", video_sha256="b" * 64),
    ]

    table = decide(MeasuredRecord.table(records), recipe)

    assert ["kept", "kept"] == [row["verdict"]["kind"] for row in table.to_pylist()]


def test_rows_are_conserved_and_ordered(make_clip: MakeClip) -> None:
    """One row for one row, by URI, whatever the verdicts and the order they come in."""
    records = [
        make_clip(video_uri=f"file:///{index:02d}", duration_seconds=float(index))
        for index in reversed(range(12))
    ]

    table = decide(MeasuredRecord.table(records), DEMO)

    assert [f"file:///{index:02d}" for index in range(12)] == table["video_uri"].to_pylist()


def test_no_rows_in_no_rows_out() -> None:
    """An empty table is a table."""
    assert 0 == decide(MeasuredRecord.table([]), DEMO).num_rows


def test_the_key_of_a_decision_is_measure_and_recipe(make_clip: MakeClip) -> None:
    """Another recipe or another measurement is another result."""
    table = MeasuredRecord.table([make_clip(result_key="m")])
    other = MeasuredRecord.table([make_clip(result_key="n")])

    keys = {
        key_of(decide(table, DEMO)),
        key_of(decide(table, load_recipe("small"))),
        key_of(decide(other, DEMO)),
    }

    assert 3 == len(keys)
    assert key_of(decide(table, DEMO)) in keys


def key_of(clips: pa.Table) -> str:
    """The result key of the only row."""
    key: str = clips["result_key"][0].as_py()
    return key
