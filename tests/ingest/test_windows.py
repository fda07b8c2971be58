"""Windows: where they lie in a video, whatever its seconds and cuts are."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.ingest.windows import Avoid, Windows, usable_stretches, whole_videos, windows_of
from pfp.schema import MeasuredRecord
from tests.ingest.conftest import MakeClip

AVOID = Avoid(max_black=0.5, max_uniform=0.5, max_frozen=0.5, max_damaged=0)
GOOD = {
    "luma_mean": 100.0,
    "luma_std": 50.0,
    "motion": 20.0,
    "frozen": 0.0,
    "black": 0.0,
    "uniform": 0.0,
    "num_damaged": 0,
}
BAD: tuple[dict[str, Any], ...] = (
    {**GOOD, "black": 0.6},
    {**GOOD, "uniform": 1.0},
    {**GOOD, "frozen": 0.51},
    {**GOOD, "num_damaged": 1},
)


def settings(**changes: Any) -> Windows:
    """Windows of 20 s, one after the other, with changes."""
    values: dict[str, Any] = {
        "min_seconds": 20.0,
        "max_seconds": 20.0,
        "overlap_seconds": 0.0,
        "max_per_video": 100.0,
        "begin_at_cuts": False,
        "avoid": AVOID,
        "filters": {},
    }
    return Windows(**{**values, **changes})


def video(
    make_clip: MakeClip, seconds: float, *, bad: tuple[int, ...] = (), cuts: tuple[float, ...] = ()
) -> MeasuredRecord:
    """A video that is good but for some seconds, each bad in another way, with cuts."""
    kinds = itertools.cycle(BAD)
    track = [next(kinds) if second in bad else GOOD for second in range(int(np.ceil(seconds)))]
    edges = [0.0, *cuts, seconds]
    shots = [
        {"start_seconds": start, "end_seconds": end, "kind": "cut" if start else "start"}
        for start, end in itertools.pairwise(edges)
    ]
    return make_clip(duration_seconds=seconds, track=track, shots=shots)


def spans(table: pa.Table, of: Windows) -> list[tuple[int, float, float]]:
    """``(video, start, end)`` of the windows."""
    return [(int(v), float(a), float(b)) for v, a, b in zip(*windows_of(table, of), strict=True)]


def cut(
    make_clip: MakeClip, seconds: float, of: Windows, **kinds: Any
) -> list[tuple[float, float]]:
    """The windows of one video."""
    table = MeasuredRecord.table([video(make_clip, seconds, **kinds)])
    return [(start, end) for _, start, end in spans(table, of)]


def test_a_video_of_one_window_is_that_window(make_clip: MakeClip) -> None:
    """Neither a second more nor a second less is needed."""
    assert [(0.0, 20.0)] == cut(make_clip, 20.0, settings())
    assert [] == cut(make_clip, 19.99, settings())


def test_windows_follow_one_another(make_clip: MakeClip) -> None:
    """What is left over at the end is in none."""
    assert [(0.0, 20.0), (20.0, 40.0)] == cut(make_clip, 59.0, settings())


def test_longer_windows_are_as_few_and_as_long_as_may_be(make_clip: MakeClip) -> None:
    """70 s in windows of 20 to 30 s are three of 23.3 s; 45 s are two."""
    of = settings(max_seconds=30.0)

    assert pytest.approx([0, 70 / 3, 140 / 3]) == [start for start, _ in cut(make_clip, 70.0, of)]
    assert [(0.0, 22.5), (22.5, 45.0)] == cut(make_clip, 45.0, of)
    assert [(0.0, 30.0)] == cut(make_clip, 35.0, of), "two would be too short"


def test_overlapping_windows_share_seconds(make_clip: MakeClip) -> None:
    """Each begins so many seconds before the one before it ends."""
    of = settings(overlap_seconds=5.0)

    assert [(0.0, 20.0), (15.0, 35.0), (30.0, 50.0)] == cut(make_clip, 52.0, of)


def test_bad_seconds_lie_in_no_window(make_clip: MakeClip) -> None:
    """Black, of one colour, frozen or damaged: windows lie before and behind."""
    assert [(0.0, 20.0), (24.0, 44.0)] == cut(make_clip, 60.0, settings(), bad=(20, 21, 22, 23))
    assert [] == cut(make_clip, 60.0, settings(), bad=(19, 38, 57))


def test_a_window_begins_at_a_cut_where_seconds_are_to_spare(make_clip: MakeClip) -> None:
    """Not beyond what is to spare, and never at the cost of a window."""
    of = settings(begin_at_cuts=True)

    assert [(0.0, 20.0), (23.5, 43.5)] == cut(make_clip, 45.0, of, cuts=(3.0, 23.5, 24.5))
    assert [(0.0, 20.0), (20.0, 40.0)] == cut(make_clip, 45.0, of, cuts=(3.0, 25.5))
    assert [(5.5, 25.5)] == cut(make_clip, 26.0, of, bad=(0, 1), cuts=(0.5, 5.5))


def test_a_cut_at_the_beginning_is_one(make_clip: MakeClip) -> None:
    """A video begins with a shot, so the first window begins with it."""
    assert [(0.0, 20.0)] == cut(make_clip, 30.0, settings(begin_at_cuts=True), cuts=(2.0,))


def test_of_too_many_windows_evenly_spread_ones_are_taken(make_clip: MakeClip) -> None:
    """Two of six: one of each half, not the first two."""
    starts = [start for start, _ in cut(make_clip, 120.0, settings(max_per_video=2.0))]

    assert [40.0, 100.0] == starts


def test_a_video_that_was_not_looked_at_is_one_stretch(make_clip: MakeClip) -> None:
    """HDR videos have no track: nothing is known to be bad, and nothing is invented."""
    table = MeasuredRecord.table([make_clip(duration_seconds=41.0, track=[], shots=[])])

    assert [(0, 0.0, 20.0), (0, 20.0, 40.0)] == spans(table, settings(begin_at_cuts=True))


def test_whole_videos_are_spans_and_unknown_lengths_none(make_clip: MakeClip) -> None:
    """A file that could not be measured has no span."""
    table = MeasuredRecord.table(
        [make_clip(duration_seconds=None), make_clip(duration_seconds=3.0)]
    )

    assert [[1], [0.0], [3.0]] == [column.tolist() for column in whole_videos(table)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_seconds": 21.0}, "at least 21.0 s and at most 20.0 s do not exist"),
        ({"min_seconds": 0.0}, "do not exist"),
        ({"overlap_seconds": 20.0}, "overlap_seconds is 20.0; give 0 to below"),
        ({"overlap_seconds": -1.0}, "overlap_seconds is -1.0"),
        ({"max_per_video": 0.0}, "max_per_video is 0.0; give a whole number"),
        ({"max_per_video": 1.5}, "max_per_video is 1.5"),
    ],
)
def test_windows_that_cannot_be_are_refused(changes: dict[str, float], message: str) -> None:
    """Before anything is cut, with the value and the cure."""
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


VIDEOS = st.lists(
    st.tuples(
        st.integers(1, 400).map(lambda tenths: tenths / 10),
        st.sets(st.integers(0, 39), max_size=4),
        st.sets(st.integers(1, 390), max_size=5),
    ),
    min_size=1,
    max_size=4,
)
SETTINGS = st.builds(
    lambda least, more, overlap, number, cuts: settings(
        min_seconds=least,
        max_seconds=least + more,
        overlap_seconds=overlap * least,
        max_per_video=float(number),
        begin_at_cuts=cuts,
    ),
    st.integers(1, 8).map(float),
    st.integers(0, 6).map(float),
    st.sampled_from([0.0, 0.25, 0.5]),
    st.integers(1, 6),
    st.booleans(),
)


@settings_of(max_examples=40)
@given(VIDEOS, SETTINGS)
def test_windows_keep_every_promise(
    make_clip: MakeClip, drawn: list[tuple[float, set[int], set[int]]], of: Windows
) -> None:
    """Length, order, overlap, number, and no bad second; a video's do not depend on the others."""
    records = [
        video(
            make_clip,
            seconds,
            bad=tuple(bad),
            cuts=tuple(sorted(tenths / 10 for tenths in cuts if tenths / 10 < seconds)),
        )
        for seconds, bad, cuts in drawn
    ]
    found = spans(MeasuredRecord.table(records), of)

    for number, (seconds, bad, _) in enumerate(drawn):
        own = [(start, end) for row, start, end in found if row == number]
        alone = spans(MeasuredRecord.table([records[number]]), of)
        np.testing.assert_allclose([list(span) for _, *span in alone], own, atol=1e-6)
        assert len(own) <= of.max_per_video
        for start, end in own:
            assert of.min_seconds - 1e-6 <= end - start <= of.max_seconds + 1e-6
            assert 0 <= start < end <= seconds + 1e-9
            assert not any(start < second + 1 - 1e-6 and end > second + 1e-6 for second in bad)
        for (_, before), (start, _) in itertools.pairwise(own):
            assert start >= before - of.overlap_seconds - 1e-6


@settings_of(max_examples=40)
@given(VIDEOS, SETTINGS)
def test_a_stretch_without_a_window_is_too_short(
    make_clip: MakeClip, drawn: list[tuple[float, set[int], set[int]]], of: Windows
) -> None:
    """Where windows are not bounded in number, every stretch that is long enough has one."""
    records = [video(make_clip, seconds, bad=tuple(bad)) for seconds, bad, _ in drawn]
    table = MeasuredRecord.table(records)
    many = settings(
        min_seconds=of.min_seconds,
        max_seconds=of.max_seconds,
        overlap_seconds=of.overlap_seconds,
        max_per_video=1000.0,
    )
    found = spans(table, many)

    for row, start, end in zip(*usable_stretches(table, AVOID), strict=True):
        inside = [one for one in found if one[0] == row and start - 1e-9 <= one[1] < end]
        assert bool(inside) == (end - start >= of.min_seconds - 1e-6)
