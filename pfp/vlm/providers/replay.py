"""Recorded answers in place of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from pfp.errors import ConfigError
from pfp.io.digests import sha256_file, sha256_json
from pfp.vlm.answer import Answer, Finish
from pfp.vlm.cache import AnswerFile
from pfp.vlm.client import Session
from pfp.vlm.request import Request, Sampling, VideoSpan
from pfp.vlm.retry import RetryPolicy


class ReplayProvider:
    """Gives the answers of a file that a client's ``cache`` or ``record`` option has written.

    They are found by the content of the frames or the video and the words of the request, whatever
    the files are called now. What is not in the file is absent, never guessed.
    """

    kind: Final = "replay"
    model: Final = None
    takes_video: Final = True  # nothing is shown to anybody

    def __init__(self, *, path: str) -> None:
        self._path = Path(path)
        self._answers = AnswerFile(path)
        self._model_id: str | None = None
        self._fingerprint: str | None = None

    @property
    def model_id(self) -> str:
        """``replay:`` and who gave the answers.

        Raises ConfigError for a file without answers and for one with answers of several models.
        """
        if self._model_id is None:
            found = self._answers.model_ids()
            if len(found) != 1:
                who = " and ".join(sorted(set(found.values()))) or "nobody"
                raise ConfigError(
                    f"{self._path} holds answers of {len(found)} models ({who}); "
                    "replay a file with those of one"
                )
            self._model_id = f"replay:{next(iter(found.values()))}"
        return self._model_id

    def fingerprint(self, sampling: Sampling) -> str:
        """Digest of the file as it was when first asked for."""
        del sampling  # the answers are there already
        if self._fingerprint is None:
            digest = sha256_file(self._path)
            self._fingerprint = sha256_json({"judge": "replay", "answers": digest})
        return self._fingerprint

    def check_ready(self) -> None:
        """Raise ConfigError when the file holds nothing to be replayed."""
        _ = self.model_id

    @contextmanager
    def session(self, request: Request, policy: RetryPolicy) -> Iterator[Session]:
        """Nothing is needed beside the file."""
        del policy
        self.check_ready()
        yield Session(send=lambda: self._find(request))

    def close(self) -> None:
        """Nothing is held open."""

    def _find(self, request: Request) -> Answer:
        """The recorded answer, or one with ``Finish.ABSENT``."""
        found = self._answers.find(request.sha256)
        if found is not None:
            return replace(found.answer, cached=True)
        shown = "this video" if isinstance(request.media, VideoSpan) else "these frames"
        problem = f"{self._path.name} has no answer to {request.prompt_id} about {shown}"
        return Answer(backend=self.kind, model=None, finish=Finish.ABSENT, problem=problem)
