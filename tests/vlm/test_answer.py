"""Strict JSON out of a model's text."""

from __future__ import annotations

import pytest

from pfp.vlm import parse_object
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
    ],
)
def test_text_that_is_not_one_object_is_refused(text: str, reason: str) -> None:
    """What other readers would let pass is an error that says what is wrong."""
    with pytest.raises(ValueError, match=reason):
        parse_object(text)

    assert parse_object_or_none(text) is None


def test_object_is_read() -> None:
    """Plain JSON is what it says."""
    assert parse_object(' {"a": [1, null]} ') == {"a": [1, None]}
