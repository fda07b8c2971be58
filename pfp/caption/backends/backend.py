"""What is asked for a clip, and the interface of who answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pfp.vlm.answer import Answer
from pfp.vlm.request import Sampling, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryboardRequest:
    """A request for captions of the span ``[start_seconds, end_seconds)`` of the video at ``path``.

    ``shots`` are the numbered parts (the first is number 1) that the prompt speaks of, within the
    span and in order. Models read ``prompt``, known as ``prompt_id``, and answer with an instance
    of ``json_schema``. ``content_sha256`` is the digest of the video's file if it is known, and
    ``is_whole_video`` says that the span is all of it. ``vote`` counts, from 1, how often a model
    is asked the same.
    """

    path: str
    start_seconds: float
    end_seconds: float
    shots: tuple[Span, ...]
    prompt_id: str
    prompt: str
    json_schema: Mapping[str, Any]
    content_sha256: str | None = None
    is_whole_video: bool = True
    vote: int = 1

    @property
    def span(self) -> Span:
        """The part of the video that is asked about."""
        return Span(start_seconds=self.start_seconds, end_seconds=self.end_seconds)


class Backend(Protocol):
    """Something that answers a request for a storyboard.

    ``generative`` is true when a model reads the prompt: its answer may be wrong, may be asked for
    again, and may be replaced by another backend's. When false the answer is a fact about the
    files, and asking elsewhere would only hide what is wrong with it.
    """

    @property
    def name(self) -> str:
        """What rows call it: ``sidecar``, ``offline``, or the kind of model."""

    @property
    def model(self) -> str | None:
        """Name of the model that answers; None when people wrote the answers."""

    @property
    def generative(self) -> bool:
        """Whether a model reads the prompt."""

    @property
    def sampling(self) -> Sampling | None:
        """How a model is asked; None where none is."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything of the backend, beside ``sampling``, that its answers depend on.

        With the request and the content of the video it decides the answer, as far as the
        backend can decide it.
        """

    def check_ready(self) -> None:
        """Raise ConfigError when no request could be answered, for example without a key."""

    def ask(self, request: StoryboardRequest) -> Answer:
        """The answer to one request; safe to call from several threads.

        Raises RetryableError when trying again later may help, PermanentError when it cannot, and
        ConfigError when the backend is not ready.
        """

    def close(self) -> None:
        """Let go of connections and processes; the backend may be used again."""
