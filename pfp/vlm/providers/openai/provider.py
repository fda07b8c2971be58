"""Any server of OpenAI's protocol (vLLM with a Qwen-VL, for one), through the openai SDK."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import httpx
import openai

from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.redaction import remember_secret
from pfp.vlm.answer import Answer
from pfp.vlm.client import Session
from pfp.vlm.frames import JPEG_QUALITY, Frames
from pfp.vlm.providers.bounded_http import bounded_client
from pfp.vlm.providers.openai.answer import (
    Asked,
    read_body,
    read_completion,
    read_error,
    status_of,
)
from pfp.vlm.providers.service_errors import (
    REFUSED_STATUS,
    no_answer_in_time,
    no_connection,
    unreadable_response,
)
from pfp.vlm.request import Request, Sampling
from pfp.vlm.retry import RetryPolicy, TransientError

# What a request needs. The SDK would add what it reads in the environment (keys, organisation,
# headers) and facts about this machine, whoever's server it is.
_HEADERS: Final = frozenset(
    {
        *("host", "connection", "user-agent", "accept", "accept-encoding"),
        *("content-type", "content-length", "transfer-encoding"),
        "x-stainless-raw-response",  # by which the SDK knows what to return
    }
)


class OpenAIProvider:
    """Asks ``POST URL/chat/completions``, frames as JPEG data URIs.

    ``base_url`` is all before that path (``http://127.0.0.1:8000/v1``). ``key_variable`` names the
    environment variable that holds the server's key, read when a request is sent; a server without
    keys needs none. A server that has not answered within ``timeout_seconds`` counts as busy.
    Temperature and thinking level None are left to the server.

    The server must take as many images as a request has frames (vLLM:
    ``--limit-mm-per-prompt``).
    """

    kind: Final = "openai"
    takes_video: Final = False

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        key_variable: str | None = None,
        timeout_seconds: float = 300.0,
    ) -> None:
        self.model: Final = model
        self.model_id: Final = f"openai:{model}"
        self._base_url = base_url.rstrip("/")
        self._host = httpx.URL(base_url).host
        self._key_variable = key_variable
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._client: openai.OpenAI | None = None

    def fingerprint(self, sampling: Sampling) -> str:
        """Digest of the model and the settings, not of the server: it may move to another port."""
        return sha256_json({"judge": self.model_id, "params": _params(sampling)})

    def check_ready(self) -> None:
        """Raise ConfigError when the variable that should hold the key does not."""
        self._key()

    @contextmanager
    def session(self, request: Request, policy: RetryPolicy) -> Iterator[Session]:
        """The body of a request; nothing is held open for it."""
        del policy
        self._key()
        body = _body(self.model, request)
        asked = Asked(
            model=self.model, sampling=json.dumps(_params(request.sampling), sort_keys=True)
        )
        yield Session(send=lambda: self._send(body, asked))

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            if self._http is not None:
                self._http.close()
            self._http = self._client = None

    def _key(self) -> str | None:
        if self._key_variable is None:
            return None
        key = os.environ.get(self._key_variable, "").strip()
        if not key:
            raise ConfigError(
                f"{self._key_variable} is not set; export the key of {self._base_url}, "
                "or name no key_variable if the server needs none"
            )
        remember_secret(key)
        return key

    def _set_headers(self, request: httpx.Request) -> None:
        """Leave the headers that a request needs, and the key that was named for this server."""
        for name in [name for name in request.headers if name.lower() not in _HEADERS]:
            del request.headers[name]
        key = self._key()
        if key is not None:
            request.headers["Authorization"] = f"Bearer {key}"

    def _connect(self) -> openai.OpenAI:
        with self._lock:
            if self._client is None:
                self._http = bounded_client(event_hooks={"request": [self._set_headers]})
                self._client = openai.OpenAI(
                    api_key="set-by-pfp",  # or the SDK takes one from the environment
                    base_url=self._base_url,
                    timeout=self._timeout_seconds,
                    max_retries=0,
                    http_client=cast("Any", self._http),
                )
            return self._client

    def _send(self, body: dict[str, Any], asked: Asked) -> Answer:
        response = self._post(body)
        said = read_body(response)
        status = status_of(response, said)
        if status < REFUSED_STATUS and response.is_success:
            try:
                return read_completion(said, asked)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise unreadable_response(self._host, error) from error
        return read_error(
            response, said, status, asked, service=self._host, key_variable=self._key_variable
        )

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        """The server's response, whatever its status. Raises TransientError when there is none."""
        create: Any = self._connect().chat.completions.with_raw_response.create
        try:
            return cast("httpx.Response", create(**body).http_response)
        except openai.APIStatusError as error:
            return cast("httpx.Response", error.response)
        except openai.APITimeoutError as error:
            raise TransientError(no_answer_in_time(self._host, self._timeout_seconds)) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__
            known = cause if isinstance(cause, Exception) else error
            raise TransientError(no_connection(self._host, known)) from error


def _params(sampling: Sampling) -> dict[str, Any]:
    """What an answer depends on beside the model."""
    thinking = sampling.thinking_level
    return {
        "temperature": sampling.temperature,
        "max_output_tokens": sampling.max_output_tokens,
        "jpeg_quality": JPEG_QUALITY,
        **({} if thinking is None else {"thinking_level": thinking}),
    }


def _body(model: str, request: Request) -> dict[str, Any]:
    assert isinstance(request.media, Frames)
    encoded = [base64.b64encode(jpeg).decode() for jpeg in request.media.jpegs]
    images = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
        for data in encoded
    ]
    content = [*images, {"type": "text", "text": request.prompt}]
    schema = {"name": request.schema_name, "strict": True, "schema": dict(request.json_schema)}
    sampling = request.sampling
    optional = {"temperature": sampling.temperature, "reasoning_effort": sampling.thinking_level}
    return {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        **{name: value for name, value in optional.items() if value is not None},
        # Newer name: max_completion_tokens. Local servers know this one.
        "max_tokens": sampling.max_output_tokens,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
