"""The connection to the Gemini API: the key, the SDK's client, and what goes wrong with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import httpx
from google import genai
from google.genai import types

from pfp.errors import ConfigError
from pfp.redaction import remember_secret
from pfp.vlm.providers.bounded_http import bounded_client
from pfp.vlm.providers.gemini.errors import explain_errors

Result = TypeVar("Result")

KEY_VARIABLE: Final = "GEMINI_API_KEY"
# Named, because the SDK's default went from v1beta to v1 with its version 3, and v1beta is where
# media resolution and thinking levels are documented.
API_VERSION: Final = "v1beta"


class GeminiConnection:
    """The SDK's client, made when it is first needed.

    The key comes from the environment variable GEMINI_API_KEY then, and from nowhere else. The SDK
    repeats nothing: its retry reads neither Retry-After nor RetryInfo, and it waits for a quota of
    a day, too.
    """

    def __init__(self, *, base_url: str | None, timeout_seconds: float) -> None:
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._client: genai.Client | None = None
        self._http: httpx.Client | None = None

    def check_ready(self) -> None:
        """Raise ConfigError when there is no key."""
        _read_key()

    def client(self) -> genai.Client:
        """The client; raises ConfigError when there is no key."""
        with self._lock:
            if self._client is None:
                key = _read_key()
                # Our own HTTP client, so that answers are bounded and errors have one type.
                self._http = bounded_client(follow_redirects=True)
                self._client = genai.Client(
                    api_key=key, vertexai=False, http_options=self._http_options(self._http)
                )
            return self._client

    def send(self, call: Callable[[genai.Client], Result]) -> Result:
        """What ``call`` returns, which is one request of the SDK.

        Raises TransientError, RetryableError and PermanentError for what goes wrong.
        """
        client = self.client()
        with explain_errors(timeout_seconds=self._timeout_seconds):
            return call(client)

    def close(self) -> None:
        """Close the connections; ``client`` opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._http is not None:
                self._http.close()
            self._client = self._http = None

    def _http_options(self, http: httpx.Client) -> types.HttpOptions:
        return types.HttpOptions(
            base_url=self._base_url,
            api_version=API_VERSION,
            timeout=round(self._timeout_seconds * 1000),
            httpx_client=http,
            retry_options=types.HttpRetryOptions(attempts=1),
        )


def _read_key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise ConfigError(
            f"{KEY_VARIABLE} is not set; export the key of a Gemini API project, or name a model "
            "of another provider"
        )
    remember_secret(key)
    return key
