"""Several answers to each question, of which the majority counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pfp.eval.judge.judgement import Judgement
from pfp.eval.judge.verdict import Verdict


def by_majority(votes: Sequence[Judgement]) -> Judgement:
    """Yes or no if more than half of the votes say so, else neither; the cost is that of all.

    ``answer`` is the first vote's that says what the majority does.
    """
    said = majority(
        [None if v.verdict is Verdict.UNPARSEABLE else v.verdict is Verdict.YES for v in votes]
    )
    verdict = Verdict.UNPARSEABLE if said is None else Verdict.YES if said else Verdict.NO
    spoken = next((vote for vote in votes if vote.verdict is verdict), votes[0])
    costs = [vote.answer.cost_usd for vote in votes]
    known = [cost for cost in costs if cost is not None]
    return Judgement(
        verdict=verdict,
        answer=replace(
            spoken.answer,
            cost_usd=sum(known) if len(known) == len(costs) else None,
            cached=all(vote.cached for vote in votes),
        ),
        votes=tuple(votes),
    )


def majority(said: Sequence[bool | None]) -> bool | None:
    """What more than half of all say, those who said neither (None) counted; else None."""
    for answer in (True, False):
        if 2 * sum(each is answer for each in said) > len(said):
            return answer
    return None


def agreement(votes: Sequence[Judgement]) -> float:
    """The share of votes with the most frequent verdict, in (0, 1]."""
    return max(Counter(vote.verdict for vote in votes).values()) / len(votes)
