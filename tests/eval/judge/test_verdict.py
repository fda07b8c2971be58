"""Yes and no out of a judge's text."""

from __future__ import annotations

import numpy as np
import pytest

from pfp.eval.judge import FramesQuestion, Verdict, parse_verdict
from pfp.eval.judge.judge import read_answer
from pfp.vlm import Answer, Finish, Frames

OPTIONS = {"A": "yes", "B": "no"}
QUESTION = FramesQuestion(
    frames=Frames([np.zeros((4, 6, 3), np.uint8)], [0.5]), prompt_id="test@1/it", prompt="Is it?"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"answer": "yes"}', "yes"),
        (' {"answer": "no"}\n', "no"),
        ('{"answer": "Yes, it is"}', "unparseable"),
        ('{"verdict": "yes"}', "unparseable"),
        ('{"answer": "yes", "answer": "no"}', "unparseable"),
        ('{"answer": "yes"', "unparseable"),
        ('{"answer": ["yes"]}', "unparseable"),
        ("yes", "yes"),
        ("Yes.", "yes"),
        ("**No**, the coat is another.", "no"),
        ("\n NO", "no"),
        ("Yesterday he wore blue.", "unparseable"),
        ("Nobody is there.", "unparseable"),
        ("The eyes stay the same.", "unparseable"),
        ("I think yes.", "unparseable"),
        ("", "unparseable"),
        (None, "unparseable"),
        ("A", "unparseable"),
    ],
)
def test_verdict_is_an_enum_value_or_a_first_word(text: str | None, expected: str) -> None:
    """Whatever is neither is a third thing; a yes somewhere in the text is no yes."""
    assert expected == parse_verdict(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "yes"),
        ("A.", "yes"),
        ("A)", "yes"),
        ("(A)", "yes"),
        ("(B)\n", "no"),
        ("(A) Yes, a cat appears.", "yes"),
        ("B. No", "no"),
        ("A. No", "unparseable"),
        ("A cat appears.", "unparseable"),
        ("C", "unparseable"),
        ("(A", "unparseable"),
        ("A or B", "unparseable"),
        ("No.", "no"),
    ],
)
def test_letter_of_an_option_counts_where_options_are_offered(text: str, expected: str) -> None:
    """Four ways to write a letter, alone or with its own word; an article is no letter."""
    assert expected == parse_verdict(text, OPTIONS)


@pytest.mark.parametrize("finish", [Finish.BLOCKED, Finish.TRUNCATED, Finish.UNSEEN, Finish.ABSENT])
def test_text_of_what_is_no_answer_is_not_read(finish: Finish) -> None:
    """A yes that was cut off or given unseen is none, and the reason is told."""
    answer = Answer(backend="b", model="m", finish=finish, raw_text="yes")

    judgement = read_answer(QUESTION, answer)

    assert (Verdict.UNPARSEABLE, finish.value) == (judgement.verdict, judgement.why_not)
