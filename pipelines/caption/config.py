"""What the caption stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from pfp.caption import Rules
from pfp.errors import ConfigError
from pfp.vlm import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionConfig:
    """Settings of the caption stage.

    ``route`` names the backends that are asked, in order. ``model``, ``base_url``, ``prompt``,
    ``sampling`` and the request settings concern gemini only; ``decode_timeout_seconds`` bounds
    what the offline backend may take for one clip. Each of ``num_workers`` workers (None: as many
    as fit) takes ``batch_size`` clips at a time and asks about ``max_concurrency`` of them at once.
    """

    route: str
    model: str = "gemini-3.8-flash"
    base_url: str | None = None
    request_timeout_seconds: float = 300.0
    request_attempts: int = 5
    prompt: str = "storyboard@1"
    sampling: Sampling = field(default_factory=Sampling)
    rules: Rules = field(default_factory=Rules)
    max_span_seconds: float = 10.0
    decode_timeout_seconds: float = 120.0
    max_concurrency: int = 1
    num_workers: int | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Raise ConfigError for settings that cannot work."""
        for name in ("request_timeout_seconds", "max_span_seconds", "decode_timeout_seconds"):
            value = getattr(self, name)
            if not (0 < value < math.inf):
                raise ConfigError(f"{name} is {value}; give a number of seconds above 0")
        for name in ("request_attempts", "max_concurrency"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give 1 or more")

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of the backends, in order."""
        return tuple(name.strip() for name in self.route.split(",") if name.strip())


def demo() -> CaptionConfig:
    """Storyboards beside the videos where there are some, measured descriptions elsewhere."""
    return CaptionConfig(route="sidecar,offline")


def debug() -> CaptionConfig:
    """The demo with one worker and one clip at a time."""
    return replace(demo(), num_workers=1, batch_size=1)


def small() -> CaptionConfig:
    """Gemini for up to some thousand clips from one machine; own storyboards come first."""
    return CaptionConfig(
        route="sidecar,gemini",
        sampling=Sampling(media_resolution="low", thinking_level="low"),
        max_concurrency=4,
        num_workers=1,
        batch_size=16,
    )


def full() -> CaptionConfig:
    """Gemini for everything. The paper (section 4.1) took Gemini 2.5 Flash for its best clips."""
    return CaptionConfig(
        route="gemini",
        sampling=Sampling(media_resolution="low", thinking_level="low"),
        max_concurrency=16,
        num_workers=4,
        batch_size=64,
    )


PRESETS: Final = {"demo": demo, "debug": debug, "small": small, "full": full}
