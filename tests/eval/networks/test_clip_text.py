"""CLIP's tokens: known ids, open_clip's own rows, and long texts laid out without loss."""

from __future__ import annotations

import random
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from open_clip import SimpleTokenizer

from pfp.eval.networks import clip_text

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


ODD = (
    *("<|endoftext|>", "a <|endoftext|> b", "a<|ENDOFTEXT|>b", "!!<|endoftext|>"),
    *("<|startoftext|>", "<start_of_text> dog", "a <end_of_text>.", "<|endoftext|"),
    *("&lt;|endoftext|&gt; x", "it'LL", "_a_b", "a\x1cb", "a\x85b", "a\u200bb", "\ufeffhi"),
    *("\u0661\u0662", "\u0130z", "\U0001f642\U0001f642!"),
)


def original_tokenizer() -> Any:
    """CLIP's own, of which VBench's is a copy; its package needs a setuptools that is gone."""
    package = find_spec("clip")
    if package is None or not package.submodule_search_locations:
        pytest.skip("openai-clip is not installed")
    place = Path(package.submodule_search_locations[0]) / "simple_tokenizer.py"
    spec = spec_from_file_location("clip_simple_tokenizer", place)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


@pytest.mark.parity
def test_tokens_are_clip_s_own_for_odd_texts(parity: Any) -> None:
    """Marks within a text, other scripts and blanks, and 2,000 random mixtures of them."""
    original = original_tokenizer()
    draw = random.Random(0)
    signs = [*"aB3 .,!<|>_'\t\n\x0b\x1c\x1f\x85\xa0\u2003\u3000\u00e9\u65e5&;", *ODD]
    mixtures = ["".join(draw.choices(signs, k=draw.randint(1, 8))) for _ in range(2000)]
    texts = [*ODD, *TEXTS.values(), *mixtures]

    differing = [text for text in texts if original.encode(text) != clip_text.tokens_of(text)]

    parity("semantic", f"CLIP's tokens of {len(texts)} texts", len(differing), tolerance=0)


@pytest.mark.parametrize(("text", "num_unseen"), [("a <|endoftext|> b c", 2), ("go " * 31, 1)])
def test_what_comes_after_an_end_mark_is_not_seen(text: str, num_unseen: int) -> None:
    """As for the reference, whose text is read off at its first end token."""
    assert num_unseen == clip_text.num_cut(clip_text.tokens_of(text))


@pytest.mark.parametrize("name", ["<start_of_text>", "<end_of_text>", "<END_OF_TEXT>"])
def test_no_mark_ends_a_piece(name: str) -> None:
    """All of a shot's caption is seen, whatever it spells."""
    assert clip_text.pieces_of(f"a {name} dog") == clip_text.pieces_of("a dog")
    assert clip_text.END not in clip_text.pieces_of("a <|endoftext|> dog")[0]


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
