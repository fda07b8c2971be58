"""Any server of OpenAI's protocol as a judge (vLLM with a Qwen-VL, for one), over plain HTTP."""

from __future__ import annotations

import base64
import json
import os
import threading
import weakref
from typing import Any, Final

import httpx

from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.redaction import remember_secret
from pfp.vlm.answer import Answer
from pfp.vlm.bounded_http import bounded_client
from pfp.vlm.frames import JPEG_QUALITY
from pfp.vlm.judge import FramesQuestion, Judgement, read_answer
from pfp.vlm.openai_answer import Asked, read_body, read_completion, read_error, status_of
from pfp.vlm.pause import asked_pause_seconds, is_quota_used_up
from pfp.vlm.repeat import Busy, repeat, repeat_while_silent
from pfp.vlm.service_errors import (
    REFUSED_STATUS,
    RETRY_STATUS,
    no_answer_in_time,
    no_connection,
    unreadable_response,
)
from pfp.vlm.verdict import VERDICT_SCHEMA


class OpenAIJudge:
    """Asks ``POST URL/chat/completions``, frames as JPEG data URIs.

    ``temperature`` None leaves it to the server.
    ``base_url`` is all before that path (``http://127.0.0.1:8000/v1``). ``key_variable`` names the
    environment variable that holds the server's key, read when a question is asked; a server
    without keys needs none. A question is repeated up to ``max_attempts`` times, ``retry_seconds``
    (doubling, with jitter, or as long as the server says) apart, when the server is busy, broken
    or has not answered within ``timeout_seconds``, and never when it refused or the quota is used
    up. An answer without a word is asked for again, twice at most.

    The server must take as many images as the question has frames (vLLM:
    ``--limit-mm-per-prompt``).
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        key_variable: str | None = None,
        temperature: float | None = 0.0,
        max_output_tokens: int = 4096,
        timeout_seconds: float = 300.0,
        max_attempts: int = 5,
        retry_seconds: float = 1.0,
    ) -> None:
        self._model = model
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._name = httpx.URL(base_url).host
        self._key_variable = key_variable
        self._timeout_seconds = timeout_seconds
        self._max_attempts = max_attempts
        self._retry_seconds = retry_seconds
        self._params = {
            "temperature": temperature,
            "max_output_tokens": max_output_tokens,
            "jpeg_quality": JPEG_QUALITY,
        }
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self.model_id: Final = f"openai:{model}"
        # Not of the server: it may move to another port and still be the same model.
        self.fingerprint: Final = sha256_json({"judge": self.model_id, "params": self._params})

    def check_ready(self) -> None:
        """Raise ConfigError when the variable that should hold the key does not."""
        self._headers()

    def ask(self, question: FramesQuestion) -> Judgement:
        """One question, one request (and its repeats)."""
        headers = self._headers()
        body = self._body(question)

        def ask() -> Answer:
            return repeat(
                lambda attempt: self._request(body, headers, attempt),
                max_attempts=self._max_attempts,
                pause_seconds=self._retry_seconds,
            )

        answer = repeat_while_silent(
            ask, max_attempts=self._max_attempts, pause_seconds=self._retry_seconds
        )
        return read_answer(question, answer)

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        with self._lock:
            if self._http is not None:
                self._http.close()
            self._http = None

    def _headers(self) -> dict[str, str]:
        if self._key_variable is None:
            return {}
        key = os.environ.get(self._key_variable, "").strip()
        if not key:
            raise ConfigError(
                f"{self._key_variable} is not set; export the key of {self._url}, "
                "or name no key_variable if the server needs none"
            )
        remember_secret(key)
        return {"Authorization": f"Bearer {key}"}

    def _body(self, question: FramesQuestion) -> dict[str, Any]:
        encoded = [base64.b64encode(jpeg).decode() for jpeg in question.frames.jpegs]
        images = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
            for data in encoded
        ]
        content = [*images, {"type": "text", "text": question.prompt}]
        schema = {"name": "verdict", "strict": True, "schema": VERDICT_SCHEMA}
        temperature = self._params["temperature"]
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            **({} if temperature is None else {"temperature": temperature}),
            # Newer name: max_completion_tokens. Local servers know this one.
            "max_tokens": self._params["max_output_tokens"],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def _request(self, body: dict[str, Any], headers: dict[str, str], attempt: int) -> Answer:
        """One request; ``Busy`` when it may be repeated at once."""
        try:
            response = self._connect().post(
                self._url, json=body, headers=headers, timeout=self._timeout_seconds
            )
        except httpx.TimeoutException as error:
            raise Busy(no_answer_in_time(self._name, self._timeout_seconds)) from error
        except httpx.RequestError as error:
            raise Busy(no_connection(self._name, error)) from error
        sampling = json.dumps(self._params, sort_keys=True)
        asked = Asked(model=self._model, attempts=attempt, sampling=sampling)
        said = read_body(response)
        status = status_of(response, said)
        if status < REFUSED_STATUS and response.is_success:
            try:
                return read_completion(said, asked)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise unreadable_response(self._name, error) from error
        result = read_error(response, asked, service=self._name, key_variable=self._key_variable)
        if isinstance(result, Answer):
            return result
        if status in RETRY_STATUS and not is_quota_used_up(said):
            pause_seconds = asked_pause_seconds(response.headers, said)
            raise Busy(result, after_seconds=pause_seconds)
        raise result

    def _connect(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                self._http = bounded_client()
                weakref.finalize(self, self._http.close)  # a run's workers close no judge
            return self._http
