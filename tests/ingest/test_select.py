"""Selection: a verdict for every video, and the clips in those that are kept."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from pfp.ingest.clip_tables import clip_tables, video_tables
from pfp.ingest.recipe import Recipe, load_recipe, parse_recipe
from pfp.ingest.select import (
    Candidates,
    drop_exact_duplicates,
    drop_near_duplicates,
    drop_without_window,
    judge,
)
from pfp.schema import ClipRecord, Dropped, Failed, Kept, VideoRecord
from pfp.schema.clip_id import make_clip_id, video_of
from pfp.schema.measured import MeasuredRecord
from tests.ingest.conftest import MakeClip, outcome
from tests.ingest.test_windows import GOOD

DEMO = replace(load_recipe("demo"), windows=None)
WINDOWS = parse_recipe(
    {
        "name": "windows",
        "windows": {
            "min_seconds": 4,
            "max_seconds": 4,
            "overlap_seconds": 0,
            "max_per_video": 9,
            "begin_at_cuts": False,
            "avoid": {"max_black": 0.5, "max_uniform": 0.5, "max_frozen": 0.5, "max_damaged": 0},
            "filters": {"motion": {"min_levels_per_second": 2}},
        },
    },
    "windows",
)


def select(
    *records: MeasuredRecord, recipe: Recipe = DEMO
) -> tuple[dict[str, VideoRecord], list[ClipRecord]]:
    """The videos by URI, and the clips, by the steps of the ingest stage, a table a video."""
    ordered = sorted(records, key=lambda record: record.video_uri)
    candidates = judge((MeasuredRecord.table([record]) for record in ordered), recipe)
    videos = drop_without_window(candidates, recipe.windows)
    videos = drop_near_duplicates(drop_exact_duplicates(videos), recipe.near_duplicates)
    candidates = Candidates(videos, candidates.windows).of_kept()
    rows = pa.concat_tables(video_tables(candidates, recipe)).to_pylist()
    clips = clips_in(candidates, recipe)
    return {row["video_uri"]: VideoRecord.from_row(row) for row in rows}, clips


def clips_in(candidates: Candidates, recipe: Recipe) -> list[ClipRecord]:
    """The clips, by video and start."""
    rows = pa.concat_tables(clip_tables(candidates, recipe)).to_pylist()
    assert rows == sorted(rows, key=lambda row: str(row["clip_id"]))
    rows.sort(key=lambda row: (row["video_uri"], row["start_seconds"]))
    return [ClipRecord.from_row(row) for row in rows]


def test_a_good_video_is_one_clip_where_the_recipe_has_no_windows(make_clip: MakeClip) -> None:
    """Its span is the video."""
    record = make_clip()

    videos, (clip,) = select(record)

    video = videos["file:///videos/a.mp4"]
    assert (1, "demo", Kept()) == (video.num_clips, video.recipe, video.verdict)
    assert (0.0, 30.0, "demo", Kept()) == (
        clip.start_seconds,
        clip.end_seconds,
        clip.recipe,
        clip.verdict,
    )
    assert record.shots == clip.shots


def test_what_rows_tell_of_a_video_is_what_was_measured(make_clip: MakeClip) -> None:
    """Every column that records share, but for verdict and key; none is forgotten."""
    record = make_clip(changed_ns=7, rotation_degrees=90, luma_std=51.5, bar_fraction=0.01)
    measured = record.to_row()
    videos, (clip,) = select(record)
    for row in (videos[record.video_uri].to_row(), clip.to_row()):
        shared = measured.keys() & row.keys() - {"verdict", "result_key"}

        assert {"video_sha256", "changed_ns", "width"} < shared
        assert {name: measured[name] for name in shared} == {name: row[name] for name in shared}


def test_the_clip_id_comes_from_content_and_span(make_clip: MakeClip) -> None:
    """16 digits of the one's digest, 8 of the other's; the path plays no part."""
    span = hashlib.sha256(b"0.000000-30.000000").hexdigest()
    _, (clip,) = select(make_clip(video_uri="file:///elsewhere.mp4"))

    assert "a" * 16 + span[:8] == clip.clip_id == make_clip_id("a" * 64, 0.0, 30.0)
    assert clip.clip_id != make_clip_id("a" * 64, 0.0, 29.0)
    assert "a" * 16 == video_of(clip.clip_id) == video_of(make_clip_id("a" * 64, 0.0, 29.0))


def track(*seconds: dict[str, Any]) -> list[dict[str, Any]]:
    """A second for each set of changes."""
    return [{**GOOD, **changes} for changes in seconds]


def test_a_video_of_several_windows_is_several_clips(make_clip: MakeClip) -> None:
    """Each with its own measures, its own shots, and an id of its own."""
    seconds = [{"luma_mean": 10.0 * number} for number in range(9)]
    shots = [
        {"start_seconds": 0.0, "end_seconds": 2.5, "kind": "start"},
        {"start_seconds": 2.5, "end_seconds": 6.0, "kind": "cut"},
        {"start_seconds": 6.0, "end_seconds": 9.0, "kind": "dissolve"},
    ]
    record = make_clip(duration_seconds=9.0, track=track(*seconds), shots=shots)

    videos, clips = select(record, recipe=WINDOWS)

    assert 2 == videos[record.video_uri].num_clips
    assert [(0.0, 4.0), (4.0, 8.0)] == [(clip.start_seconds, clip.end_seconds) for clip in clips]
    assert [15.0, 55.0] == [clip.luma_mean for clip in clips]
    assert [make_clip_id("a" * 64, start, start + 4.0) for start in (0.0, 4.0)] == [
        clip.clip_id for clip in clips
    ]
    assert [
        [(0.0, 2.5, "start"), (2.5, 4.0, "cut")],
        [(4.0, 6.0, "start"), (6.0, 8.0, "dissolve")],
    ] == [[tuple(shot.values()) for shot in clip.shots] for clip in clips]


def test_a_window_that_a_filter_refuses_is_dropped_alone(make_clip: MakeClip) -> None:
    """The video and its other windows stay."""
    seconds = [{"motion": 1.0 if number < 4 else 3.0} for number in range(8)]
    record = make_clip(duration_seconds=8.0, track=track(*seconds))

    videos, clips = select(record, recipe=WINDOWS)

    assert Kept() == videos[record.video_uri].verdict
    assert ["motion_below_min", "kept"] == [outcome(clip) for clip in clips]


def test_a_window_of_unknown_motion_is_no_still_window(make_clip: MakeClip) -> None:
    """Unknown is a reason of its own; seconds that are known count alone."""
    half = [{"motion": None if number < 2 else 3.0} for number in range(4)]
    none = [{"motion": None}] * 4
    record = make_clip(duration_seconds=8.0, track=track(*half, *none))

    _, clips = select(record, recipe=WINDOWS)

    assert [3.0, None] == [clip.motion for clip in clips]
    assert ["kept", "motion_below_min_unknown"] == [outcome(clip) for clip in clips]


def test_a_video_without_room_for_a_window_says_how_long_it_is_usable(make_clip: MakeClip) -> None:
    """The longest stretch is the score, the least length of a window the threshold."""
    black = [{"black": float(number in {3, 6})} for number in range(9)]
    record = make_clip(duration_seconds=9.0, track=track(*black))

    videos, clips = select(record, recipe=WINDOWS)

    assert [] == clips
    assert videos[record.video_uri].verdict == Dropped(
        reason="no_window",
        detail="usable for 3 s at a time, 4 s wanted",
        score=3.0,
        threshold=4.0,
    )


def test_windows_of_many_videos_are_each_of_their_own(make_clip: MakeClip) -> None:
    """A video's clips are the same whichever videos are decided upon with it."""
    records = [
        make_clip(
            video_uri=f"file:///{number}",
            video_sha256=str(number) * 64,
            duration_seconds=4.0 + number,
            track=track(*[{"luma_mean": float(number)}] * (4 + number)),
        )
        for number in range(1, 9)
    ]

    _, together = select(*records, recipe=WINDOWS)
    alone = [clip for record in records for clip in select(record, recipe=WINDOWS)[1]]

    assert alone == together
    assert {float(number) for number in range(1, 9)} == {clip.luma_mean for clip in together}


def test_rejected_and_failed_files_stay_what_they_are(make_clip: MakeClip) -> None:
    """Filters are not asked about what was not measured, and there is no clip."""
    videos, clips = select(
        make_clip(video_uri="file:///1", verdict=Dropped(reason="not_a_video", detail="x")),
        make_clip(video_uri="file:///2", verdict=Failed(error="PermanentError", message="x")),
    )

    assert ["not_a_video", "PermanentError"] == [outcome(video) for video in videos.values()]
    assert [] == clips


def test_copies_are_dropped_in_favour_of_the_first(make_clip: MakeClip) -> None:
    """Of byte-equal files the first by URI stays, and its windows once."""
    videos, clips = select(*(make_clip(video_uri=f"file:///{name}") for name in "bca"))

    assert {
        "file:///a": "kept",
        "file:///b": "exact_duplicate",
        "file:///c": "exact_duplicate",
    } == {uri: outcome(video) for uri, video in videos.items()}
    assert [None, "file:///a", "file:///a"] == [video.duplicate_of for video in videos.values()]
    assert ["file:///a"] == [clip.video_uri for clip in clips]


def test_a_copy_of_what_is_dropped_has_that_reason(make_clip: MakeClip) -> None:
    """No video is the duplicate of one that was not kept."""
    videos, _ = select(
        *(make_clip(video_uri=f"file:///{name}", black_fraction=1.0) for name in "ab")
    )

    assert ["black", "black"] == [outcome(video) for video in videos.values()]


def test_near_duplicates_say_of_which_video_and_how_near(make_clip: MakeClip) -> None:
    """Score and threshold are the mean bits."""
    videos, _ = select(
        make_clip(video_uri="file:///a"),
        make_clip(video_uri="file:///b", video_sha256="b" * 64, width=640, height=360),
    )

    near = videos["file:///b"]
    assert isinstance(near.verdict, Dropped)
    assert ("near_duplicate", 0.0, 16.0) == (
        near.verdict.reason,
        near.verdict.score,
        near.verdict.threshold,
    )
    assert "file:///a" == near.duplicate_of


def test_a_recipe_without_near_duplicates_keeps_them(make_clip: MakeClip) -> None:
    """Leaving the key out switches the rule off."""
    videos, _ = select(
        make_clip(video_uri="file:///a"),
        make_clip(video_uri="file:///b", video_sha256="b" * 64),
        recipe=parse_recipe({"name": "x"}, "x"),
    )

    assert ["kept", "kept"] == [outcome(video) for video in videos.values()]


def test_every_video_is_a_row(make_clip: MakeClip) -> None:
    """Whatever the verdicts."""
    records = [
        make_clip(video_uri=f"file:///{index:02d}", duration_seconds=float(index))
        for index in reversed(range(12))
    ]

    videos, _ = select(*records)

    assert [f"file:///{index:02d}" for index in range(12)] == list(videos)


@pytest.mark.parametrize("recipe", [DEMO, WINDOWS])
def test_no_rows_in_no_rows_out(recipe: Recipe) -> None:
    """An empty table is a table."""
    candidates = judge([MeasuredRecord.table([])], recipe)

    assert [0] == [table.num_rows for table in video_tables(candidates, recipe)]
    assert [0] == [table.num_rows for table in clip_tables(candidates, recipe)]


def test_the_key_of_a_decision_is_measure_and_recipe(make_clip: MakeClip) -> None:
    """Another recipe or another measurement is another result, of videos and of clips."""
    one, other = make_clip(result_key="m"), make_clip(result_key="n")
    small = replace(load_recipe("small"), windows=None)

    for keys in zip(
        *(keys_of(*each) for each in [(one, DEMO), (one, small), (other, DEMO)]), strict=True
    ):
        assert 3 == len(set(keys))
    assert keys_of(one, DEMO) == keys_of(one, DEMO)


def keys_of(record: MeasuredRecord, recipe: Recipe) -> tuple[str, str]:
    """The result keys of the only video and its only clip."""
    videos, (clip,) = select(record, recipe=recipe)
    return videos[record.video_uri].result_key, clip.result_key
