"""Storyboards as values, as files, and by time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.caption import Storyboard, StoryShot, caption_at
from pfp.errors import SchemaError

SHOT = {"start_seconds": 0.0, "end_seconds": 2, "caption": "A dog."}
BOARD: dict[str, Any] = {"schema_version": 1, "global_caption": "Dogs.", "shots": [SHOT]}

finite = st.floats(-1e6, 1e6)
shots = st.builds(StoryShot, start_seconds=finite, end_seconds=finite, caption=st.text())
boards = st.builds(
    Storyboard,
    shots=st.lists(shots, min_size=1).map(tuple),
    global_caption=st.none() | st.text(),
)


@given(board=boards)
def test_file_gives_the_same_storyboard_back(board: Storyboard) -> None:
    """Any storyboard survives being written and read."""
    assert Storyboard.from_json(board.to_json()) == board


def test_file_without_a_global_caption_is_read() -> None:
    """It may be left out or null."""
    expected = Storyboard(shots=(StoryShot(start_seconds=0.0, end_seconds=2.0, caption="A dog."),))

    for board in ({"schema_version": 1, "shots": [SHOT]}, {**BOARD, "global_caption": None}):
        assert Storyboard.from_json(json.dumps(board)) == expected


@pytest.mark.parametrize(
    ("board", "message"),
    [
        ({**BOARD, "schema_version": 2}, r"schema_version is 2; this pfp reads .* version 1"),
        ({**BOARD, "schema_version": True}, "schema_version is True"),
        ({"shots": [SHOT]}, "schema_version is None"),
        ({**BOARD, "note": 1}, "the storyboard has unknown keys 'note'; remove them"),
        ({**BOARD, "global_caption": 3}, "global_caption is 3; write text or null"),
        ({**BOARD, "shots": []}, "shots is not a list of one or more shots"),
        ({**BOARD, "shots": {"0": SHOT}}, "shots is not a list of one or more shots"),
        ({**BOARD, "shots": ["A dog."]}, r"shots\[0\] is a str, not an object"),
        ({**BOARD, "shots": [{**SHOT, "x": 1}]}, r"shots\[0\] has unknown keys 'x'"),
        ({**BOARD, "shots": [{"caption": "A dog."}]}, r"\[0\] has no end_seconds, start_seconds"),
        ({**BOARD, "shots": [{**SHOT, "caption": None}]}, r"\[0\].caption is None; write text"),
        ({**BOARD, "shots": [{**SHOT, "end_seconds": "0:02"}]}, r"end_seconds is '0:02'; write se"),
        ({**BOARD, "shots": [{**SHOT, "end_seconds": True}]}, "end_seconds is True"),
        ({**BOARD, "shots": [{**SHOT, "end_seconds": 10**400}]}, r"end_seconds is 10+\.\.\.0+;"),
    ],
)
def test_other_formats_are_refused(board: dict[str, Any], message: str) -> None:
    """Unknown keys, wrong kinds and other versions are errors that quote the value."""
    with pytest.raises(SchemaError, match=message):
        Storyboard.from_json(json.dumps(board))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": NaN}'])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    """With the reason of the parser."""
    with pytest.raises(SchemaError, match="the storyboard is not valid JSON: "):
        Storyboard.from_json(text)


def test_infinity_in_disguise_is_refused() -> None:
    """1e999 is JSON, but no time."""
    text = json.dumps(BOARD).replace('"end_seconds": 2', '"end_seconds": 1e999')

    with pytest.raises(SchemaError, match="end_seconds is inf"):
        Storyboard.from_json(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1.0, "a"), (0.0, "a"), (1.99, "a"), (2.0, "b"), (4.5, "b"), (5.0, "c"), (99.0, "c")],
)
def test_prompt_is_that_of_the_last_shot_that_has_begun(seconds: float, expected: str) -> None:
    """A shot's prompt holds from its start, through gaps, until the next one begins."""
    rows = [
        {"start_seconds": 0.0, "end_seconds": 2.0, "caption": "a"},
        {"start_seconds": 2.0, "end_seconds": 4.0, "caption": "b"},
        {"start_seconds": 5.0, "end_seconds": 6.0, "caption": "c"},
    ]

    assert caption_at(rows, seconds) == expected


def test_storyboard_without_shots_has_no_prompt() -> None:
    """That is a mistake of the caller."""
    with pytest.raises(ValueError, match="without shots has no caption"):
        caption_at([], 1.0)
