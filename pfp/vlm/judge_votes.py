"""Several answers to each question, of which the majority counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pfp.io.digests import sha256_json
from pfp.vlm.judge import FramesQuestion, Judge, Judgement
from pfp.vlm.verdict import Verdict


class VotingJudge:
    """Asks another judge every question ``num_votes`` times, each time as a question of its own.

    The other judge should not be asked at temperature 0, where it says the same each time.
    """

    def __init__(self, judge: Judge, *, num_votes: int) -> None:
        """num_votes: >= 1; of an even number a tie is neither yes nor no."""
        self._judge = judge
        self.num_votes: Final = num_votes

    @property
    def model_id(self) -> str:
        """Who answers."""
        return self._judge.model_id

    @property
    def fingerprint(self) -> str:
        """Digest of the judge and of how often it is asked."""
        return sha256_json({"judge": self._judge.fingerprint, "votes": self.num_votes})

    def check_ready(self) -> None:
        """Raise what the judge raises."""
        self._judge.check_ready()

    def ask(self, question: FramesQuestion) -> Judgement:
        """What most of the answers say; all of them are asked for, also once that is settled."""
        numbers = range(1, self.num_votes + 1)
        return by_majority([self._judge.ask(replace(question, vote=n)) for n in numbers])

    def close(self) -> None:
        """Let go of what the judge holds."""
        self._judge.close()


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
        answer=replace(spoken.answer, cost_usd=sum(known) if len(known) == len(costs) else None),
        remembered=all(vote.remembered for vote in votes),
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
