"""Strict JSON out of a model's text."""

from __future__ import annotations

import json

import pytest

from pfp.vlm import Answer, parse_object
from pfp.vlm.answer import parse_object_or_none


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[1, 2]", "it is a list, not an object"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": 1} and more', "Extra data"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 65 + "1" + "}" * 65, "nested too deeply, more than 64 levels"),
        ('{"a": ["\\ud83d"]}', "half a surrogate pair"),
        ('{"\\ud83d": 1}', "half a surrogate pair"),
        ('{"a": "' + "x" * (4 << 20) + '"}', "it has 4194313 characters, more than the 4194304"),
        ('{"a": ' + "9" * 5000 + "}", "Exceeds the limit"),
    ],
)
def test_text_that_is_not_one_object_is_refused(text: str, reason: str) -> None:
    """What other readers would let pass is an error that says what is wrong."""
    with pytest.raises(ValueError, match=reason):
        parse_object(text)

    assert parse_object_or_none(text) is None


def test_as_deep_as_it_may_be() -> None:
    """64 levels, and brackets in texts are no levels."""
    text = '{"a": ' * 64 + json.dumps("[" * 1000) + "}" * 64
    assert json.loads(text) == parse_object(text)


def test_whole_pairs_are_read() -> None:
    """An emoji is two escapes in JSON that knows 16 bits only."""
    assert {"a": "\U0001f600"} == parse_object('{"a": "\\ud83d\\ude00"}')


def test_what_a_server_sent_can_be_stored() -> None:
    """Half pairs are written as escapes, and what people read is short."""
    answer = Answer(
        backend="b",
        model="m",
        raw_text="half \ud83d",
        problem="x" * 10_000,
        notes=("\ud83d",) * 1000,
    )
    assert "half \\ud83d" == answer.raw_text
    assert 2100 > len(answer.problem or "")
    assert ("\\ud83d",) * 100 == answer.notes


def test_object_is_read() -> None:
    """Plain JSON is what it says."""
    assert parse_object(' {"a": [1, null]} ') == {"a": [1, None]}
