"""Gemini through the google-genai SDK: one ``generateContent`` request per question."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.genai import types

from pfp.io.digests import sha256_json
from pfp.io.media import probe
from pfp.vlm.gemini_answer import read_response
from pfp.vlm.gemini_client import GeminiClient, generation_config
from pfp.vlm.gemini_video import video_part
from pfp.vlm.repeat import repeat_while_silent

if TYPE_CHECKING:
    from pfp.vlm.answer import Answer
    from pfp.vlm.question import VideoQuestion

# A request may hold 20 MB (more on newer servers), and Base64 adds a third.
INLINE_LIMIT_BYTES: Final = 14_000_000
SPAN_SLACK_SECONDS: Final = 0.1  # a span that misses the video's ends by less is the whole video


class GeminiBackend:
    """Asks a Gemini model.

    The key comes from the environment variable GEMINI_API_KEY when a question is asked, never
    before and from nowhere else. ``base_url`` is for proxies and tests. A request is sent up to
    ``max_attempts`` times, ``retry_seconds`` (doubling, with jitter, or as long as the server says)
    apart, when the server is busy, broken or silent for ``timeout_seconds``, and never when it
    refused or the quota of the day is used up. An answer without a word is asked for again, twice
    at most. Videos above
    ``inline_limit_bytes`` go through the Files API, which has ``upload_timeout_seconds`` to take
    them in.
    """

    name: Final = "gemini"
    generative: Final = True

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        timeout_seconds: float = 300.0,
        max_attempts: int = 5,
        retry_seconds: float = 1.0,
        inline_limit_bytes: int = INLINE_LIMIT_BYTES,
        upload_timeout_seconds: float = 300.0,
        poll_seconds: float = 2.0,
    ) -> None:
        self.model: Final = model
        self._base_url = base_url
        self._inline_limit_bytes = inline_limit_bytes
        self._upload_timeout_seconds = upload_timeout_seconds
        self._poll_seconds = poll_seconds
        self._client = GeminiClient(
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
            retry_seconds=retry_seconds,
            instead="take gemini out of the caption route",
        )

    @property
    def fingerprint(self) -> str:
        """Digest of the model and of the server that is asked."""
        return sha256_json({"backend": "gemini", "model": self.model, "base_url": self._base_url})

    def check_ready(self) -> None:
        """Raise ConfigError when there is no key."""
        self._client.check_ready()

    def ask(self, question: VideoQuestion) -> Answer:
        """One question, one ``generateContent`` request (and its repeats)."""
        notes: list[str] = []
        with video_part(
            self._client,
            question.path,
            _video_metadata(question),
            inline_limit_bytes=self._inline_limit_bytes,
            upload_timeout_seconds=self._upload_timeout_seconds,
            poll_seconds=self._poll_seconds,
            notes=notes,
        ) as part:
            answer = repeat_while_silent(
                lambda: self._request(part, question),
                max_attempts=self._client.max_attempts,
                pause_seconds=self._client.retry_seconds,
            )
        return replace(answer, notes=(*notes, *answer.notes))

    def _request(self, part: types.Part, question: VideoQuestion) -> Answer:
        client = self._client.connect()
        self._client.sent.reset()
        response = self._client.call(
            lambda: client.models.generate_content(
                model=self.model,
                contents=types.Content(role="user", parts=[part, types.Part(text=question.prompt)]),
                config=_config(question),
            )
        )
        return read_response(
            response,
            question,
            model=self.model,
            attempts=self._client.sent.count,
            on=datetime.now(UTC).date(),
        )

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        self._client.close()


def _video_metadata(question: VideoQuestion) -> types.VideoMetadata:
    """The frame rate, and the span unless it is the whole video."""
    metadata = types.VideoMetadata(fps=question.sampling.fps)
    duration_seconds = probe(question.path).duration_seconds
    starts_at_first = question.start_seconds <= SPAN_SLACK_SECONDS
    ends_at_last = (
        duration_seconds is not None
        and question.end_seconds >= duration_seconds - SPAN_SLACK_SECONDS
    )
    if not (starts_at_first and ends_at_last):
        metadata.start_offset = f"{question.start_seconds:.3f}s"
        metadata.end_offset = f"{question.end_seconds:.3f}s"
    return metadata


def _config(question: VideoQuestion) -> types.GenerateContentConfig:
    sampling = question.sampling
    return generation_config(
        json_schema=question.json_schema,
        temperature=sampling.temperature,
        max_output_tokens=sampling.max_output_tokens,
        media_resolution=sampling.media_resolution,
        thinking_level=sampling.thinking_level,
    )
