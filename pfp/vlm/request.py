"""What a model is asked: frames or a span of a video, words, a JSON schema, how to sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from pfp.errors import ConfigError
from pfp.io.digests import sha256_json, sha256_stream
from pfp.vlm.frames import Frames

MediaResolution = Literal["low", "medium", "high"]
ThinkingLevel = Literal["minimal", "low", "medium", "high"]
MEDIA_RESOLUTIONS: Final = ("low", "medium", "high")
THINKING_LEVELS: Final = ("minimal", "low", "medium", "high")
FRAMES_VERSION: Final = 1  # of how frames are taken out of a video, for keys of answers
MAX_FPS: Final = 24.0  # what the Gemini API accepts: (0, 24]
# The schema of yes or no. Digests of requests name every schema but this one, which all requests
# were held to when the first answers were kept.
_UNNAMED_SCHEMA_SHA256: Final = "57ffae28d4ed02ee8599054b7efc200a956eeb8a35bad569ef1b7054fd2b1e13"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part ``[start_seconds, end_seconds)`` of a video, counted from its first frame."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model looks at the video and how it writes; None leaves the choice to the server.

    ``fps`` is the rate, in (0, 24], at which the model is shown frames of a video. Thinking is
    billed as output, and ``thinking_level`` bounds it (Gemini 3 and later; ``reasoning_effort`` of
    OpenAI's protocol). Temperature 0 is greedy.
    """

    fps: float = 1.0
    media_resolution: MediaResolution | None = None
    temperature: float | None = 0.4
    max_output_tokens: int = 8192
    thinking_level: ThinkingLevel | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that no server takes."""
        if not 0 < self.fps <= MAX_FPS:
            message = f"sampling fps {self.fps} is not in (0, {MAX_FPS:g}]; 1 suits most videos"
            raise ConfigError(message)
        if self.temperature is not None and not self.temperature >= 0:
            raise ConfigError(f"temperature is {self.temperature:g}; give 0 or more")
        if self.max_output_tokens < 1:
            raise ConfigError(f"max_output_tokens is {self.max_output_tokens}; allow at least 1")
        for what, value, known in (
            ("media resolution", self.media_resolution, MEDIA_RESOLUTIONS),
            ("thinking level", self.thinking_level, THINKING_LEVELS),
        ):
            if value is not None and value not in known:
                message = f"{what} {value!r} is unknown; use one of {', '.join(known)} or none"
                raise ConfigError(message)

    def to_json(self) -> str:
        """The settings as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)


SAMPLING_DEFAULTS: Final[Mapping[str, Any]] = {
    field.name: field.default for field in fields(Sampling)
}


@dataclass(frozen=True, kw_only=True)
class VideoSpan:
    """The part ``[start_seconds, end_seconds)`` of the video at ``path`` (a path or a URI).

    Its own clock starts at ``start_seconds``: that is the 0 of the times in the prompt.
    ``content_sha256`` is the digest of the whole file where somebody knows it already.
    """

    path: str
    start_seconds: float
    end_seconds: float
    content_sha256: str | None = None

    @property
    def duration_seconds(self) -> float:
        """Length of the span."""
        return self.end_seconds - self.start_seconds

    @cached_property
    def sha256(self) -> str:
        """Digest of the file's content and of the span to the millisecond; may read the file."""
        from pfp.io.media.source import open_binary, shown_name  # brings the decoders along

        content = self.content_sha256
        if content is None:
            with open_binary(self.path) as file:
                content = sha256_stream(file, shown_name(self.path))
        return sha256_json([content, f"{self.start_seconds:.3f}", f"{self.end_seconds:.3f}"])


Media: TypeAlias = VideoSpan | Frames


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request to a model.

    ``prompt_id`` names the wording (``cloth@1/same_clothes``), ``prompt`` is the text as it is
    sent, after frames or video. The answer has to be an instance of ``json_schema``, which servers
    know as ``schema_name``. ``vote`` counts, from 1, how often the same is asked to get several
    answers.
    """

    media: Media
    prompt_id: str
    prompt: str
    json_schema: Mapping[str, Any]
    schema_name: str
    sampling: Sampling
    vote: int = 1

    @cached_property
    def sha256(self) -> str:
        """Digest of what is shown, the words, the schema and a vote past the first.

        With the client's fingerprint for the sampling it is the key of an answer.
        """
        media = self.media.sha256
        if isinstance(self.media, VideoSpan):
            shown = [self.sampling.fps, self.sampling.media_resolution, FRAMES_VERSION]
            media = sha256_json([media, shown])
        later = [self.vote] if self.vote > 1 else []
        schema_sha256 = sha256_json(dict(self.json_schema))
        schema = [] if schema_sha256 == _UNNAMED_SCHEMA_SHA256 else [{"schema": schema_sha256}]
        return sha256_json([media, self.prompt_id, self.prompt, *later, *schema])
