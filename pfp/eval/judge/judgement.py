"""What a judge said, read as yes, no or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pfp.eval.judge.verdict import Verdict, parse_verdict
from pfp.vlm.answer import Answer, Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge said. ``votes`` are what it said each time, where a majority was asked for."""

    verdict: Verdict
    answer: Answer
    votes: tuple[Judgement, ...] = ()

    @property
    def cached(self) -> bool:
        """Whether it said so earlier and was not asked now."""
        return self.answer.cached

    @property
    def why_not(self) -> str | None:
        """Why it is neither yes nor no, in a word (``unparseable``, ``blocked``), or None.

        Of votes it is that of the first that is neither, or ``split``.
        """
        if self.verdict is not Verdict.UNPARSEABLE:
            return None
        if self.votes:
            return next((why for vote in self.votes if (why := vote.why_not)), "split")
        if self.answer.finish is Finish.ANSWERED:
            return Verdict.UNPARSEABLE.value
        return self.answer.finish.value


def judgement_of(answer: Answer, options: Mapping[str, str] | None) -> Judgement:
    """The verdict in an answer to a question that offered these options."""
    verdict = Verdict.UNPARSEABLE
    if answer.finish is Finish.ANSWERED:
        verdict = parse_verdict(answer.raw_text, options)
    return Judgement(verdict=verdict, answer=answer)
