"""Gemini through the google-genai SDK: one ``generateContent`` call per request.

Frames go as JPEG parts, because the API samples videos as it likes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from google.genai import types

from pfp.io.digests import sha256_json
from pfp.io.media import probe
from pfp.vlm.answer import Answer
from pfp.vlm.client import Session
from pfp.vlm.frames import JPEG_QUALITY
from pfp.vlm.providers.gemini.answer import read_response
from pfp.vlm.providers.gemini.connection import GeminiConnection
from pfp.vlm.providers.gemini.video import video_part
from pfp.vlm.request import Request, Sampling, VideoSpan
from pfp.vlm.retry import RetryPolicy

# A request may hold 20 MB (more on newer servers), and Base64 adds a third.
INLINE_LIMIT_BYTES: Final = 14_000_000
SPAN_SLACK_SECONDS: Final = 0.1  # a span that misses the video's ends by less is the whole video


class GeminiProvider:
    """Asks a Gemini model.

    The key comes from the environment variable GEMINI_API_KEY when a request is sent, never before
    and from nowhere else. ``base_url`` is for proxies and tests. A server that is silent for
    ``timeout_seconds`` counts as busy. Videos above ``inline_limit_bytes`` go through the Files
    API, which has ``upload_timeout_seconds`` to take them in. Thinking counts against
    ``max_output_tokens``.
    """

    kind: Final = "gemini"
    takes_video: Final = True

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        timeout_seconds: float = 300.0,
        inline_limit_bytes: int = INLINE_LIMIT_BYTES,
        upload_timeout_seconds: float = 300.0,
        poll_seconds: float = 2.0,
    ) -> None:
        self.model: Final = model
        self.model_id: Final = f"gemini:{model}"
        self._inline_limit_bytes = inline_limit_bytes
        self._upload_timeout_seconds = upload_timeout_seconds
        self._poll_seconds = poll_seconds
        self._connection = GeminiConnection(base_url=base_url, timeout_seconds=timeout_seconds)

    def fingerprint(self, sampling: Sampling) -> str:
        """Digest of the model and the settings, not of the server: any proxy has the same model."""
        return sha256_json({"judge": self.model_id, "params": _frame_params(sampling)})

    def check_ready(self) -> None:
        """Raise ConfigError when there is no key."""
        self._connection.check_ready()

    @contextmanager
    def session(self, request: Request, policy: RetryPolicy) -> Iterator[Session]:
        """The parts of a request; an uploaded video is deleted when the block ends."""
        if not isinstance(request.media, VideoSpan):
            blobs = [types.Blob(data=jpeg, mime_type="image/jpeg") for jpeg in request.media.jpegs]
            parts = [types.Part(inline_data=blob) for blob in blobs]
            yield Session(send=lambda: self._send(request, parts))
            return
        notes: list[str] = []
        with video_part(
            self._connection,
            request.media.path,
            _video_metadata(request.media, request.sampling.fps),
            policy=policy,
            inline_limit_bytes=self._inline_limit_bytes,
            upload_timeout_seconds=self._upload_timeout_seconds,
            poll_seconds=self._poll_seconds,
            notes=notes,
        ) as part:
            yield Session(send=lambda: self._send(request, [part]), notes=notes)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._connection.close()

    def _send(self, request: Request, parts: list[types.Part]) -> Answer:
        content = types.Content(role="user", parts=[*parts, types.Part(text=request.prompt)])
        response = self._connection.send(
            lambda client: client.models.generate_content(
                model=self.model, contents=content, config=_config(request)
            )
        )
        is_video = isinstance(request.media, VideoSpan)
        sampling = request.sampling
        told = (
            sampling.to_json() if is_video else json.dumps(_frame_params(sampling), sort_keys=True)
        )
        return read_response(
            response, request, model=self.model, sampling=told, on=datetime.now(UTC).date()
        )


def _frame_params(sampling: Sampling) -> dict[str, Any]:
    """What an answer to frames depends on beside the model."""
    return {
        "temperature": sampling.temperature,
        "max_output_tokens": sampling.max_output_tokens,
        "media_resolution": sampling.media_resolution,
        "thinking_level": sampling.thinking_level,
        "jpeg_quality": JPEG_QUALITY,
    }


def _video_metadata(video: VideoSpan, fps: float) -> types.VideoMetadata:
    """The frame rate, and the span unless it is the whole video."""
    metadata = types.VideoMetadata(fps=fps)
    duration_seconds = probe(video.path).duration_seconds
    starts_at_first = video.start_seconds <= SPAN_SLACK_SECONDS
    ends_at_last = (
        duration_seconds is not None and video.end_seconds >= duration_seconds - SPAN_SLACK_SECONDS
    )
    if not (starts_at_first and ends_at_last):
        metadata.start_offset = f"{video.start_seconds:.3f}s"
        metadata.end_offset = f"{video.end_seconds:.3f}s"
    return metadata


def _config(request: Request) -> types.GenerateContentConfig:
    """Settings of one request, whose answer has to be an instance of the schema."""
    sampling = request.sampling
    resolution, thinking = sampling.media_resolution, sampling.thinking_level
    return types.GenerateContentConfig(
        response_mime_type="application/json",
        response_json_schema=dict(request.json_schema),
        temperature=sampling.temperature,
        max_output_tokens=sampling.max_output_tokens,
        media_resolution=(
            None
            if resolution is None
            else types.MediaResolution(f"MEDIA_RESOLUTION_{resolution.upper()}")
        ),
        thinking_config=(
            None
            if thinking is None
            else types.ThinkingConfig(thinking_level=types.ThinkingLevel(thinking.upper()))
        ),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
