"""One caption's words: what is kept as it is, what is cleaned, and which rule rejects the rest.

The captions lie in two files beside this one: ``good_captions.txt`` and ``bad_captions.txt``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.synthetic_clips import plan_clip, storyboard
from pfp.caption.caption_text import caption_fault, caption_notice, clean_caption

HERE: Final = Path(__file__).parent
LEFT: Final = "A red disc moves."


def _lines(name: str) -> list[str]:
    text = (HERE / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("# ")]


def _rule(caption: str, duration_seconds: float = 60.0) -> str | None:
    fault = caption_fault(caption, duration_seconds=duration_seconds, max_length=2000)
    return None if fault is None else fault.rule


GOOD: Final = _lines("good_captions.txt")
BAD: Final = [
    (rule, json.loads(caption))
    for rule, caption in (line.split("\t") for line in _lines("bad_captions.txt"))
]


def test_good_captions_are_kept() -> None:
    """Hundreds of them, in thirty languages, with apologies, clocks, quotes and repetitions."""
    rejected = {caption: rule for caption in GOOD if (rule := _rule(clean_caption(caption)[0]))}

    assert rejected == {}
    assert len(GOOD) > 300


def test_good_captions_are_left_as_they_are() -> None:
    """All but one, which begins like an item of a list."""
    changed = [caption for caption in GOOD if clean_caption(caption) != (caption, [])]

    assert changed == ["- A dash is drawn on the wall."]


def test_captions_of_drawn_clips_are_kept_as_they_are() -> None:
    """What our own renderer says of its clips, which repeats itself more than people do."""
    boards = [storyboard(plan_clip(0, index)) for index in range(100)]
    captions = {shot["caption"] for board in boards for shot in board["shots"]}
    captions |= {board["global_caption"] for board in boards}

    assert {caption for caption in captions if clean_caption(caption) != (caption, [])} == set()
    assert {caption for caption in captions if _rule(caption, 20.0)} == set()
    assert len(captions) > 300


@pytest.mark.parametrize(("rule", "caption"), BAD)
def test_what_is_no_caption_is_rejected_or_cleaned(rule: str, caption: str) -> None:
    """By the rule that it breaks; or a caption is left when what stands around it is taken off."""
    cleaned, done = clean_caption(caption)

    if rule == "clean":
        assert (cleaned, _rule(cleaned)) == (LEFT, None)
        assert done
    else:
        assert _rule(cleaned) == rule


@pytest.mark.parametrize("caption", [*GOOD, *(caption for _, caption in BAD)])
def test_cleaning_what_is_clean_changes_nothing(caption: str) -> None:
    """So that a storyboard that was written out and read again is the same."""
    cleaned, _ = clean_caption(caption)

    assert clean_caption(cleaned) == (cleaned, [])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Ein gr\u00fcner Ball f\u00e4llt.", "latin-1"),
        ("Ein gr\u00fcner Ball f\u00e4llt.", "cp1252"),
        ("Caf\u00e9", "cp1252"),
        ("He doesn\u2019t \u201cmove\u201d.", "latin-1"),
        ("Ein gr\u00fcner Ball f\u00e4llt.", "mac_roman"),
        ("Ein gr\u00fcner Ball f\u00e4llt.", "cp437"),
        ("\u0421\u043e\u0431\u0430\u043a\u0430 \u0431\u0435\u0436\u0438\u0442.", "cp1251"),
        ("\u0421\u043e\u0431\u0430\u043a\u0430 \u0431\u0435\u0436\u0438\u0442.", "latin-1"),
        ("\u65e5\u672c\u8a9e\u306e\u5b57", "latin-1"),
        ("\u4e00\u53ea\u72d7\u5728\u8dd1\u6b65\u3002", "gbk"),
        ("A smile \U0001f600 grows.", "latin-1"),
    ],
)
def test_misread_text_is_read_as_it_was_meant(text: str, encoding: str) -> None:
    """UTF-8 that somebody decoded as another encoding; twice as well, where that is possible."""
    misread = text.encode().decode(encoding, "strict" if encoding != "gbk" else "ignore")

    cleaned, done = clean_caption(misread)

    if encoding == "gbk" and misread.encode("gbk") != text.encode():
        assert cleaned == misread  # bytes were lost on the way: nobody knows what was meant
    else:
        assert (cleaned, done) == (text, ["read text that was UTF-8 as UTF-8"])
    if encoding == "latin-1":
        assert clean_caption(misread.encode().decode("latin-1"))[0] == text


@pytest.mark.parametrize(
    "caption",
    [
        "Ein gr\u00c3\u00bcner \u201cBall\u201d.",  # some of it is right: not all was misread
        "Ein gr\ufffdner Ball.",
        "Ein gr\u00ef\u00bf\u00bdner Ball.",
    ],
)
def test_text_that_stays_misread_is_rejected(caption: str) -> None:
    """Where it is not clear what was meant, or where characters are lost."""
    assert _rule(clean_caption(caption)[0]) == "caption_mojibake"


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog, a cat,", "may be cut off: it ends with ','"),
        ("A dog (which is", "may be cut off: its last word is 'is'"),
        ("A dog (brown", "may be cut off: a '(' stays open"),
        ("A dog runs, then a", "may be cut off: its last word is 'a'"),
        ("\u4e00\u53ea\u72d7\uff0c", "may be cut off: it ends with '\uff0c'"),
        ("A dog", None),
        ("A dog runs.", None),
        ("Plan A", None),
    ],
)
def test_what_may_be_cut_off_is_noticed(caption: str, expected: str | None) -> None:
    """And kept: a missing full stop alone says nothing."""
    assert (caption_notice(caption), _rule(caption)) == (expected, None)


@pytest.mark.parametrize(
    ("caption", "seconds", "expected"),
    [
        ("He leaves at 1:05.", 120.0, "caption_times"),
        ("He leaves at 1:05.", 20.0, None),  # no time of this clip: a clock's, perhaps
        ("At 12:45 the shop opens.", 20.0, None),
        ("At 00:45 it stops.", 5.0, "caption_times"),  # outside of the clip, but written like one
    ],
)
def test_time_within_the_clip_is_its_time(
    caption: str, seconds: float, expected: str | None
) -> None:
    """A minute and second that lies outside may be one of a day."""
    assert _rule(caption, seconds) == expected


def test_caption_of_any_length_can_be_stored() -> None:
    """Half an emoji goes, also where a caption is too long for the other repairs."""
    for text in ("A dog \ud83d runs.", "A dog \ud83d runs. " * 1000):
        cleaned, done = clean_caption(text)

        cleaned.encode()
        assert "removed characters that cannot be seen" in done


@given(st.text(max_size=60))
def test_any_text_is_cleaned_once(text: str) -> None:
    """Whatever it is; and what is kept has letters in it."""
    cleaned, _ = clean_caption(text)

    assert clean_caption(cleaned)[0] == cleaned
    if _rule(cleaned) is None:
        assert any(character.isalpha() for character in cleaned)
        cleaned.encode()


PIECES: Final = (
    *(
        "<",
        '"',
        "'",
        "(",
        "[",
        "{",
        "`",
        "\\",
        "-",
        "*",
        "#",
        "&",
        "&amp;",
        "12:45 ",
        "1s ",
        "at 5",
    ),
    *("I can't ", "as an ai ", "<think>", "</think>", "<think ", "<|", "<|im_end", '{"a":', "[["),
    *(
        "\u201c",
        "\u00c3",
        "\u00c2\u00a9",
        "\u00e9",
        "\u4e2d",
        "\u57285",
        "\\u00",
        "\\n",
        "here is ",
    ),
    *("sure, ", "**a", "<p ", ". ", ", ", "a b ", "ab", "the video you ", "from 00:", "(1s ", "\t"),
    *("\u200d", "\x00", "in the first ", "if you ", " \n", "\u3000", "no video "),
)


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_linear_in_the_text(piece: str) -> None:
    """100,000 characters of anything take a moment; a pattern that goes back would take hours."""
    text = (piece * 100_000)[:100_000]
    started = time.process_time()

    for part in (text, text[:7900]):
        cleaned, _ = clean_caption(part)
        caption_fault(cleaned, duration_seconds=60.0, max_length=1_000_000)
        caption_notice(cleaned)

    assert time.process_time() - started < 5
