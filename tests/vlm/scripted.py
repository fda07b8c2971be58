"""A client that answers as a test tells it to, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pfp.vlm import Answer, Request, Sampling

Reply = str | Answer | Exception


class ScriptedClient:
    """Gives its replies in turn, or what a function of the request says."""

    kind = "scripted"
    model = "one"
    model_id = "scripted:one"
    sampling = Sampling(temperature=0.0)

    def __init__(
        self, replies: Sequence[Reply] | Callable[[Request], Reply], *, digest: str = "f" * 64
    ) -> None:
        self.replies = replies
        self.digest = digest
        self.asked: list[Request] = []

    def fingerprint(self, sampling: Sampling) -> str:
        """The same for every sampling."""
        del sampling
        return self.digest

    def check_ready(self) -> None:
        """Nothing is needed."""

    def ask(self, request: Request) -> Answer:
        """The next reply; an exception is raised."""
        self.asked.append(request)
        replies = self.replies
        said = replies(request) if callable(replies) else replies[len(self.asked) - 1]
        if isinstance(said, Exception):
            raise said
        return Answer(backend="b", model="m", raw_text=said) if isinstance(said, str) else said

    def close(self) -> None:
        """Nothing is held."""
