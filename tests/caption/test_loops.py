"""How often a phrase may follow on itself, in words and in letters without spaces."""

from __future__ import annotations

import pytest

from pfp.caption.loops import find_letter_loop, find_loop, runs, tokens_of


def test_scripts_without_spaces_have_letters_for_words() -> None:
    """Chinese, kana and Thai letter by letter; everything else by words, without case."""
    assert tokens_of("A Dog's \u72d7\u304c\u0e2b2.5") == [
        *("a", "dog", "s", "\u72d7", "\u304c", "\u0e2b", "2", "5")
    ]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("abc", []),
        ("aab", [(0, 1, 2.0)]),
        ("xabababay", [(1, 2, 3.5)]),
        ("abcabc", [(0, 3, 2.0)]),
        ("aaaa", [(0, 1, 4.0), (0, 2, 2.0)]),
    ],
)
def test_runs_are_items_that_follow_on_themselves(
    items: str, expected: list[tuple[int, int, float]]
) -> None:
    """The longest of each period, from where, and how often it comes."""
    assert list(runs(items, 10)) == expected


@pytest.mark.parametrize(
    ("phrase", "most"),
    [
        ("very ", 4),
        ("left right ", 4),
        ("up and down ", 3),
        ("he opens the door ", 2),
        ("the man opens the door ", 2),
        ("\u7ea2", 7),
        ("\u7ea2\u8272", 5),
        ("\u4e00\u4e2a\u7ea2\u8272\u7684\u7403", 2),
    ],
)
def test_a_phrase_may_come_so_often(phrase: str, most: int) -> None:
    """Short ones oftener than long ones; once more is a loop."""
    assert find_loop(f"Then {phrase * most} ends it") is None
    assert find_loop(f"Then {phrase * (most + 1)} ends it") is not None


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        ("a" * 19, False),
        ("a" * 20, True),
        ("abcd" * 5, False),
        ("abcd" * 6, True),
        ("\u0f56\u0f40\u0fb2\u0f0b" * 6, True),  # Tibetan, which has no spaces either
        ("A dog runs over the lawn, and a cat sits on the wall.", False),
    ],
)
def test_pieces_of_any_script_are_found(text: str, *, is_loop: bool) -> None:
    """Six times the same four letters or more, twenty times the same one."""
    assert (find_letter_loop(text) is not None) is is_loop
