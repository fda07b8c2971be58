"""Gemini as a judge: the frames themselves as JPEG parts, and an answer held to a schema.

Frames are sent rather than the video, because the API samples videos as it likes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from google.genai import types

from pfp.io.digests import sha256_json
from pfp.vlm.answer import Answer
from pfp.vlm.frames import JPEG_QUALITY
from pfp.vlm.gemini_answer import read_frames_response
from pfp.vlm.gemini_client import GeminiClient, generation_config
from pfp.vlm.judge import FramesQuestion, Judgement, read_answer
from pfp.vlm.question import MediaResolution, ThinkingLevel, check_levels
from pfp.vlm.repeat import repeat_while_silent
from pfp.vlm.verdict import VERDICT_SCHEMA


class GeminiJudge:
    """Asks a Gemini model, at temperature 0 unless told otherwise (None: the model's own).

    The key comes from the environment variable GEMINI_API_KEY when a question is asked.
    ``media_resolution`` decides what a frame costs, and ``thinking_level`` (Gemini 3 and later) how
    much is thought; None leaves it to the server. Thinking counts against ``max_output_tokens``.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        media_resolution: MediaResolution | None = None,
        thinking_level: ThinkingLevel | None = None,
        temperature: float | None = 0.0,
        max_output_tokens: int = 4096,
        timeout_seconds: float = 300.0,
        max_attempts: int = 5,
        retry_seconds: float = 1.0,
    ) -> None:
        check_levels(media_resolution=media_resolution, thinking_level=thinking_level)
        self._model = model
        self._config = generation_config(
            json_schema=VERDICT_SCHEMA,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
            media_resolution=media_resolution,
            thinking_level=thinking_level,
        )
        self._params = {
            "temperature": temperature,
            "max_output_tokens": max_output_tokens,
            "media_resolution": media_resolution,
            "thinking_level": thinking_level,
            "jpeg_quality": JPEG_QUALITY,
        }
        self._client = GeminiClient(
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
            retry_seconds=retry_seconds,
            instead="use another judge",
        )
        self.model_id: Final = f"gemini:{model}"
        # Not of the server: the model is the same through any proxy.
        self.fingerprint: Final = sha256_json({"judge": self.model_id, "params": self._params})

    def check_ready(self) -> None:
        """Raise ConfigError when there is no key."""
        self._client.check_ready()

    def ask(self, question: FramesQuestion) -> Judgement:
        """One question, one ``generateContent`` request (and its repeats)."""
        blobs = [types.Blob(data=jpeg, mime_type="image/jpeg") for jpeg in question.frames.jpegs]
        parts = [types.Part(inline_data=blob) for blob in blobs]
        content = types.Content(role="user", parts=[*parts, types.Part(text=question.prompt)])
        answer = repeat_while_silent(
            lambda: self._request(content),
            max_attempts=self._client.max_attempts,
            pause_seconds=self._client.retry_seconds,
        )
        return read_answer(question, answer)

    def _request(self, content: types.Content) -> Answer:
        client = self._client.connect()
        self._client.sent.reset()
        response = self._client.call(
            lambda: client.models.generate_content(
                model=self._model, contents=content, config=self._config
            )
        )
        return read_frames_response(
            response,
            model=self._model,
            attempts=self._client.sent.count,
            sampling=json.dumps(self._params, sort_keys=True),
            on=datetime.now(UTC).date(),
        )

    def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        self._client.close()
