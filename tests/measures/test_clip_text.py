"""CLIP's tokens: known ids, open_clip's own rows, and long texts laid out without loss."""

from __future__ import annotations

from itertools import chain

import pytest
from open_clip import SimpleTokenizer

from pfp.measures import clip_text

SENTENCE = "A red kite climbs over the windy grey beach while two children run after its tail."
LONG = f"{SENTENCE} They laugh! {SENTENCE} The camera tilts up; {SENTENCE}"
TEXTS = {
    "a word": "cat",
    "a sentence": SENTENCE,
    "30 tokens": "go " * 30,
    "31 tokens": "go " * 31,
    "long": LONG,
    "unicode": "Caf\u00e9 &amp; cr\u00e8me br\u00fbl\u00e9e, \u732b\u306f\u53ef\u611b\u3044\u3002",
}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a diagram", [320, 22697]),
        ("a dog", [320, 1929]),
        ("A  CAT\n", [320, 2368]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_tokens_are_those_that_clip_was_trained_with(text: str, tokens: list[int]) -> None:
    """The ids of CLIP's own examples, whatever their case and spaces; nothing has no tokens."""
    assert tokens == clip_text.tokens_of(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_context_is_the_row_of_open_clip(text: str) -> None:
    """Start, tokens cut at 30, end and zeros are what open_clip makes for a context of 32."""
    expected = SimpleTokenizer(context_length=32)(text)[0].tolist()

    assert expected == clip_text.in_context(clip_text.tokens_of(text))


@pytest.mark.parametrize(("num_tokens", "cut"), [(1, 0), (30, 0), (31, 1), (70, 40)])
def test_what_is_cut_is_counted(num_tokens: int, cut: int) -> None:
    """30 tokens fit; of more, all but 30 are cut, and the end token is last."""
    tokens = clip_text.tokens_of("go " * num_tokens)

    assert cut == clip_text.num_cut(tokens)
    assert clip_text.in_context(tokens).index(clip_text.END) == min(num_tokens, 30) + 1


@pytest.mark.parametrize("name", ["<start_of_text>", "<end_of_text>", "<END_OF_TEXT>"])
def test_a_text_cannot_spell_a_control_token(name: str) -> None:
    """The name of the end token inside a text does not end it."""
    assert clip_text.tokens_of(f"a {name} dog") == clip_text.tokens_of("a dog")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_pieces_hold_every_token_once(text: str) -> None:
    """The pieces of a text, each of 1 to 30 tokens, are its tokens in order."""
    pieces = clip_text.pieces_of(text)

    assert clip_text.tokens_of(text) == list(chain.from_iterable(pieces))
    assert all(1 <= len(piece) <= 30 for piece in pieces)


def test_a_text_that_fits_is_one_piece() -> None:
    """Several sentences of 30 tokens together stay together."""
    text = "One. Two. Three."

    assert [clip_text.tokens_of(text)] == clip_text.pieces_of(text)
    assert clip_text.pieces_of("") == []


def test_pieces_are_whole_sentences() -> None:
    """Consecutive sentences share a piece as long as they fit, and none is torn."""
    expected = [f"{SENTENCE} They laugh!", f"{SENTENCE} The camera tilts up;", SENTENCE]

    assert [clip_text.tokens_of(text) for text in expected] == clip_text.pieces_of(LONG)


def test_a_long_sentence_is_laid_out_word_by_word() -> None:
    """A sentence of more than 30 tokens is torn between words, never inside one."""
    words = ["unbelievable"] * 3 + ["antidisestablishmentarianism"] * 9
    piece_starts = {clip_text.tokens_of(word)[0] for word in words}
    pieces = clip_text.pieces_of(" ".join(words))

    assert len(pieces) > 1
    assert all(piece[0] in piece_starts for piece in pieces)
    assert all(len(clip_text.tokens_of(words[-1])) > 30 - len(piece) for piece in pieces[:-1])


def test_a_script_without_spaces_is_laid_out_token_by_token() -> None:
    """A hundred characters without a space fill pieces of 30 tokens."""
    text = "\u732b" * 100
    pieces = clip_text.pieces_of(text)

    assert clip_text.tokens_of(text) == list(chain.from_iterable(pieces))
    assert {30} == {len(piece) for piece in pieces[:-1]}
