"""A judge that is not asked the same question twice."""

from __future__ import annotations

import threading
from typing import Final

from pfp.vlm.answer import Answer, Finish
from pfp.vlm.answer_file import AnswerFile, Recorded
from pfp.vlm.judge import FramesQuestion, Judge, Judgement, read_answer

# What the same judge would say again. That it saw nothing, or had nothing, may change.
FINAL: Final = frozenset({Finish.ANSWERED, Finish.TRUNCATED, Finish.BLOCKED})


class RememberingJudge:
    """Asks another judge, and keeps what it says by the content of question and judge.

    Answers are looked up in ``cache`` (as long as the object lives when there is none) and added to
    it. ``record`` gets every answer that is used, old or new: the file to hand on with the scores.
    Verdicts are read from the kept text, so a stricter parser needs no new answers.
    """

    def __init__(
        self, judge: Judge, *, cache: AnswerFile | None = None, record: AnswerFile | None = None
    ) -> None:
        self._judge = judge
        self._cache = cache
        self._record = record
        self._lock = threading.Lock()
        self._answers: dict[str, Answer] = {}

    @property
    def model_id(self) -> str:
        """Who answers."""
        return self._judge.model_id

    @property
    def fingerprint(self) -> str:
        """That of the judge: remembering changes no answer."""
        return self._judge.fingerprint

    def check_ready(self) -> None:
        """Raise what the judge raises."""
        self._judge.check_ready()

    def ask(self, question: FramesQuestion) -> Judgement:
        """The kept answer, or a new one."""
        key = question.sha256
        kept = self._find(key)
        if kept is not None:
            judgement = read_answer(question, kept, remembered=True)
        else:
            judgement = self._judge.ask(question)
        if judgement.answer.finish in FINAL:
            recorded = Recorded(
                question_sha256=key,
                prompt_id=question.prompt_id,
                judge=self.fingerprint,
                model_id=self.model_id,
                answer=judgement.answer,
            )
            self._keep(recorded, is_new=kept is None)
        return judgement

    def close(self) -> None:
        """Let go of what the judge holds; what was said stays known."""
        self._judge.close()

    def _find(self, key: str) -> Answer | None:
        if self._cache is not None:
            found = self._cache.find(key, self.fingerprint)
            return None if found is None else found.answer
        with self._lock:
            return self._answers.get(key)

    def _keep(self, recorded: Recorded, *, is_new: bool) -> None:
        if self._cache is None:
            with self._lock:
                self._answers[recorded.question_sha256] = recorded.answer
        elif is_new:
            self._cache.add(recorded)
        if self._record is not None:
            self._record.add(recorded)
