"""What is asked of a vision-language model about a video."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pfp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MediaResolution = Literal["low", "medium", "high"]
ThinkingLevel = Literal["minimal", "low", "medium", "high"]
MEDIA_RESOLUTIONS: Final = ("low", "medium", "high")
THINKING_LEVELS: Final = ("minimal", "low", "medium", "high")
MAX_FPS: Final = 24.0  # what the Gemini API accepts: (0, 24]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part ``[start_seconds, end_seconds)`` of a video, counted from its first frame."""

    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a model looks at the video and how it writes; None leaves the choice to the server.

    ``fps`` is the rate, in (0, 24], at which the model is shown frames. Thinking is billed as
    output, and ``thinking_level`` bounds it (Gemini 3 and later).
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
        check_levels(media_resolution=self.media_resolution, thinking_level=self.thinking_level)

    def to_json(self) -> str:
        """The settings as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)


def check_levels(*, media_resolution: str | None, thinking_level: str | None) -> None:
    """Raise ConfigError for a media resolution or a thinking level that no server takes."""
    for what, value, known in (
        ("media resolution", media_resolution, MEDIA_RESOLUTIONS),
        ("thinking level", thinking_level, THINKING_LEVELS),
    ):
        if value is not None and value not in known:
            message = f"{what} {value!r} is unknown; use one of {', '.join(known)} or none"
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoQuestion:
    """One question about the span ``[start_seconds, end_seconds)`` of the video at ``path``.

    ``shots`` are the numbered parts (the first is number 1) that the prompt speaks of, within the
    span and in order. ``json_schema`` is what the answer has to be an instance of.
    """

    path: str
    start_seconds: float
    end_seconds: float
    shots: tuple[Span, ...]
    prompt: str
    json_schema: Mapping[str, Any]
    sampling: Sampling

    @property
    def duration_seconds(self) -> float:
        """Length of the span that is asked about."""
        return self.end_seconds - self.start_seconds
