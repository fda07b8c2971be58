"""Filters: which reason fires on which side of which threshold."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pfp.ingest.audio_columns import AudioColumns
from pfp.ingest.filters import AUDIO_FILTERS, FILTERS, NETWORK_FILTERS, Bound, first_refusals
from pfp.ingest.recipe import load_recipe
from pfp.schema import KEPT, AudioRecord, Dropped, MeasuredRecord
from tests.ingest.conftest import MakeClip

ASKED = np.ones(1, bool)

# filter, its settings, what the clip has, and the reason; None where it passes
CASES: list[tuple[str, dict[str, float], dict[str, Any], str | None]] = [
    ("duration", {"min_seconds": 4, "max_seconds": 9}, {"duration_seconds": 4.0}, None),
    ("duration", {"min_seconds": 4, "max_seconds": 9}, {"duration_seconds": 9.0}, None),
    (
        "duration",
        {"min_seconds": 4, "max_seconds": 9},
        {"duration_seconds": 3.99},
        "duration_below_min",
    ),
    (
        "duration",
        {"min_seconds": 4, "max_seconds": 9},
        {"duration_seconds": 9.01},
        "duration_above_max",
    ),
    ("frame_rate", {"min_fps": 6}, {"fps": 6.0}, None),
    ("frame_rate", {"min_fps": 6}, {"fps": 5.9}, "fps_below_min"),
    ("resolution", {"min_side_pixels": 96}, {"width": 96, "height": 200}, None),
    ("resolution", {"min_side_pixels": 96}, {"width": 400, "height": 95}, "side_below_min"),
    ("aspect", {"min_ratio": 0.5, "max_ratio": 2}, {"width": 200, "height": 100}, None),
    (
        "aspect",
        {"min_ratio": 0.5, "max_ratio": 2},
        {"width": 201, "height": 100},
        "aspect_above_max",
    ),
    (
        "aspect",
        {"min_ratio": 0.5, "max_ratio": 2},
        {"width": 49, "height": 100},
        "aspect_below_min",
    ),
    ("hdr", {}, {"transfer": "sdr"}, None),
    ("hdr", {}, {"transfer": "pq"}, "hdr"),
    ("hdr", {}, {"transfer": "hlg"}, "hdr"),
    ("hdr", {}, {"transfer": "linear"}, "transfer_not_sdr"),
    ("interlaced", {"max_fraction": 0.1}, {"combed_fraction": 0.1}, None),
    ("interlaced", {"max_fraction": 0.1}, {"combed_fraction": 0.2}, "interlaced"),
    ("decode_errors", {"max_fraction": 0.01}, {"decode_error_count": 1, "num_frames": 100}, None),
    (
        "decode_errors",
        {"max_fraction": 0.01},
        {"decode_error_count": 2, "num_frames": 100},
        "decode_errors",
    ),
    ("missing", {"max_fraction": 0.1}, {"duration_seconds": 9.0, "promised_seconds": 10.0}, None),
    (
        "missing",
        {"max_fraction": 0.1},
        {"duration_seconds": 8.0, "promised_seconds": 10.0},
        "frames_missing",
    ),
    ("missing", {"max_fraction": 0.1}, {"duration_seconds": 12.0, "promised_seconds": 10.0}, None),
    ("missing", {"max_fraction": 0.1}, {"promised_seconds": None}, None),
    ("timestamps", {"max_jumps": 0, "max_gap_seconds": 1}, {"num_timestamp_jumps": 0}, None),
    (
        "timestamps",
        {"max_jumps": 0, "max_gap_seconds": 1},
        {"num_timestamp_jumps": 1},
        "timestamps_jump_back",
    ),
    (
        "timestamps",
        {"max_jumps": 0, "max_gap_seconds": 1},
        {"max_gap_seconds": 1.5},
        "timestamps_gap",
    ),
    ("size_changes", {"max_count": 0}, {"num_size_changes": 0}, None),
    ("size_changes", {"max_count": 0}, {"num_size_changes": 1}, "size_changes"),
    ("black", {"max_fraction": 0.5}, {"black_fraction": 0.5}, None),
    ("black", {"max_fraction": 0.5}, {"black_fraction": 0.51}, "black"),
    ("uniform", {"max_fraction": 0.5}, {"uniform_fraction": 0.51}, "uniform"),
    ("bars", {"max_fraction": 0.35}, {"bar_fraction": 0.35}, None),
    ("bars", {"max_fraction": 0.35}, {"bar_fraction": 0.36}, "black_bars"),
    ("interlaced", {"max_fraction": 0.1}, {"interlaced_fraction": 1.0}, None),  # a flag alone
    ("backdrop", {"max_fraction": 0.35}, {"backdrop_fraction": 0.35}, None),
    ("backdrop", {"max_fraction": 0.35}, {"backdrop_fraction": 0.68}, "blurred_backdrop"),
    ("clean_aperture", {"max_fraction": 0}, {"hidden_fraction": 0.0}, None),
    ("clean_aperture", {"max_fraction": 0}, {"hidden_fraction": 0.02}, "clean_aperture"),
    ("stereo", {}, {"stereo_layout": "mono"}, None),
    ("stereo", {}, {"stereo_layout": "top_bottom"}, "stereo"),
    ("projection", {}, {"projection": "flat"}, None),
    ("projection", {}, {"projection": "cubemap"}, "spherical"),
    ("frozen", {"max_fraction": 0.5}, {"frozen_fraction": 0.51}, "frozen"),
    ("motion", {"min_levels_per_second": 0.5}, {"motion": 0.5}, None),
    ("motion", {"min_levels_per_second": 0.5}, {"motion": 0.4}, "motion_below_min"),
    ("motion", {"min_levels_per_second": 0.5}, {"motion": None}, "motion_below_min_unknown"),
    ("black", {"max_fraction": 0.5}, {"black_fraction": None}, "black_unknown"),
    (
        "duration",
        {"min_seconds": 4, "max_seconds": 9},
        {"duration_seconds": None},
        "duration_below_min_unknown",
    ),
    ("resolution", {"min_side_pixels": 96}, {"width": None}, "side_below_min_unknown"),
    ("aspect", {"min_ratio": 0.5, "max_ratio": 2}, {"width": None}, "aspect_below_min_unknown"),
    ("decode_errors", {"max_fraction": 0}, {"decode_error_count": None}, "decode_errors_unknown"),
    ("hdr", {}, {"transfer": None}, "hdr_unknown"),
]


# What filters of audio look at: silence between the words of a talk, say. Then files without audio.
SOUND = {
    "has_audio": True,
    "loudness_lufs": -23.0,
    "silent_fraction": 0.2,
    "clipped_fraction": 0.01,
}
SOUND |= {"speech_like_fraction": 0.5}
MUTE, DIGITAL_SILENCE = {"has_audio": False}, {"has_audio": True, "silent_fraction": 1.0}
CASES += [
    ("audio_track", {}, SOUND, None),
    ("audio_track", {}, MUTE, "no_audio"),
    ("audio_track", {}, {}, "no_audio_unknown"),
    ("loudness", {"min_lufs": -23, "max_lufs": -23}, SOUND, None),
    ("loudness", {"min_lufs": -22.9, "max_lufs": -5}, SOUND, "loudness_below_min"),
    ("loudness", {"min_lufs": -50, "max_lufs": -23.1}, SOUND, "loudness_above_max"),
    ("loudness", {"min_lufs": -50, "max_lufs": -5}, MUTE, None),
    ("loudness", {"min_lufs": -50, "max_lufs": -5}, DIGITAL_SILENCE, "loudness_below_min_unknown"),
    ("silence", {"max_fraction": 0.2}, SOUND, None),
    ("silence", {"max_fraction": 0.1}, SOUND, "silent"),
    ("silence", {"max_fraction": 0.1}, MUTE, None),
    ("silence", {"max_fraction": 0.1}, {}, "silent_unknown"),
    ("clipped_audio", {"max_fraction": 0.01}, SOUND, None),
    ("clipped_audio", {"max_fraction": 0.001}, SOUND, "audio_clipped"),
    ("clipped_audio", {"max_fraction": 0.001}, MUTE, None),
    ("speech", {"min_fraction": 0.5, "max_fraction": 0.5}, SOUND, None),
    ("speech", {"min_fraction": 0.6, "max_fraction": 1}, SOUND, "speech_like_below_min"),
    ("speech", {"min_fraction": 0, "max_fraction": 0.4}, SOUND, "speech_like_above_max"),
    ("speech", {"min_fraction": 0.6, "max_fraction": 1}, MUTE, None),
    ("speech", {"min_fraction": 0.6, "max_fraction": 1}, DIGITAL_SILENCE, None),
    ("text", {"max_area": 0.05}, {"text_area": 0.05}, None),
    ("text", {"max_area": 0.05}, {"text_area": 0.06}, "text_area_above_max"),
    ("text", {"max_area": 0.05}, {}, "text_area_above_max_unknown"),
]


def with_sound(make_clip: MakeClip, values: dict[str, Any]) -> pa.Table:
    """A measured clip with these values, some of which are about its sound, or its text."""
    values = dict(values)
    text_area = pa.array([values.pop("text_area", None)], pa.float64())
    own = {name: value for name, value in values.items() if name in MeasuredRecord.SCHEMA.names}
    clip = make_clip(**own)
    audio = AudioRecord(
        video_uri=clip.video_uri,
        video_sha256=clip.video_sha256,
        verdict=KEPT,
        **{name: value for name, value in values.items() if name not in own},
    )
    clips = AudioColumns(AudioRecord.table([audio]), ()).beside(MeasuredRecord.table([clip]))
    return clips.append_column("text_area", text_area)


@pytest.mark.parametrize(("name", "thresholds", "clip", "reason"), CASES)
def test_the_reason_is_told_and_equal_is_inside(
    make_clip: MakeClip,
    name: str,
    thresholds: dict[str, float],
    clip: dict[str, Any],
    reason: str | None,
) -> None:
    """A value that equals its threshold passes; unknown is a reason of its own, not a number."""
    bounds = FILTERS[name](**thresholds).bounds(with_sound(make_clip, clip))

    refused = first_refusals(bounds, ASKED)

    assert ([] if reason is None else [reason]) == [one.reason for one in refused.values()]


def test_every_filter_has_a_case() -> None:
    """A filter that is added without a test fails here."""
    assert set(FILTERS) == {name for name, _, _, _ in CASES}


def test_a_dropped_clip_carries_score_and_threshold() -> None:
    """And a sentence with both, for people."""
    bound = Bound(
        reason="too_short", what="seconds", value=pa.array([2.5]), threshold=4, is_min=True
    )

    assert {
        0: Dropped(
            reason="too_short", detail="seconds 2.5, at least 4 wanted", score=2.5, threshold=4
        )
    } == first_refusals([bound], ASKED)


def test_an_unknown_value_carries_no_score() -> None:
    """Unknown is None, never a number that stands for it."""
    bound = Bound(reason="black", what="black", value=pa.array([None], pa.float64()), threshold=0.5)

    verdict = first_refusals([bound], ASKED)[0]

    assert ("black_unknown", None, 0.5) == (verdict.reason, verdict.score, verdict.threshold)


def test_the_first_bound_that_fails_names_the_reason() -> None:
    """The order of a recipe is the order of its reasons."""
    values = {"first": [0, 9, 0, 0], "second": [2, 2, 0, 2], "third": [3, 0, 0, 3]}
    bounds = [
        Bound(reason=reason, what="x", value=pa.array(column), threshold=1)
        for reason, column in values.items()
    ]

    refused = first_refusals(bounds, np.array([True, True, True, False]))

    assert {0: "second", 1: "first"} == {row: one.reason for row, one in refused.items()}


def test_clips_without_bounds_are_kept() -> None:
    """No filter, no reason."""
    assert {} == first_refusals([], ASKED)


@pytest.mark.parametrize("recipe", ["demo", "small", "full"])
def test_shipped_recipes_keep_a_good_clip_and_use_every_filter(
    make_clip: MakeClip, recipe: str
) -> None:
    """A filter that no recipe names would do nothing."""
    loaded = load_recipe(recipe)
    clips = MeasuredRecord.table([make_clip()])
    bounds = [bound for one in loaded.filters.values() for bound in one.bounds(clips)]

    used = set(loaded.filters) | set(loaded.windows.filters if loaded.windows else ())
    # Sound costs a decode of its own, and networks cost more: who wants them asks for them.
    assert set(FILTERS) - {*AUDIO_FILTERS, *NETWORK_FILTERS} == used
    assert {} == first_refusals(bounds, ASKED)


def test_thresholds_are_plain_numbers() -> None:
    """Recipes are checked field by field, so a filter has nothing but numbers."""
    kinds = {item.type for kind in FILTERS.values() for item in fields(kind)}  # type: ignore[arg-type]

    assert {"float"} == kinds
