"""Gemini through the google-genai SDK: one ``generateContent`` request per question."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx
from google import genai
from google.genai import types

from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.io.media import probe
from pfp.vlm.gemini_answer import read_response
from pfp.vlm.gemini_errors import RETRY_STATUS, explain_errors
from pfp.vlm.gemini_video import video_part

if TYPE_CHECKING:
    from pfp.vlm.answer import Answer
    from pfp.vlm.question import VideoQuestion

KEY_VARIABLE: Final = "GEMINI_API_KEY"
# Named, because the SDK's default went from v1beta to v1 with its version 3, and v1beta is where
# media resolution and thinking levels are documented.
API_VERSION: Final = "v1beta"
# A request may hold 20 MB (more on newer servers), and Base64 adds a third.
INLINE_LIMIT_BYTES: Final = 14_000_000
SPAN_SLACK_SECONDS: Final = 0.1  # a span that misses the video's ends by less is the whole video


class GeminiBackend:
    """Asks a Gemini model.

    The key comes from the environment variable GEMINI_API_KEY when a question is asked, never
    before and from nowhere else. ``base_url`` is for proxies and tests. The SDK repeats a request
    up to ``max_attempts`` times, ``retry_seconds`` (doubling, with jitter) apart, when the server
    is busy, broken or silent for ``timeout_seconds``, and never when it refused. Videos above
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
        self._timeout_seconds = timeout_seconds
        self._max_attempts = max_attempts
        self._retry_seconds = retry_seconds
        self._inline_limit_bytes = inline_limit_bytes
        self._upload_timeout_seconds = upload_timeout_seconds
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._client: genai.Client | None = None
        self._http: httpx.Client | None = None
        self._sent = _RequestCounter()

    @property
    def fingerprint(self) -> str:
        """Digest of the model and of the server that is asked."""
        return sha256_json({"backend": "gemini", "model": self.model, "base_url": self._base_url})

    def check_ready(self) -> None:
        """Raise ConfigError when there is no key."""
        _read_key()

    def ask(self, question: VideoQuestion) -> Answer:
        """One question, one ``generateContent`` request (and its repeats)."""
        client = self._connect()
        config = _config(question)
        metadata = _video_metadata(question)
        notes: list[str] = []
        self._sent.reset()
        with (
            explain_errors(timeout_seconds=self._timeout_seconds),
            video_part(
                client,
                question.path,
                metadata,
                inline_limit_bytes=self._inline_limit_bytes,
                upload_timeout_seconds=self._upload_timeout_seconds,
                poll_seconds=self._poll_seconds,
                notes=notes,
            ) as part,
        ):
            response = client.models.generate_content(
                model=self.model,
                contents=types.Content(role="user", parts=[part, types.Part(text=question.prompt)]),
                config=config,
            )
        return read_response(
            response,
            question,
            model=self.model,
            attempts=self._sent.count,
            notes=tuple(notes),
            on=datetime.now(UTC).date(),
        )

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._http is not None:
                self._http.close()
            self._client = self._http = None

    def _connect(self) -> genai.Client:
        with self._lock:
            if self._client is None:
                key = _read_key()
                # Our own HTTP client, so that requests can be counted and errors have one type.
                self._http = httpx.Client(
                    follow_redirects=True, event_hooks={"request": [self._sent.add]}
                )
                self._client = genai.Client(
                    api_key=key, vertexai=False, http_options=self._http_options(self._http)
                )
            return self._client

    def _http_options(self, http: httpx.Client) -> types.HttpOptions:
        return types.HttpOptions(
            base_url=self._base_url,
            api_version=API_VERSION,
            timeout=round(self._timeout_seconds * 1000),
            httpx_client=http,
            retry_options=types.HttpRetryOptions(
                attempts=self._max_attempts,
                initial_delay=self._retry_seconds,
                exp_base=2.0,
                jitter=self._retry_seconds,
                http_status_codes=list(RETRY_STATUS),
            ),
        )


class _RequestCounter:
    """Counts this thread's ``generateContent`` requests, repeats included."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def count(self) -> int:
        return getattr(self._local, "count", 0)

    def reset(self) -> None:
        self._local.count = 0

    def add(self, request: httpx.Request) -> None:
        if request.url.path.endswith(":generateContent"):
            self._local.count = self.count + 1


def _read_key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        message = (
            f"{KEY_VARIABLE} is not set; export the key of a Gemini API project, "
            "or take gemini out of the caption route"
        )
        raise ConfigError(message)
    return key


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
    resolution = sampling.media_resolution
    level = sampling.thinking_level
    return types.GenerateContentConfig(
        response_mime_type="application/json",
        response_json_schema=dict(question.json_schema),
        temperature=sampling.temperature,
        max_output_tokens=sampling.max_output_tokens,
        media_resolution=(
            None
            if resolution is None
            else types.MediaResolution(f"MEDIA_RESOLUTION_{resolution.upper()}")
        ),
        thinking_config=(
            None
            if level is None
            else types.ThinkingConfig(thinking_level=types.ThinkingLevel(level.upper()))
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
