"""Answers that nobody thought about, for tests and for rehearsing a run without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.vlm.answer import Answer
from pfp.vlm.client import Session
from pfp.vlm.request import Request, Sampling
from pfp.vlm.retry import RetryPolicy

WORDS: Final = {"always-yes": "yes", "always-no": "no"}


class FakeProvider:
    """Answers every request with an instance of its schema, and says in it that it is fake.

    Where the schema gives a choice with yes or no in it, the answer is the word that it is named
    for. Nothing is looked at.
    """

    kind: Final = "fake"
    takes_video: Final = True  # nothing is shown to anybody

    def __init__(self, *, answer: str) -> None:
        """answer: ``always-yes`` or ``always-no``."""
        if answer not in WORDS:
            raise ConfigError(f"no fake model is called {answer!r}; use one of {', '.join(WORDS)}")
        self._word = WORDS[answer]
        self.model_id: Final = f"fake:{answer}"
        self.model: Final = self.model_id

    def fingerprint(self, sampling: Sampling) -> str:
        """Digest of the name, which is all there is."""
        del sampling
        return sha256_json({"judge": self.model_id})

    def check_ready(self) -> None:
        """Nothing is needed."""

    @contextmanager
    def session(self, request: Request, policy: RetryPolicy) -> Iterator[Session]:
        """Nothing is needed."""
        del policy
        yield Session(send=lambda: self._answer(request))

    def close(self) -> None:
        """Nothing is held open."""

    def _answer(self, request: Request) -> Answer:
        text = json.dumps(instance_of(request.json_schema, self._word))
        return Answer(backend=self.kind, model=self.model, raw_text=text, cost_usd=0.0)


def instance_of(schema: Mapping[str, Any], word: str, number: int = 1) -> Any:
    """The smallest instance of a JSON schema of objects, arrays, texts and whole numbers.

    Texts are ``word`` where it is a choice, else a sentence with ``number``, which counts the items
    of an array from 1 and stands for every whole number.
    """
    choices = schema.get("enum")
    if choices:
        return word if word in choices else choices[0]
    if schema["type"] == "object":
        properties = schema.get("properties", {})
        return {name: instance_of(part, word, number) for name, part in properties.items()}
    if schema["type"] == "array":
        items = range(1, schema.get("minItems", 0) + 1)
        return [instance_of(schema["items"], word, each) for each in items]
    return number if schema["type"] == "integer" else f"This is fake text number {number}."
