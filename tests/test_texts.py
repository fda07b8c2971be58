"""Texts from outside, as they are stored and shown."""

from __future__ import annotations

import pytest

from pfp.texts import quoted, shortened, storable


@pytest.mark.parametrize("text", ["", "plain", "\u4e16\U0001f600", "a\x00b\n"])
def test_a_text_that_utf8_has_bytes_for_is_stored_as_it_is(text: str) -> None:
    """Control characters among them: Arrow and Parquet take them."""
    assert text == storable(text)


def test_half_a_surrogate_pair_is_stored_as_an_escape() -> None:
    """So that a reader sees what was there."""
    assert "half \\ud83d" == storable("half \ud83d")


def test_a_message_keeps_its_beginning_and_its_end() -> None:
    """The end names the cure; between them stands how long it was."""
    gap = " ... (of 12000 characters) ... "
    text = "b" * 1500 + "m" * 10_000 + "e" * 500
    shown = shortened(text)
    assert "b" * 1500 + gap + "e" * (500 - len(gap)) == shown
    assert shown == shortened(shown)


def test_a_short_message_is_left_alone() -> None:
    """Up to the bound, and not a letter of it."""
    assert "x" * 2000 == shortened("x" * 2000)


@pytest.mark.parametrize("value", ["x" * 10**6, [[[[["deep"]]]]], list(range(10**6)), 10**400])
def test_a_quoted_value_is_short(value: object) -> None:
    """Whatever it is."""
    assert len(quoted(value)) < 200
