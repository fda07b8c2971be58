"""Judges that ask nobody: recorded answers, and fakes that are named so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pfp.errors import ConfigError
from pfp.io.digests import sha256_file, sha256_json
from pfp.vlm.answer import Answer, Finish
from pfp.vlm.answer_file import AnswerFile
from pfp.vlm.judge import FramesQuestion, Judgement, read_answer
from pfp.vlm.verdict import FIELD

FAKES: Final = {"always-yes": "yes", "always-no": "no"}


class ReplayJudge:
    """Gives the answers of a file that a judge's ``cache`` or ``record`` option has written.

    They are found by the content of the frames and the words of the question, whatever the videos
    are called now. A question that is not in the file is absent, never guessed.
    """

    def __init__(self, *, path: str) -> None:
        self._path = Path(path)
        self._answers = AnswerFile(path)
        self._model_id: str | None = None
        self._fingerprint: str | None = None

    @property
    def model_id(self) -> str:
        """``replay:`` and who gave the answers.

        Raises ConfigError for a file without answers and for one with answers of several judges.
        """
        if self._model_id is None:
            found = self._answers.judges()
            if len(found) != 1:
                who = " and ".join(sorted(set(found.values()))) or "nobody"
                raise ConfigError(
                    f"{self._path} holds answers of {len(found)} judges ({who}); "
                    "replay a file with those of one"
                )
            self._model_id = f"replay:{next(iter(found.values()))}"
        return self._model_id

    @property
    def fingerprint(self) -> str:
        """Digest of the file as it was when first asked for."""
        if self._fingerprint is None:
            digest = sha256_file(self._path)
            self._fingerprint = sha256_json({"judge": "replay", "answers": digest})
        return self._fingerprint

    def check_ready(self) -> None:
        """Raise ConfigError when the file holds nothing to be replayed."""
        _ = self.model_id

    def ask(self, question: FramesQuestion) -> Judgement:
        """The recorded answer, or one with ``Finish.ABSENT``."""
        self.check_ready()
        found = self._answers.find(question.sha256)
        if found is not None:
            return read_answer(question, found.answer, remembered=True)
        problem = f"{self._path.name} has no answer to {question.prompt_id} about these frames"
        absent = Answer(backend="replay", model=None, finish=Finish.ABSENT, problem=problem)
        return read_answer(question, absent)

    def close(self) -> None:
        """Nothing is held open."""


class FakeJudge:
    """Says the same to everything; for tests and for rehearsing a run without a model."""

    def __init__(self, *, answer: str) -> None:
        """answer: ``always-yes`` or ``always-no``."""
        if answer not in FAKES:
            raise ConfigError(f"no fake judge is called {answer!r}; use one of {', '.join(FAKES)}")
        self.model_id: Final = f"fake:{answer}"
        self.fingerprint: Final = sha256_json({"judge": self.model_id})
        self._text = json.dumps({FIELD: FAKES[answer]})

    def check_ready(self) -> None:
        """Nothing is needed."""

    def ask(self, question: FramesQuestion) -> Judgement:
        """The answer it always gives."""
        answer = Answer(backend="fake", model=self.model_id, raw_text=self._text, cost_usd=0.0)
        return read_answer(question, answer)

    def close(self) -> None:
        """Nothing is held open."""
