"""A question about frames that has yes or no for an answer, and who answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from pfp.errors import RetryableError
from pfp.eval.judge.judgement import Judgement, judgement_of
from pfp.eval.judge.verdict import VERDICT_SCHEMA
from pfp.eval.judge.votes import by_majority
from pfp.io.digests import sha256_json
from pfp.vlm import Answer, Client, Finish, Frames, Request, Sampling, ask_votes


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesQuestion:
    """One yes/no question about frames.

    ``prompt_id`` names the wording (``cloth@1/same_clothes``), ``prompt`` is the text as it is
    sent, after the frames. ``options`` are the letters that it offers, each meaning yes or no.
    """

    frames: Frames
    prompt_id: str
    prompt: str
    options: Mapping[str, str] | None = None

    def request(self, sampling: Sampling) -> Request:
        """The question as a model is asked it."""
        return Request(
            media=self.frames,
            prompt_id=self.prompt_id,
            prompt=self.prompt,
            json_schema=VERDICT_SCHEMA,
            schema_name="verdict",
            sampling=sampling,
        )


def read_answer(question: FramesQuestion, answer: Answer) -> Judgement:
    """The verdict in an answer; one that is no answer (blocked, cut off) has none to be read.

    Raises RetryableError for an answer that may be another if the question is asked again.
    """
    if answer.finish is Finish.UNFINISHED:
        raise RetryableError(answer.problem or "the judge stopped early; run again")
    return judgement_of(answer, question.options)


class Judge(Protocol):
    """Something that answers yes/no questions about frames, the same way every time it can."""

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


class ModelJudge:
    """Asks a model, with the client's own sampling, ``num_votes`` times for a majority.

    Votes should not be asked for at temperature 0, where a model says the same each time.
    """

    def __init__(self, client: Client, *, num_votes: int = 1) -> None:
        """num_votes: >= 1; of an even number a tie is neither yes nor no."""
        self._client = client
        self.num_votes: Final = num_votes

    @property
    def model_id(self) -> str:
        """Who answers."""
        return self._client.model_id

    @property
    def fingerprint(self) -> str:
        """That of the client, and how often it is asked if more than once."""
        asked = self._client.fingerprint(self._client.sampling)
        if self.num_votes == 1:
            return asked
        return sha256_json({"judge": asked, "votes": self.num_votes})

    def check_ready(self) -> None:
        """Raise what the client raises."""
        self._client.check_ready()

    def ask(self, question: FramesQuestion) -> Judgement:
        """What most of the answers say; all of them are asked for, also once that is settled."""
        request = question.request(self._client.sampling)
        answers = ask_votes(self._client, request, self.num_votes)
        votes = [read_answer(question, answer) for answer in answers]
        return votes[0] if self.num_votes == 1 else by_majority(votes)

    def close(self) -> None:
        """Let go of what the client holds."""
        self._client.close()
