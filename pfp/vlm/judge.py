"""A question about frames that has yes or no for an answer, and the interface of who answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pfp.errors import RetryableError
from pfp.io.digests import sha256_json
from pfp.vlm.answer import Answer, Finish
from pfp.vlm.frames import Frames
from pfp.vlm.verdict import Verdict, parse_verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesQuestion:
    """One yes/no question about frames.

    ``prompt_id`` names the wording (``cloth@1/same_clothes``), ``prompt`` is the text as it is
    sent, after the frames. ``options`` are the letters that it offers, each meaning yes or no.
    ``vote`` counts, from 1, how often the same is asked to hear several answers.
    """

    frames: Frames
    prompt_id: str
    prompt: str
    options: Mapping[str, str] | None = None
    vote: int = 1

    @property
    def sha256(self) -> str:
        """Digest of the frames, the words and a vote past the first: the key of an answer."""
        later = [self.vote] if self.vote > 1 else []
        return sha256_json([self.frames.sha256, self.prompt_id, self.prompt, *later])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge said. ``remembered`` is true when it said so earlier and was not asked now.

    ``votes`` are what it said each time, where it was asked several times for a majority.
    """

    verdict: Verdict
    answer: Answer
    remembered: bool = False
    votes: tuple[Judgement, ...] = ()

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


def read_answer(question: FramesQuestion, answer: Answer, *, remembered: bool = False) -> Judgement:
    """The verdict in an answer; one that is no answer (blocked, cut off) has none to be read.

    Raises RetryableError for an answer that may be another if the question is asked again.
    """
    if answer.finish is Finish.UNFINISHED:
        raise RetryableError(answer.problem or "the judge stopped early; run again")
    return judgement_of(answer, question.options, remembered=remembered)


def judgement_of(
    answer: Answer, options: Mapping[str, str] | None, *, remembered: bool = False
) -> Judgement:
    """The verdict in an answer to a question that offered these options."""
    verdict = Verdict.UNPARSEABLE
    if answer.finish is Finish.ANSWERED:
        verdict = parse_verdict(answer.raw_text, options)
    return Judgement(verdict=verdict, answer=answer, remembered=remembered)


class Judge(Protocol):
    """Something that answers yes/no questions about frames, the same way every time it can.

    Models are asked at temperature 0, unless told otherwise.
    """

    @property
    def model_id(self) -> str:
        """Who answers, for people: ``gemini:gemini-2.5-pro``."""

    @property
    def fingerprint(self) -> str:
        """Digest of the model and of every setting that its answers depend on."""

    def check_ready(self) -> None:
        """Raise ConfigError when no question could be answered, for example without a key."""

    def ask(self, question: FramesQuestion) -> Judgement:
        """The answer to one question; safe to call from several threads.

        Raises RetryableError when trying again later may help, PermanentError when it cannot, and
        ConfigError when the judge is not ready.
        """

    def close(self) -> None:
        """Let go of connections and models; the judge may be used again."""
