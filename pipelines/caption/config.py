"""What the caption stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pfp.caption import Rules
from pfp.caption.backends import BackendSettings
from pfp.errors import ConfigError
from pfp.vlm import Sampling

GEMINI: Final = "gemini:gemini-3.8-flash#thinking_level=low"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionConfig:
    """Settings of the caption stage.

    ``route`` names the backends that are asked, in order, with commas between them: ``sidecar``,
    ``offline``, ``gemini:MODEL``, ``openai:MODEL@URL``, ``qwen:DIRECTORY``, ``replay:FILE``. For
    those that ask a model are ``prompt``, ``sampling`` and the request settings; ``answers`` is a
    local file that their answers are kept in, so that none is paid for twice. ``device`` is where a
    local model runs. ``decode_timeout_seconds`` bounds what decoding one clip may take. Each of
    ``num_workers`` workers (None: as many as fit) takes ``batch_size`` clips at a time and asks
    about ``max_concurrency`` of them at once.
    """

    route: str
    request_timeout_seconds: float = 300.0
    request_attempts: int = 5
    prompt: str = "storyboard@1"
    sampling: Sampling = field(default_factory=Sampling)
    rules: Rules = field(default_factory=Rules)
    answers: str | None = None
    device: str = "cpu"
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
        return split_route(self.route)

    @property
    def backend_settings(self) -> BackendSettings:
        """What backends are told beside their names."""
        return BackendSettings(
            sampling=self.sampling,
            request_timeout_seconds=self.request_timeout_seconds,
            request_attempts=self.request_attempts,
            decode_timeout_seconds=self.decode_timeout_seconds,
            answers=self.answers,
            device=self.device,
        )


def split_route(route: str) -> tuple[str, ...]:
    """The names in a route: ``a,gemini:M#x=1,y=2,b`` are ``a``, ``gemini:M#x=1,y=2`` and ``b``.

    A part of the form ``x=1`` is one more option of the name before it, if that has options.
    """
    names: list[str] = []
    for part in (part.strip() for part in route.split(",")):
        if names and "#" in names[-1] and re.match(r"\w+=", part):
            names[-1] += f",{part}"
        elif part:
            names.append(part)
    return tuple(names)


def route_of(backends: Sequence[str]) -> str:
    """The route that asks these, in order; ConfigError for a name with a comma that splits it."""
    for name in backends:
        if split_route(name) != (name.strip(),):
            raise ConfigError(
                f"--backend {name!r} is not one name: commas stand between the names of a route; "
                "give the option once for each name, and a path with a comma by a link without one"
            )
    return ",".join(backends)


def demo() -> CaptionConfig:
    """Storyboards beside the videos where there are some, measured descriptions elsewhere."""
    return CaptionConfig(route="sidecar,offline")


def debug() -> CaptionConfig:
    """The demo with one worker and one clip at a time."""
    return replace(demo(), num_workers=1, batch_size=1)


def small() -> CaptionConfig:
    """Gemini for up to some thousand clips from one machine; own storyboards come first."""
    return CaptionConfig(
        route=f"sidecar,{GEMINI}",
        sampling=Sampling(media_resolution="low"),
        max_concurrency=4,
        num_workers=1,
        batch_size=16,
    )


def full() -> CaptionConfig:
    """Gemini for everything. The paper (section 4.1) took Gemini 2.5 Flash for its best clips."""
    return CaptionConfig(
        route=GEMINI,
        sampling=Sampling(media_resolution="low"),
        max_concurrency=16,
        num_workers=4,
        batch_size=64,
    )


PRESETS: Final = {"demo": demo, "debug": debug, "small": small, "full": full}
