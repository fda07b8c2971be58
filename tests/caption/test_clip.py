"""Which spans captions are asked for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.caption import caption_clip, load_prompt, spans_of
from pfp.errors import ConfigError, PermanentError


def _shot(start: float, end: float) -> dict[str, Any]:
    return {"start_seconds": start, "end_seconds": end, "kind": "cut"}


times = st.floats(-5.0, 100.0)


@given(
    shots=st.lists(st.builds(_shot, times, times), max_size=8),
    start=st.floats(0.0, 50.0),
    length=st.floats(0.01, 100.0),
    longest=st.floats(0.5, 60.0),
)
def test_spans_fill_the_clip_in_order(
    shots: list[dict[str, Any]], start: float, length: float, longest: float
) -> None:
    """Whatever shots were measured, spans have no gap, no overlap, and none is too long."""
    end = start + length
    spans = spans_of(shots, start, end, max_span_seconds=longest)

    assert (spans[0].start_seconds, spans[-1].end_seconds) == (start, end)
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(spans))
    assert all(s.start_seconds < s.end_seconds for s in spans)
    assert all(s.end_seconds - s.start_seconds <= longest * (1 + 1e-6) for s in spans)


def test_cuts_are_kept_and_long_shots_divided() -> None:
    """Spans begin at every cut; a shot of 25 s gives three of a third of that."""
    spans = spans_of([_shot(0, 3), _shot(3, 28)], 0.0, 28.0, max_span_seconds=10.0)

    starts = [span.start_seconds for span in spans]
    assert starts == pytest.approx([0.0, 3.0, 3.0 + 25 / 3, 3.0 + 50 / 3])


def test_rounding_makes_no_extra_span() -> None:
    """A shot that is too long by a billionth of a second is not cut in two."""
    assert len(spans_of([], 0.0, 10.0 + 1e-9, max_span_seconds=10.0)) == 1


def test_clip_without_shots_is_one_span() -> None:
    """Nothing was detected, so nothing is cut."""
    (span,) = spans_of([], 2.0, 9.0, max_span_seconds=10.0)

    assert (span.start_seconds, span.end_seconds) == (2.0, 9.0)


@pytest.mark.parametrize(("start", "end"), [(None, 3.0), (0.0, None), (3.0, 3.0)])
def test_clip_without_time_is_a_permanent_error(start: float | None, end: float | None) -> None:
    """There is nothing to caption."""
    row = {"clip_id": "c", "video_uri": "v", "start_seconds": start, "end_seconds": end}

    with pytest.raises(PermanentError, match="there is no time in it"):
        caption_clip({**row, "shots": []}, max_span_seconds=10.0)


def test_prompt_gives_the_times() -> None:
    """The numbered shots, timed from the clip's start, and the length are in the prompt."""
    row = {"clip_id": "c", "video_uri": "v", "start_seconds": 5.0, "end_seconds": 12.5}
    clip = caption_clip({**row, "shots": [_shot(5, 8), _shot(8, 12.5)]}, max_span_seconds=10.0)

    text = load_prompt("storyboard@1").fill(clip)

    assert "The video is 7.50 seconds long. It has been cut into 2 numbered shots." in text
    assert "\n1. 0.00 s to 3.00 s\n2. 3.00 s to 7.50 s\n" in text
    assert "$" not in text


def test_unknown_prompt_is_an_error_that_lists_the_known_ones() -> None:
    """Prompts are files with a version in their name."""
    with pytest.raises(ConfigError, match=r"'storyboard@9' is unknown; use one of storyboard@1"):
        load_prompt("storyboard@9")
