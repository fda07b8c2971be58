"""What everything that asks Gemini shares: the key, the connection, how a request is set up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import httpx
from google import genai
from google.genai import types

from pfp.errors import ConfigError
from pfp.redaction import remember_secret
from pfp.vlm.bounded_http import bounded_client
from pfp.vlm.gemini_errors import explain_errors
from pfp.vlm.repeat import repeat

Result = TypeVar("Result")

KEY_VARIABLE: Final = "GEMINI_API_KEY"
# Named, because the SDK's default went from v1beta to v1 with its version 3, and v1beta is where
# media resolution and thinking levels are documented.
API_VERSION: Final = "v1beta"


class GeminiClient:
    """The SDK's client, made when it is first needed.

    The key comes from the environment variable GEMINI_API_KEY then, and from nowhere else.
    Requests are repeated here and not by the SDK, whose retry reads neither Retry-After nor
    RetryInfo, and which waits for a quota of a day, too. ``sent`` counts this thread's requests,
    repeats included.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        timeout_seconds: float,
        max_attempts: int,
        retry_seconds: float,
        instead: str,
    ) -> None:
        """instead: what else can be done without a key, for the message that says there is none."""
        self.sent: Final = RequestCounter()
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self.max_attempts: Final = max_attempts
        self.retry_seconds: Final = retry_seconds
        self._instead = instead
        self._lock = threading.Lock()
        self._client: genai.Client | None = None
        self._http: httpx.Client | None = None

    def check_ready(self) -> None:
        """Raise ConfigError when there is no key."""
        self._read_key()

    def connect(self) -> genai.Client:
        """The client; raises ConfigError when there is no key."""
        with self._lock:
            if self._client is None:
                key = self._read_key()
                # Our own HTTP client, so that requests can be counted and errors have one type.
                self._http = bounded_client(
                    follow_redirects=True, event_hooks={"request": [self.sent.add]}
                )
                self._client = genai.Client(
                    api_key=key, vertexai=False, http_options=self._http_options(self._http)
                )
            return self._client

    def call(self, send: Callable[[], Result]) -> Result:
        """What ``send()`` returns, one request of the SDK, repeated while the server is busy.

        Raises RetryableError when trying again later may help, and PermanentError when it cannot.
        """

        def attempt(_number: int) -> Result:
            with explain_errors(timeout_seconds=self._timeout_seconds):
                return send()

        return repeat(attempt, max_attempts=self.max_attempts, pause_seconds=self.retry_seconds)

    def close(self) -> None:
        """Close the connections; ``connect`` opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._http is not None:
                self._http.close()
            self._client = self._http = None

    def _read_key(self) -> str:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            message = (
                f"{KEY_VARIABLE} is not set; export the key of a Gemini API project, "
                f"or {self._instead}"
            )
            raise ConfigError(message)
        remember_secret(key)
        return key

    def _http_options(self, http: httpx.Client) -> types.HttpOptions:
        return types.HttpOptions(
            base_url=self._base_url,
            api_version=API_VERSION,
            timeout=round(self._timeout_seconds * 1000),
            httpx_client=http,
            retry_options=types.HttpRetryOptions(attempts=1),
        )


class RequestCounter:
    """Counts this thread's ``generateContent`` requests, repeats included."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def count(self) -> int:
        """Requests since the last ``reset``."""
        return getattr(self._local, "count", 0)

    def reset(self) -> None:
        """Start again from 0."""
        self._local.count = 0

    def add(self, request: httpx.Request) -> None:
        """Count a request if it is a question."""
        if request.url.path.endswith(":generateContent"):
            self._local.count = self.count + 1


def generation_config(
    *,
    json_schema: Mapping[str, Any],
    temperature: float | None,
    max_output_tokens: int,
    media_resolution: str | None,
    thinking_level: str | None,
) -> types.GenerateContentConfig:
    """Settings of one request, whose answer has to be an instance of ``json_schema``."""
    return types.GenerateContentConfig(
        response_mime_type="application/json",
        response_json_schema=dict(json_schema),
        temperature=temperature,
        max_output_tokens=max_output_tokens,
        media_resolution=(
            None
            if media_resolution is None
            else types.MediaResolution(f"MEDIA_RESOLUTION_{media_resolution.upper()}")
        ),
        thinking_config=(
            None
            if thinking_level is None
            else types.ThinkingConfig(thinking_level=types.ThinkingLevel(thinking_level.upper()))
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
