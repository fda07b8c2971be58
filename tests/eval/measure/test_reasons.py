"""Every reason for which a metric has no value is explained, and nothing else is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pfp.eval.metrics
from pfp.eval.measure.reasons import REASONS, explained
from pfp.vlm import Finish

LIKE_A_REASON = re.compile(r"(no|not|one|too|single|person)_[a-z_]+")
# Fields and questions of that form, what is said before a metric has looked, and rejections.
OTHERS = {
    *("no_judge", "one_person", "no_answer"),
    *("no_caption", "no_prompt", "no_rate", "too_long", "too_small"),  # whose messages say all
}


def words_of_metrics() -> set[str]:
    """All strings in the metrics' modules that are formed like a reason."""
    folder = Path(pfp.eval.metrics.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    texts = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if LIKE_A_REASON.fullmatch(text)}


def test_every_reason_of_a_metric_is_explained() -> None:
    """No word reaches a page without a sentence, and no sentence is for nothing."""
    of_metrics = {reason for reason in REASONS if not reason.startswith("judge_")}

    assert of_metrics == words_of_metrics() - OTHERS


@pytest.mark.parametrize("finish", [finish for finish in Finish if finish is not Finish.ANSWERED])
def test_every_end_of_an_answer_is_explained(finish: Finish) -> None:
    """However an answer ended that stays without a verdict; an unfinished one is asked again."""
    is_explained = f"judge_{finish.value}" in REASONS

    assert is_explained is (finish is not Finish.UNFINISHED)


def test_what_is_no_word_stays_as_it_is() -> None:
    """Cures and failures are sentences already; unknown words lose their underscores."""
    assert "weights missing, `pfp weights fetch x`" == explained(
        "weights missing, `pfp weights fetch x`"
    )
    assert "some new reason" == explained("some_new_reason")
    assert "one frame does not move" == explained("single_frame")
