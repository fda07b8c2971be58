"""Whom a request goes to: a provider, behind one retry policy."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from pfp.vlm.answer import Answer
from pfp.vlm.request import Request, Sampling, VideoSpan
from pfp.vlm.retry import RetryPolicy
from pfp.vlm.video_frames import FrameReader

Send: TypeAlias = Callable[[], Answer]
"""One attempt at a request. Raises TransientError when it may be repeated now, else RowError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One request that can be sent, and sent again; ``notes`` are for its answer."""

    send: Send
    notes: list[str] = field(default_factory=list)


class Model(Protocol):
    """What answers: which model it is, whether it is ready, and its end."""

    @property
    def kind(self) -> str:
        """What a specification of it begins with: ``gemini``."""

    @property
    def model(self) -> str | None:
        """Name of the model that answers."""

    @property
    def model_id(self) -> str:
        """Who answers, for people: ``gemini:gemini-2.5-pro``."""

    def fingerprint(self, sampling: Sampling) -> str:
        """Digest of the model and of every setting that its answers to frames depend on.

        With a request's own digest it decides the answer, as far as the model can.
        """

    def check_ready(self) -> None:
        """Raise ConfigError when no request could be answered, for example without a key."""

    def close(self) -> None:
        """Let go of connections, models and processes; it may be used again."""


class Provider(Model, Protocol):
    """One kind of model: how a request is put to it and how its answer is read."""

    @property
    def takes_video(self) -> bool:
        """Whether it can be shown a span of a video, or frames only."""

    def session(self, request: Request, policy: RetryPolicy) -> AbstractContextManager[Session]:
        """What one request needs, such as an uploaded file, for as long as it is being sent."""


class Client(Model, Protocol):
    """Something that answers requests; safe to use from several threads."""

    @property
    def sampling(self) -> Sampling:
        """The sampling to ask with, as the client's specification has it."""

    def ask(self, request: Request) -> Answer:
        """The answer to one request.

        Raises RetryableError when trying again later may help, PermanentError when it cannot, and
        ConfigError when the client is not ready.
        """


class RetryingClient:
    """Asks a provider, again where that may help, and shows frames where it takes no video.

    With ``decode_timeout_seconds`` videos are decoded in a child process that is killed after
    that time.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        sampling: Sampling,
        policy: RetryPolicy | None = None,
        decode_timeout_seconds: float | None = None,
    ) -> None:
        self._provider = provider
        self._policy = policy or RetryPolicy()
        self._reader = FrameReader(timeout_seconds=decode_timeout_seconds)
        self.sampling: Final = sampling
        weakref.finalize(self, provider.close)  # workers end without closing what they use

    @property
    def kind(self) -> str:
        """That of the provider."""
        return self._provider.kind

    @property
    def model(self) -> str | None:
        """That of the provider."""
        return self._provider.model

    @property
    def model_id(self) -> str:
        """Who answers."""
        return self._provider.model_id

    def fingerprint(self, sampling: Sampling) -> str:
        """That of the provider: patience changes no answer."""
        return self._provider.fingerprint(sampling)

    def check_ready(self) -> None:
        """Raise what the provider raises."""
        self._provider.check_ready()

    def ask(self, request: Request) -> Answer:
        """The answer, its ``attempts`` and cost those of everything that was sent for it, ever."""
        if isinstance(request.media, VideoSpan) and not self._provider.takes_video:
            answer = self._ask(self._reader.frames_request(request))
            return replace(answer, sampling=request.sampling.to_json())
        return self._ask(request)

    def close(self) -> None:
        """Let go of what the provider holds."""
        self._provider.close()
        self._reader.close()

    def _ask(self, request: Request) -> Answer:
        with self._provider.session(request, self._policy) as session:
            answer = self._policy.call_until_text(lambda: self._send_counted(session.send))
        return replace(answer, notes=(*session.notes, *answer.notes))

    def _send_counted(self, send: Send) -> Answer:
        num_sent = 0

        def attempt() -> Answer:
            nonlocal num_sent
            num_sent += 1
            return send()

        answer = self._policy.call(attempt)
        return answer if answer.cached else replace(answer, attempts=num_sent)


def ask_votes(client: Client, request: Request, num_votes: int) -> list[Answer]:
    """The answers to a request that is asked ``num_votes`` times, each a request of its own.

    At temperature 0 they would all be one.
    """
    return [client.ask(replace(request, vote=number)) for number in range(1, num_votes + 1)]
